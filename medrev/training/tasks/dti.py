"""Super-resolution of diffusion tensors: whole held-out volumes, errors in mm²/s."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from medrev.config.schema import DTIData, Pipeline
from medrev.data import Cohort
from medrev.domains.tensor import (
    PatchBatches,
    Prepared,
    auto_scale,
    find_cohort,
    prepare,
    training_ranges,
)
from medrev.evaluation import HeldoutTable
from medrev.prediction import Model
from medrev.training.distributed import World
from medrev.training.samples import save_sample
from medrev.training.tasks.task import CardFacts, Score, Task
from medrev.training.validation import heldout, validate
from medrev.volumes import rescale_affine, voxel_size

__all__ = ["DTITask", "prepare_parts"]


class DTITask(Task):
    """Tensors of a cohort and their low-resolution twins.

    Args:
        pipeline: The experiment; its data is of the kind dti.
        world: This process among all.
        show: Show progress.

    Attributes:
        parts: Prepared subjects by part.
    """

    def __init__(self, pipeline: Pipeline, world: World, *, show: bool) -> None:
        data = pipeline.data
        assert isinstance(data, DTIData)
        self.pipeline, self.data = pipeline, data
        self.parts = prepare_parts(find_cohort(data), data, world, show)
        train = self.parts["train"]
        self.scale = auto_scale(train) if data.scale == "auto" else data.scale
        self.counts = {name: len(subjects) for name, subjects in self.parts.items()}

    def batches(self, *, rank: int = 0, world: int = 1) -> PatchBatches:
        """Patches of the training subjects."""
        return PatchBatches(
            self.parts["train"],
            self.data,
            self.scale,
            self.pipeline.seed,
            unpaired=self.pipeline.method.kind == "unpaired",
            rank=rank,
            world=world,
        )

    def validate(self, model: Model) -> Score:
        """Tensor RMSE on whole validation volumes."""
        score = validate(model, self.parts["validation"])
        return Score(
            error=score.error,
            values={"rmse_interior": score.rmse_interior, "rmse": score.rmse},
            message=f"RMSE {score.rmse_interior:.3f} interior, {score.rmse:.3f} mask (1e-5 mm²/s)",
            sample=score.prediction,
        )

    def heldout(self, model: Model, *, show_progress: bool) -> HeldoutTable:
        """The model, interpolations and (where the truth is known) the noise floor."""
        return heldout(model, self.parts["test"], self.pipeline, show_progress=show_progress)

    def picture(self, path: Path, model: Model, title: str, sample: Any = None) -> None:
        """A slice of the first validation subject, else of the first training subject."""
        subject = self.parts["validation" if sample is not None else "train"][0]
        prediction: torch.Tensor = model.apply(subject.low) if sample is None else sample
        whose = subject.id if sample is not None else f"{subject.id} (training)"
        save_sample(path, subject, prediction, f"{title}, {whose}")

    def header(self) -> dict[str, Any]:
        """Degradation, voxel sizes and ranges of the training subjects."""
        subjects = self.parts["train"]
        edges = [
            edge
            for subject in subjects
            for edge in voxel_size(rescale_affine(subject.affine.numpy(), subject.factor))
        ]
        return {
            "degradation": self._degradations,
            "voxel_size": [float(min(edges)), float(max(edges))],
            "ranges": training_ranges(subjects),
        }

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The prepared subjects of each part."""
        return {
            part: [
                {
                    "id": subject.id,
                    "key": subject.key,
                    "degradation": subject.degradation,
                    "mask": subject.mask_source,
                    "shape": list(subject.high.shape[1:]),
                }
                for subject in subjects
            ]
            for part, subjects in self.parts.items()
        }

    def card(self) -> CardFacts:
        """Super-resolution of tensors."""
        factor = self.data.factor
        return CardFacts(
            task=f"{factor}x super-resolution of diffusion tensors; in reverse, {factor}x "
            "averaging",
            subject="subject",
            data=(
                f"Low-resolution twins: {', '.join(self._degradations)} (dwi: mean of raw volumes "
                f"over {factor}³ blocks, then fit; tensor: block mean of tensors).",
                f"Numbers inside: diffusivity / {self.scale:.6g} mm²/s; components Dxx, Dxy, Dxz, "
                "Dyy, Dyz, Dzz in the voxel frame.",
            ),
            limits=(
                "The output is an estimate: structures below the input's resolution come from the "
                "training data, not from the subject. Do not read diagnoses off it.",
                "Resolution, b-values, field strength and pathology unlike those of the training "
                "data are untested.",
                "The low-resolution input of training was made by averaging; a scanner's own "
                "low-resolution scan differs.",
            ),
        )

    @property
    def _degradations(self) -> list[str]:
        return sorted({subject.degradation for subject in self.parts["train"]})


def prepare_parts(
    cohort: Cohort, data: DTIData, world: World, show: bool
) -> dict[str, Sequence[Prepared]]:
    """Prepare every subject of a cohort; process 0 fills the cache, the others read it."""
    names = ("train", "validation", "test")
    subjects = [subject for name in names for subject in cohort.part(name)]
    if world.is_main:
        prepared = prepare(subjects, data, progress=show)
    world.barrier()
    if not world.is_main:
        prepared = prepare(subjects, data, progress=False)
    found = iter(prepared)
    return {name: [next(found) for _ in cohort.part(name)] for name in names}
