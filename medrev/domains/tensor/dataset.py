"""Data sets of diffusion tensors and their low-resolution twins."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from medrev.config.schema import Pipeline
from medrev.data import Subject
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts, Dataset, Processes, cohort_lines
from medrev.domains.sample import Sample
from medrev.domains.tensor.batches import PatchBatches
from medrev.domains.tensor.domain import TensorDomain
from medrev.domains.tensor.find import find_cohort, scanned
from medrev.domains.tensor.preparation import prepare
from medrev.domains.tensor.prepared import Prepared
from medrev.domains.tensor.ranges import training_ranges
from medrev.domains.tensor.scaling import auto_scale
from medrev.volumes import nifti_shape, rescale_affine, voxel_size

__all__ = ["TensorDataset"]


class TensorDataset(Dataset[Subject, Prepared]):
    """Tensors of a cohort, and low-resolution twins made from them.

    Args:
        pipeline: The experiment; its data is of the kind dti.

    Raises:
        ConfigError: It is of another kind.
        InputError: The cohort is missing or cannot be used.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline, TensorDomain(pipeline, "x"), TensorDomain(pipeline, "y"))
        self.data = pipeline.dti
        self.cohort = find_cohort(self.data)

    def members(self, part: str) -> Sequence[Subject]:
        """Subjects."""
        return self.cohort.part(part)

    def files(self, member: Subject) -> Mapping[str, Path]:
        """Raw DWI or tensors, masks, truth."""
        return member.files

    def found(self) -> Iterator[str]:
        """The cohort."""
        return cohort_lines(
            self.cohort, lambda s: "raw DWI" if "dwi" in s.files else "ready tensors"
        )

    def prepare(
        self, members: Sequence[Subject], world: Processes | None = None, *, show: bool = False
    ) -> list[Prepared]:
        """Read, fit and degrade subjects; the first process fills the cache, the others read it."""
        if world is None:
            return prepare(members, self.data, progress=show)
        if world.is_main:
            ready = prepare(members, self.data, progress=show)
        world.barrier()
        return ready if world.is_main else prepare(members, self.data, progress=False)

    def sample(self, ready: Prepared) -> Sample:
        """The twin and the tensors."""
        return Sample(
            id=ready.id,
            x=ready.low,
            y=ready.high,
            scales=(self.scale, self.scale),
            mask=ready.mask,
            affine=ready.affine,
            truth=ready.truth,
            key=ready.key,
            facts={"mask": ready.mask_source, "degradation": ready.degradation},
        )

    @cached_property
    def scale(self) -> float:
        """Diffusivity (mm²/s) that is 1 in the network."""
        return auto_scale(self.kept("train")) if self.data.scale == "auto" else self.data.scale

    def batches(self, *, rank: int = 0, world: int = 1) -> PatchBatches:
        """Patches of the training subjects."""
        return PatchBatches(
            self.kept("train"),
            self.data,
            self.scale,
            self.pipeline.seed,
            unpaired=self.unpaired,
            rank=rank,
            world=world,
        )

    def batches_per_epoch(self) -> tuple[int, bool]:
        """By the headers of the files alone: patches without brain are counted too."""
        subjects, patches, batch = self.members("train"), self.data.patches, self.data.batch_size
        if patches.sampling == "random" and patches.per_subject is not None:
            return max(1, len(subjects) * patches.per_subject // batch), True
        stride, count = patches.stride or patches.size, 0
        for subject in subjects:
            path = scanned(subject)
            assert path is not None
            _, *grid = nifti_shape(path)
            count += math.prod(max(0, (n - patches.size) // stride + 1) for n in grid)
        return max(1, count // batch), False

    def header(self) -> dict[str, Any]:
        """Degradation, voxel sizes and ranges of the training subjects."""
        subjects = self.kept("train")
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
                for subject in self.kept(part)
            ]
            for part in PARTS
        }

    def card(self) -> CardFacts:
        """Super-resolution of tensors."""
        factor = self.data.factor
        return CardFacts(
            task=f"{factor}x super-resolution of diffusion tensors; in reverse, {factor}x "
            "averaging",
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
        return sorted({subject.degradation for subject in self.kept("train")})
