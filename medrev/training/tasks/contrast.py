"""Contrast synthesis: whole held-out volumes, errors in the brain as shares of the range."""

import logging
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from medrev.config.schema import ContrastData, Pipeline
from medrev.domains.intensity import (
    BACKGROUND,
    ContrastBatches,
    Head,
    contrast_name,
    contrast_ranges,
    find_contrasts,
    prepare_contrasts,
)
from medrev.evaluation import (
    HELDOUT,
    NETWORK_RANGE,
    HeldoutTable,
    Results,
    Translated,
    score_translated,
    translate_sample,
)
from medrev.prediction import Model
from medrev.progress import progress
from medrev.training.contrast_samples import save_contrast_sample
from medrev.training.tasks.task import CardFacts, Score, Task
from medrev.volumes import SLICE_AXES, voxel_size

__all__ = ["ContrastTask"]

logger = logging.getLogger(__name__)

#: Scores of a validation.
_SCORES = ("nmae_forward", "nmae_inverse", "cycle_x", "cycle_y")
_PARTS = ("train", "validation", "test")
#: Digits of a head's key.
_KEY = 16


class ContrastTask(Task):
    """Two contrasts of the heads of a cohort.

    Every process reads all heads into its memory.

    Args:
        pipeline: The experiment; its data is of the kind contrast.
        show: Show progress.

    Attributes:
        parts: Heads by part.
    """

    def __init__(self, pipeline: Pipeline, *, show: bool) -> None:
        data = pipeline.data
        assert isinstance(data, ContrastData)
        self.pipeline, self.data = pipeline, data
        cohort = find_contrasts(data)
        subjects = {name: cohort.part(name) for name in _PARTS}
        together = [subject for name in _PARTS for subject in subjects[name]]
        found = iter(prepare_contrasts(together, data, progress=show))
        self.parts: dict[str, Sequence[Head]] = {
            name: [next(found) for _ in subjects[name]] for name in _PARTS
        }
        if show:
            for head in self._all:
                for note in head.notes:
                    logger.info("%s: %s", head.id, note)
        self.scale = 1.0
        self.counts = {name: len(heads) for name, heads in self.parts.items()}

    def batches(self, *, rank: int = 0, world: int = 1) -> ContrastBatches:
        """Slices or patches of the training heads."""
        return ContrastBatches(
            self.parts["train"],
            self.data,
            self.pipeline.seed,
            unpaired=self.pipeline.method.kind == "unpaired",
            rank=rank,
            world=world,
        )

    def validate(self, model: Model) -> Score:
        """L1 of both directions and of the round trips, on whole validation volumes."""
        sample: Translated | None = None
        scores = []
        for head in self.parts["validation"]:
            done = _translate(model, head)
            scores.append(score_translated(done, _written, baselines=False, columns=_SCORES))
            sample = done if sample is None else sample
        values = HeldoutTable(Results.join(scores)).means()
        return Score(
            error=statistics.fmean(v for name, v in values.items() if name.startswith("nmae")),
            values=values,
            message=", ".join(f"{HELDOUT[n].title} {value:.4f}" for n, value in values.items()),
            sample=sample,
        )

    def heldout(self, model: Model, *, show_progress: bool) -> HeldoutTable:
        """The model and the input as it is; of 2D networks with the flicker between slices."""
        slices = self.data.slicing
        axis = None if slices is None else SLICE_AXES[slices.axis]
        settings = replace(NETWORK_RANGE, slice_axis=axis)
        scores = []
        with progress("Held-out subjects", self.counts["test"], enabled=show_progress) as bar:
            for head in self.parts["test"]:
                done = _translate(model, head)
                scores.append(score_translated(done, _written, settings=settings))
                bar.advance(1, text=head.id)
        return HeldoutTable(Results.join(scores))

    def picture(self, path: Path, model: Model, title: str, sample: Any = None) -> None:
        """A slice of the first validation head, else of the first training head."""
        training = sample is None
        head = self.parts["train" if training else "validation"][0]
        done = _translate(model, head) if training else sample
        whose = f"{head.id} (training)" if training else head.id
        names = (self.data.source, self.data.target)
        save_contrast_sample(path, done, head.affine, names, f"{title}, {whose}")

    def header(self) -> dict[str, Any]:
        """Voxel sizes, and by contrast the median intensity that is 1 and how volumes look."""
        heads = self.parts["train"]
        edges = [edge for head in heads for edge in voxel_size(head.affine)]
        intensity, ranges = {}, {}
        names = contrast_name(self.data.source), contrast_name(self.data.target)
        for side, name in enumerate(names):
            known = statistics.median(head.scales[side] for head in heads)
            intensity[name] = known if self.data.scale == "auto" else self.data.scale
            ranges[name] = contrast_ranges(head.looks[side] for head in heads)
        return {
            "voxel_size": [float(min(edges)), float(max(edges))],
            "intensity": intensity,
            "ranges": ranges,
            "mask": sorted({head.mask_source for head in heads}),
        }

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The heads of each part."""
        return {
            part: [
                {
                    "id": head.id,
                    "key": head.key[:_KEY],
                    "mask": head.mask_source,
                    "shape": list(head.shape),
                    "intensity": list(head.scales),
                }
                for head in heads
            ]
            for part, heads in self.parts.items()
        }

    def card(self) -> CardFacts:
        """Synthesis of a contrast."""
        data, heads = self.data, self.parts["train"]
        batches = self.batches().samples_per_epoch
        masks = " or ".join(
            {"given": "that were given", "nonzero": "where neither contrast is 0"}[source]
            for source in sorted({head.mask_source for head in heads})
        )
        if data.samples == "slices":
            size = data.slices.size
            samples = f"{batches} {data.slices.axis} slices of {size}²"
        else:
            samples = f"{batches} patches of {data.patches.size}³"
        way = f"; in reverse, {data.target} to {data.source}"
        return CardFacts(
            task=f"synthesis of MRI contrasts, {data.source} to {data.target}"
            f"{way if self.pipeline.method.trains_inverse else ''}",
            subject="subject",
            data=(
                f"{len(heads)} training volumes of each contrast; an epoch has {samples}. Brain "
                f"masks {masks}.",
                f"Numbers inside: -1 is 0, and 1 is the {data.intensities.percentile:g}th "
                "percentile of a volume's own brain; intensities of MRI have no unit. L1 and cycle "
                "errors are shares of that range, in the brain.",
            ),
            limits=(
                "The output is an estimate: what the input does not show is made up after the "
                "training data. Lesions may be lost or invented. Do not read diagnoses off it.",
                "Sequences, field strengths, resolutions and pathologies unlike those of the "
                "training data are untested.",
                "Intensities of the output are those of a median training volume, not those that "
                "a scanner would give for this head.",
            ),
        )

    @property
    def _all(self) -> list[Head]:
        return [head for heads in self.parts.values() for head in heads]


def _translate(model: Model, head: Head) -> Translated:
    x, y, mask = head.whole()
    return translate_sample(model, x, y, names=(head.id, head.id), mask=mask)


def _written(result: Tensor) -> Tensor:
    """A result as its file holds it: no intensity is below that of the background."""
    return result.clamp(min=BACKGROUND)
