"""Intervals around an estimate: their level, and how many standard deviations wide they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from torch import Tensor

_NOISE = "Noise"
#: The share of voxels, in percent, that widths are fitted to: samples' tails are heavier than a
#: normal distribution's, and their middle lighter.
WIDTH_LEVEL = 80.0


@dataclass(frozen=True, kw_only=True)
class Width:
    """How wide samples lie around an estimate, by the noise of the scan: (noise / one) ** slope.

    A network reads noise from the neighbourhood of a voxel, hence not well; the whole scan tells it
    better. Calibration finds the two numbers on subjects (``medrev-calibrate``).

    Attributes:
        slope: 0: all scans have the width 1.
        one: Noise, in the network's range, of scans whose samples are as wide as the network's.
        least: Lowest noise of those subjects; scans with less are taken to have as much.
    """

    slope: float = 0.0
    one: float = 1.0
    least: float = 0.0

    @classmethod
    def fit(cls, noise: Sequence[float], needed: Sequence[float]) -> "Width":
        """The width that subjects need, a line in logarithms through their points.

        It grows at most in proportion to the noise: what is steeper is chance of few subjects.

        Args:
            noise: Of every subject.
            needed: Factors on the standard deviation with which `WIDTH_LEVEL` of a subject's voxels
                lie in their intervals.
        """
        if min(noise) == max(noise):
            return cls()
        x = np.log(noise)
        y = np.log(needed) - math.log(NormalDist().inv_cdf(0.5 + WIDTH_LEVEL / 200))
        slope = min(float(np.polyfit(x, y, 1)[0]), 1.0)
        if not slope > 0:
            return cls()
        return cls(slope=slope, one=math.exp(x.mean() - y.mean() / slope), least=min(noise))

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> "Width":
        """That of a weight file; 1 where nothing was calibrated."""
        told = header.get(_NOISE, {})
        return cls(**{name.lower(): float(value) for name, value in told.items()})

    def header(self) -> dict[str, Any]:
        """What a weight file says of it, in the place of what it said before."""
        told = {"Slope": self.slope, "One": self.one, "Least": self.least}
        return {_NOISE: told if self.slope else {}}

    def at(self, noise: float | None) -> float:
        """That of a scan; 1 where its noise is not known."""
        return 1.0 if noise is None else (max(noise, self.least) / self.one) ** self.slope


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Which share of truths intervals are to hold.

    Attributes:
        level: In percent.
        calibrated: Factor on the standard deviation by quantity, of those that were calibrated on
            subjects (``medrev-calibrate``).
    """

    level: float
    calibrated: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, level: float, header: Mapping[str, Any], *, ensemble: int, samples: int | None = None
    ) -> "Interval":
        """The intervals of a level with the factors that a weight file holds for what was asked.

        Args:
            level: In percent.
            header: Of the weight file: ``Conformal`` holds factors by quantity and level,
                ``ConformalSource`` what they are for.
            ensemble: Symmetries of the grid; 1 where samples are drawn.
            samples: How many are drawn; few tell a deviation less well than many. None: none are.
        """
        source = header.get("ConformalSource", {})
        if any(
            source.get(name, asked) != asked
            for name, asked in (("ensemble", ensemble), ("samples", samples))
        ):
            return cls(level=level)
        found = {
            quantity: float(factors[f"{level:g}"])
            for quantity, factors in header.get("Conformal", {}).items()
            if f"{level:g}" in factors
        }
        return cls(level=level, calibrated=found)

    def factor(self, quantity: str) -> float:
        """Standard deviations from the estimate to each end; uncalibrated, a normal's."""
        return self.calibrated.get(quantity, NormalDist().inv_cdf(0.5 + self.level / 200))

    def bounds(self, quantity: str, estimate: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper end, ``(1, *spatial)`` each."""
        reach = self.factor(quantity) * std
        return estimate - reach, estimate + reach

    def cone(self, scatter: Tensor) -> Tensor:
        """Half-angle in degrees of the cone that holds main directions, 0 to 90.

        Small deviations from a direction, normal and alike both ways, have squares that are
        exponentially distributed: its quantile is −ln(1 − level) times their mean.

        Args:
            scatter: Root of the mean sin² of the angles between samples and the estimate.
        """
        factor = math.sqrt(-math.log(1 - self.level / 100))
        return (factor * scatter).clamp(0, 1).asin().rad2deg()

    def guarantee(self, quantities: Sequence[str]) -> str | None:
        """What is promised of the intervals of quantities, in words; None where nothing is."""
        known = [name for name in quantities if name in self.calibrated]
        if not known:
            return None
        return (
            f"the {self.level:g} % intervals of {', '.join(known)} hold {self.level:g} % of a "
            "brain's voxels, on average over subjects like those of their calibration"
        )

    def about(self, quantities: Sequence[str]) -> dict[str, Any]:
        """Keys of the sidecar.

        Args:
            quantities: Those whose intervals are written.
        """
        return {
            "IntervalLevel": self.level,
            "IntervalFactors": {name: self.factor(name) for name in quantities},
            "IntervalCalibrated": set(quantities) <= set(self.calibrated),
        }
