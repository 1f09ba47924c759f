"""Heads that are drawn, not read: a cohort without files, and batches that never end."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medrev.config.schema import ScalarData
from medrev.data import Cohort, Subject
from medrev.data.epochs import Triple
from medrev.data.subject import PARTS
from medrev.domains.intensity.batches import ScalarBatches
from medrev.domains.intensity.head import Head, Thick, make_twin
from medrev.domains.intensity.simulation import SimulatedScan, draw_scan
from medrev.volumes import PROFILES

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
