"""Data sets of two contrasts of the same heads."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from medrev.config.schema import ContrastData
from medrev.data import Subject
from medrev.data.ranges import ranges_of
from medrev.domains.dataset import CardFacts
from medrev.domains.domain import data_of
from medrev.domains.found import cohort_lines
from medrev.domains.intensity.batches import ContrastBatches
from medrev.domains.intensity.find import find_contrasts
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.heads import HeadDataset
from medrev.domains.intensity.names import contrast_name, contrasts
from medrev.domains.intensity.preparation import prepare_head
from medrev.domains.sample import Translated, two_ways
from medrev.metrics import Settings
from medrev.volumes import SLICE_AXES, Panel, Plane, voxel_size


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
