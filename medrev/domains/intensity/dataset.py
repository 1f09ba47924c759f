"""Data sets of intensities: subjects whose volumes are kept as heads; two contrasts of each."""

import logging
import statistics
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from torch import Tensor

from medrev.config.schema import ContrastData
from medrev.data import Subject
from medrev.data.cohort import cohort_lines
from medrev.data.ranges import ranges_of
from medrev.domains.dataset import CardFacts, CohortDataset, Processes
from medrev.domains.domain import data_of
from medrev.domains.intensity.batches import ContrastBatches, HeadBatches
from medrev.domains.intensity.find import find_contrasts
from medrev.domains.intensity.head import Head, prepare_head
from medrev.domains.intensity.names import contrast_name, contrasts
from medrev.domains.intensity.reading import BACKGROUND
from medrev.domains.sample import Sample, Translated, two_ways
from medrev.errors import InputError, Together
from medrev.metrics import Settings
from medrev.parallel.outcome import processors
from medrev.progress import progress
from medrev.volumes import (
    SLICE_AXES,
    Grid,
    Panel,
    Plane,
    Reorient,
    crop_to_multiple,
    read_volume,
    voxel_size,
)

logger = logging.getLogger(__name__)

#: Digits of a head's key.
_KEY = 16


class HeadDataset(CohortDataset[Head]):
    """Heads of a cohort; every process reads all of them into its memory.

    Attributes:
        data: The data section of the pipeline.
    """

    data: Any
    #: Slices or patches.
    draws: type[HeadBatches[Any]]
    #: What a mask that was not given is.
    nonzero = "nonzero"

    @abstractmethod
    def read_head(self, member: Subject) -> Head:
        """Read a subject.

        Raises:
            InputError: It cannot be used.
        """

    def prepare(
        self, members: Sequence[Subject], world: Processes | None = None, *, show: bool = False
    ) -> list[Head]:
        """Read heads, several at a time."""
        threads = min(8, processors(), max(1, len(members)))
        heads: list[Head] = []
        together = Together()
        with (
            progress("Reading subjects", total=len(members), enabled=show) as bar,
            ThreadPoolExecutor(threads) as pool,
        ):
            try:
                reading = [pool.submit(self.read_head, member) for member in members]
                for member, future in zip(members, reading, strict=True):
                    with together.of(member.id):
                        heads.append(future.result())
                    bar.advance(1, text=member.id)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        together.check()
        if show:
            for head in heads:
                for note in head.notes:
                    logger.info("%s: %s", head.id, note)
        return heads

    def batches(self, *, rank: int = 0, world: int = 1) -> HeadBatches[Any]:
        """Slices or patches of the training heads."""
        return self.draws(
            self.kept("train"),
            self.data,
            self.pipeline.seed,
            **self.order(rank, world),
        )

    def sample(self, ready: Head) -> Sample:
        """Whole volumes."""
        x, y, mask = ready.volumes()
        return Sample(
            id=ready.id,
            x=x,
            y=y,
            scales=ready.scales,
            mask=mask,
            affine=ready.affine,
            key=ready.key,
            facts={
                "mask": self.nonzero if ready.mask_source == "nonzero" else ready.mask_source,
                "scales": list(ready.scales),
                "percentile": self.data.intensities.percentile,
            },
            notes=ready.notes,
        )

    def labels(self, member: Subject, sample: Sample) -> Tensor | None:
        """The label map of a tumour, with the axes of the volumes."""
        path = member.files.get("labels")
        if path is None:
            return None
        volume = read_volume(path)
        if volume.values.shape[0] != 1:
            raise InputError(f"{path}: a 3D volume is needed, got {volume.values.shape[0]} volumes")
        assert sample.y is not None
        assert sample.affine is not None
        reorient, shape = Reorient(volume.affine), tuple(volume.shape[1:])
        labels = reorient.forward(volume.values)
        if max(self.data.factors) > 1:
            labels, _ = crop_to_multiple(labels, self.data.factors)
        grid = Grid(tuple(sample.y.shape[1:]), sample.affine.numpy(), f"the volumes of {sample.id}")
        own = Grid(tuple(labels.shape[1:]), reorient.affine_for(shape))
        grid.check(path, own, "resample the label map onto them")
        return labels[0] if bool(labels.any()) else None

    def written(self, values: Tensor) -> Tensor:
        """No intensity is below that of the background."""
        return values.clamp(min=BACKGROUND)

    def described(self, ready: Head) -> dict[str, Any]:
        """A head."""
        return {
            "id": ready.id,
            "key": ready.key[:_KEY],
            "mask": ready.mask_source,
            "shape": list(ready.shape),
            "intensity": list(ready.scales),
        }


class IntensityDataset(HeadDataset):
    """Two contrasts of the heads of a cohort."""

    data: ContrastData
    draws = ContrastBatches
    nonzero = "both contrasts"

    def look(self) -> None:
        """Find the heads that have both contrasts."""
        self.data = data_of(self.pipeline, ContrastData)
        self.cohort = find_contrasts(self.data)

    def found(self) -> Iterator[str]:
        """The cohort."""
        return cohort_lines(self.cohort, lambda subject: " + ".join(contrasts(subject)))

    def read_head(self, member: Subject) -> Head:
        """Read both contrasts of a head."""
        return prepare_head(member, self.data)

    @property
    def _settings(self) -> Settings:
        """Of 2D networks with the flicker between slices."""
        slices = self.data.slicing
        axis = None if slices is None else SLICE_AXES[slices.axis]
        return replace(super()._settings, slice_axis=axis)

    def panels(self, done: Translated) -> list[list[Panel]]:
        """The slice with most brain, a row for each direction; left is left.

        The view of 2D networks is that of their slices, of 3D ones it is axial.
        """
        sample, slices = done.sample, self.data.slicing
        assert sample.mask is not None
        assert sample.affine is not None
        plane = Plane(sample.affine, sample.mask, "axial" if slices is None else slices.axis)
        return two_ways(
            done,
            (self.x.name, self.y.name),
            lambda values: plane.crop(plane.picture(values)[..., 0]),
            aspect=plane.aspect,
        )

    def header(self) -> dict[str, Any]:
        """Voxel sizes, and by contrast the median intensity that is 1 and how volumes look."""
        heads = self.kept("train")
        edges = [edge for head in heads for edge in voxel_size(head.affine)]
        intensity, ranges = {}, {}
        names = contrast_name(self.data.source), contrast_name(self.data.target)
        for side, name in enumerate(names):
            known = statistics.median(head.scales[side] for head in heads)
            intensity[name] = known if self.data.scale == "auto" else self.data.scale
            ranges[name] = ranges_of(head.fingerprints[side] for head in heads)
        return {
            "voxel_size": [float(min(edges)), float(max(edges))],
            "intensity": intensity,
            "ranges": ranges,
            "mask": sorted({head.mask_source for head in heads}),
        }

    def card(self) -> CardFacts:
        """Synthesis of a contrast."""
        data, heads = self.data, self.kept("train")
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
