"""Data sets of one contrast, read or drawn, and the low-resolution twins that are made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medrev.config.schema import ANY_CONTRAST, ScalarData
from medrev.data import Cohort, Subject
from medrev.data.cohort import cohort_lines
from medrev.data.epochs import Triple
from medrev.data.ranges import ranges_of
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts
from medrev.domains.domain import Domain, data_of
from medrev.domains.intensity.batches import ScalarBatches
from medrev.domains.intensity.dataset import HeadDataset
from medrev.domains.intensity.find import find_scalars
from medrev.domains.intensity.head import Head, Thick, make_twin, prepare_twin
from medrev.domains.intensity.names import contrast_name
from medrev.domains.intensity.simulation import VOXELS, SimulatedScan, draw_scan
from medrev.domains.sample import Outcome, Translated
from medrev.metrics import interpolate_to
from medrev.volumes import PROFILES, Panel, Plane, block_mask, block_mean, voxel_size

#: Share of a scan that must not be air or cut off.
_CONTENT = 0.25
#: Largest share of the distance between slices that lies between them.
_GAP = 0.3


@dataclass(frozen=True)
class _Place:
    """Which scan of which epoch."""

    part: str
    number: int
    epoch: int = 0

    @property
    def name(self) -> str:
        return f"{self.part}-{self.number:04d}"

    @classmethod
    def of(cls, subject: Subject) -> "_Place":
        part, number = subject.id.split("-")
        return cls(part, int(number))


def simulated_cohort(data: ScalarData) -> Cohort:
    """The scans of the first epoch, of the validation and of the test."""
    subjects = [
        Subject(_Place(part, number).name, split=part)
        for part, count in data.simulated.counts.items()
        for number in range(count)
    ]
    return Cohort(tuple(sorted(subjects, key=lambda s: s.id)), "simulated", Path(), data.split)


def simulated_head(subject: Subject, data: ScalarData, seed: int) -> Head:
    """Draw a scan of :func:`simulated_cohort` and make its twin."""
    return _head(_Place.of(subject), data, seed)


def _head(place: _Place, data: ScalarData, seed: int) -> Head:
    numbers = (seed, PARTS.index(place.part), place.epoch, place.number)
    thick, stretch = Thick.of(data), 1.0
    if place.part == "train" and data.simulated.slices is not None:
        rng = np.random.default_rng((*numbers, 0, 1))
        stretch = float(rng.uniform(*data.simulated.slices)) / data.factors[2]
        profile = PROFILES[int(rng.integers(len(PROFILES)))]
        gap = float(rng.uniform(0, _GAP)) if rng.uniform() < 0.5 else 0.0
        thick = replace(thick, profile=profile, gap=gap)
    scan, attempt = draw_scan(numbers, data.simulated.edge, stretch), 0
    while not _has_content(scan):
        attempt += 1
        scan = draw_scan((*numbers, attempt), data.simulated.edge, stretch)
    return make_twin(
        place.name, scan.values, scan.values != 0, affine=scan.affine, data=data, thick=thick
    )


def _has_content(scan: SimulatedScan) -> bool:
    """Whether there is enough to see, and not one value everywhere."""
    inside = scan.values > 0.02 * scan.values.max()
    return float(inside.float().mean()) >= _CONTENT and float(scan.values.std()) > 0


class SimulatedBatches(ScalarBatches):
    """Patches of heads that are drawn anew for every epoch; those given are of the first."""

    _drawn_for = 0

    def _drawn(self, epoch: int, index: int) -> Triple:
        if epoch != self._drawn_for:
            places = (_Place("train", n, epoch) for n in range(self.data.simulated.train))
            content = self._content  # a position fits whatever epoch it was saved in
            self._take([_head(place, self.data, self.seed) for place in places])
            self._content, self._drawn_for = content, epoch
        return super()._drawn(epoch, index)


class ScalarDataset(HeadDataset):
    """Volumes of one contrast and their twins."""

    data: ScalarData
    validation = ("psnr_forward", "nmae_forward", "nmae_inverse", "cycle_x", "cycle_y")
    ensembles = True

    def look(self) -> None:
        """Find the volumes, or number the scans that are drawn."""
        self.data = data_of(self.pipeline, ScalarData)
        self.cohort = (simulated_cohort if self.is_simulated else find_scalars)(self.data)
        self.draws = SimulatedBatches if self.is_simulated else ScalarBatches

    #: What a mask that was not given is, as tables and reports say it.
    nonzero = "non-zero voxels"

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """Super-resolution."""
        factors = sorted(set(y.pipeline.data.factors) - {1})
        times = " and ".join(f"{factor}-fold" for factor in factors)
        return f"for {times} super-resolution of {_words(y.name)}"

    @property
    def sides(self) -> tuple[str, ...]:
        """Both sides are one contrast."""
        return ()

    def found(self) -> Iterator[str]:
        """The cohort."""
        return cohort_lines(self.cohort, lambda subject: self.data.contrast)

    @property
    def is_simulated(self) -> bool:
        """Whether scans are drawn, not read."""
        return self.data.layout == "simulated"

    def read_head(self, member: Subject) -> Head:
        """Read a volume, or draw one, and make its twin."""
        if self.is_simulated:
            return simulated_head(member, self.data, self.pipeline.seed)
        return prepare_twin(member, self.data)

    def error(self, values: Mapping[str, float]) -> float | None:
        """The PSNR of the fine grid, with its sign changed."""
        psnr = values.get("psnr_forward")
        return None if psnr is None else -psnr

    def outcomes(self, done: Translated, *, baselines: bool = True) -> list[Outcome]:
        """The model beside interpolations, and beside the block mean on the way back."""
        found = []
        assert done.x is not None
        assert done.y is not None
        low = None if done.sample.mask is None else block_mask(done.sample.mask, self.data.factors)
        for one in super().outcomes(done, baselines=False):
            outputs, coarse = dict(one.outputs), one.component in ("y→x", "x→y→x")
            if baselines and one.component == "x→y":
                for mode in self.pipeline.evaluation.baselines:
                    outputs[mode] = self.written(interpolate_to(done.x, done.y.shape[1:], mode))
            elif baselines and one.component == "y→x":
                outputs["block mean"] = block_mean(done.y[None], self.data.factors)[0]
            found.append(replace(one, outputs=outputs, mask=low if coarse else one.mask))
        return found

    def panels(self, done: Translated) -> list[list[Panel]]:
        """Input, cubic interpolation, output, reference and both errors, axial and sagittal."""
        sample = done.sample
        assert done.x is not None
        assert done.y is not None
        assert done.fake_y is not None
        assert sample.mask is not None
        assert sample.affine is not None
        shape = done.y.shape[1:]
        cubic = interpolate_to(done.x, shape, "cubic")
        shown = {
            "input": interpolate_to(done.x, shape, "nearest"),
            "cubic": cubic,
            "output": done.fake_y,
            "reference": done.y,
            "|cubic − reference|": (cubic - done.y).abs(),
            "|output − reference|": (done.fake_y - done.y).abs(),
        }
        planes = [Plane(sample.affine, sample.mask, view) for view in ("axial", "sagittal")]
        return [
            [
                Panel(
                    plane.crop(plane.picture(values)[..., 0]),
                    low=0.0 if name.startswith("|") else -1.0,
                    high=0.5 if name.startswith("|") else 1.0,
                    colours="inferno" if name.startswith("|") else "gray",
                    aspect=plane.aspect,
                    heading=name if number == 0 else "",
                    sides=plane.sides if name == "input" else "",
                )
                for name, values in shown.items()
            ]
            for number, plane in enumerate(planes)
        ]

    def header(self) -> dict[str, Any]:
        """Voxel sizes of the coarse grid, and how its volumes look."""
        heads = self.kept("train")
        edges = [edge for head in heads for edge in voxel_size(head.coarse_affine())]
        name = contrast_name(self.data.contrast)
        ranges = ranges_of(head.fingerprints[0] for head in heads)
        if self.is_simulated:  # cubes, not heads
            ranges = {key: ranges[key] for key in ("median", "inside")}
            thick = self.data.simulated.slices or self.data.factors
            edges = [VOXELS[0] * min(self.data.factors), VOXELS[1] * max(thick)]
        return {
            "voxel_size": [float(min(edges)), float(max(edges))],
            "ranges": {name: ranges},
            "mask": sorted({head.mask_source for head in heads}),
        }

    def _drawn(self) -> Iterator[str]:
        """How simulated scans came about."""
        drawn = self.data.simulated
        if not self.is_simulated:
            return
        yield (
            f"All scans are simulated: {drawn.train} cubes of {drawn.edge}³ voxels, drawn anew for "
            "every epoch, of tissue that is folded, layered and crossed by vessels, of shapes of "
            "all sizes, with any contrast, point spread, bias field and noise."
        )
        if drawn.slices is not None:
            low, high = drawn.slices
            yield (
                f"Slices of training are {low:g} to {high:g} times as far apart as voxels are "
                "wide, with box or Gaussian profiles and gaps up to 30 % of their distance."
            )

    def card(self) -> CardFacts:
        """Super-resolution of a contrast."""
        data, made = self.data, self.data.degradation
        times = " × ".join(str(r) for r in data.factors)
        gap = f", gap {made.gap:.0%}" if made.gap else ""
        return CardFacts(
            task=f"super-resolution of {_words(data.contrast)}, {times} (left-right, back-front, "
            "bottom-top); in reverse, averaging",
            data=(
                *self._drawn(),
                f"Low-resolution input: means of fine voxels, slice profile {made.profile}{gap}.",
                f"Numbers inside: -1 is 0, and 1 is the {data.intensities.percentile:g}th "
                "percentile of the input volume in its mask; results have the intensities of the "
                "input. L1 and cycle errors are shares of that range.",
            ),
            limits=(
                "The output is an estimate: structures below the input's resolution come from the "
                "training data, not from the subject. Lesions may be lost or invented. Do not "
                "read diagnoses off it.",
                "Sequences, field strengths, resolutions and pathologies unlike those of the "
                "training data are untested.",
                "The low-resolution input of training was made by averaging; a scanner's own "
                "low-resolution scan differs.",
            ),
        )


def _words(contrast: str) -> str:
    """Volumes of a contrast, in words."""
    return "MRI of any contrast" if contrast == ANY_CONTRAST else f"{contrast} volumes"
