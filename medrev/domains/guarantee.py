"""What a result guarantees: that it gives back its scan, and what its intervals hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """What was measured on the numbers that are written, on the scan's own grid.

    Attributes:
        degradation: How the result was made coarse again, in words.
        unit: Of the numbers.
        maximum: Largest difference from the scan.
        rms: Root mean square of it.
        largest: Largest value of the scan.
        voxels: Voxels of the scan that were compared.
        moved: Root mean square of what the result was moved by.
        smoothed: Voxels of the scan whose details were made smaller, so that tensors stay positive
            definite.
        impossible: Voxels of the scan without an answer (their own tensor is not positive
            definite), left as the network gives them and not counted above.
    """

    degradation: str
    unit: str
    maximum: float
    rms: float
    largest: float
    voxels: int
    moved: float
    smoothed: int = 0
    impossible: int = 0

    @classmethod
    def measured(
        cls,
        left: Tensor,
        given: Tensor,
        moved: Tensor,
        *,
        degradation: str,
        unit: str,
        **counts: int,
    ) -> "Consistency":
        """From differences and values of the same shape, one voxel in every column ``(C, V)``.

        Args:
            left: What is left over between the result made coarse and the scan.
            given: The scan.
            moved: What the fine voxels were moved by, of any shape.
            degradation: As the attribute.
            unit: As the attribute.
            counts: ``smoothed``, ``impossible``.
        """

        def rms(values: Tensor) -> float:
            return float(values.double().square().mean().sqrt()) if values.numel() else 0.0

        def most(values: Tensor) -> float:
            return float(values.abs().max()) if values.numel() else 0.0

        return cls(
            degradation=degradation,
            unit=unit,
            maximum=most(left),
            rms=rms(left),
            largest=most(given),
            voxels=left.shape[-1],
            moved=rms(moved),
            **counts,
        )

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest value."""
        return self.maximum / self.largest if self.largest else 0.0

    def __str__(self) -> str:
        count, text = self.voxels + self.impossible, f"all {self.voxels} voxels"
        if self.impossible:
            text = f"{self.voxels} of {count} voxels; the others have no answer"
        return (
            f"the result gives back the scan: the {self.degradation} differs from it by at most "
            f"{self.relative:.1g} of the largest value, in {text} (was the file resampled before, "
            "this is said of its grid, not of what the scanner measured)"
        )

    @property
    def about(self) -> Mapping[str, Any]:
        """As keys of sidecar and certificate."""
        return {
            "Degradation": self.degradation,
            "Units": self.unit,
            "MaxResidual": self.maximum,
            "RMSResidual": self.rms,
            "LargestValue": self.largest,
            "RelativeResidual": self.relative,
            "ComparedVoxels": self.voxels,
            "RMSChange": self.moved,
            "SmoothedVoxels": self.smoothed,
            "ImpossibleVoxels": self.impossible,
        }


class Certificate:
    """The file of what a result guarantees: all that its sidecars have, and nothing else."""

    about: ClassVar[dict[str, Any]] = {"Description": "Certificate of a result"}

    def write(self, path: Path) -> None:
        """It is its own sidecar."""


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

    @staticmethod
    def calibrated_for(header: Mapping[str, Any]) -> str:
        """What the factors in a weight file are for, or what makes some."""
        source, factors = header.get("ConformalSource", {}), header.get("Conformal", {})
        levels = sorted({float(level) for each in factors.values() for level in each})
        if not levels:
            return "medrev-calibrate"
        name = "samples" if source.get("samples") else "ensemble"
        shown = ", ".join(f"{level:g}" for level in levels)
        return (
            f"the model is calibrated for --{name} {source.get(name)} and --interval {shown}, "
            "without --temperature and --consistency"
        )

    def factor(self, quantity: str) -> float:
        """Standard deviations from the estimate to each end; uncalibrated, a normal's."""
        return self.calibrated.get(quantity, NormalDist().inv_cdf(0.5 + self.level / 200))

    def bounds(self, quantity: str, estimate: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper end, ``(1, *spatial)`` each."""
        reach = self.factor(quantity) * std
        return estimate - reach, estimate + reach

    def cone(self, scatter: Tensor) -> Tensor:
        """Half-angle in degrees, 0 to 90, of the cone that holds main directions.

        It is made from the root of the mean sin² of the angles between samples and the estimate.

        Small deviations from a direction, normal and alike both ways, have squares that are
        exponentially distributed: its quantile is −ln(1 − level) times their mean.
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
        """Keys of the sidecar, with those quantities whose intervals are written."""
        return {
            "IntervalLevel": self.level,
            "IntervalFactors": {name: self.factor(name) for name in quantities},
            "IntervalCalibrated": set(quantities) <= set(self.calibrated),
        }
