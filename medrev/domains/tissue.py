"""Smooth places of a scan: how rare their tissue is among scans like the training's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrev.metrics import Floats

#: What the map of the places is, and its unit.
ABOUT_TISSUE = ("Tissue: -ln p of the value, spread and anisotropy around every place", "nat")

#: Cells of the logarithm of value and spread, both in medians of the scan, and of the anisotropy.
_SHAPE = (20, 16, 8)
#: All of them.
CELLS = math.prod(_SHAPE)
_BOUNDS = ((math.log(0.3), math.log(5)), (math.log(0.01), math.log(3)), (0.0, 0.9))
#: Deviations of the normal distribution that shares of cells are smoothed with.
_BLUR = (0.7, 0.7, 0.5)
#: Nothing is rarer than this, in nats: a cell that no scan has, nor its neighbours.
_NEVER = 20.0
#: Spread ÷ value up to which a place is smooth, and nats from which it is rare.
_SMOOTH, _RARE = 0.25, 12.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Tissue:
    """Every place of a scan as one cell of value, spread and anisotropy around it.

    Edges between tissues differ from head to head; what lies smoothly inside of one tissue does
    not. Only smooth places are therefore asked how rare they are.

    Attributes:
        cells: ``(I, J, K)`` numbers of cells.
        inside: ``(I, J, K)`` the places.
        smooth: ``(I, J, K)`` those whose spread is small.
        voxel: Volume of a voxel, mL.
    """

    cells: NDArray[np.int64]
    inside: NDArray[np.bool_]
    smooth: NDArray[np.bool_]
    voxel: float

    @classmethod
    def of(
        cls,
        value: Floats,
        spread: Floats,
        anisotropy: Floats,
        inside: NDArray[np.bool_],
        edges: Sequence[float],
    ) -> "Tissue":
        """From the mean and the standard deviation around every place, in medians of the scan.

        Args:
            value: ``(I, J, K)``.
            spread: ``(I, J, K)``.
            anisotropy: ``(I, J, K)``, 0 to 1.
            inside: ``(I, J, K)`` the mask without its rim.
            edges: Voxel edges, mm.
        """
        features = (np.log(value.clip(1e-3)), np.log(spread.clip(1e-3)), anisotropy)
        numbers = [
            ((feature - low) / (high - low) * count).astype(np.int64).clip(0, count - 1)
            for feature, (low, high), count in zip(features, _BOUNDS, _SHAPE, strict=True)
        ]
        return cls(
            cells=np.ravel_multi_index(tuple(numbers), _SHAPE),
            inside=inside,
            smooth=inside & (spread < _SMOOTH * value),
            voxel=math.prod(edges) / 1000,
        )

    @property
    def shares(self) -> Floats:
        """Share of every cell among the places."""
        counts = np.bincount(self.cells[self.inside], minlength=CELLS)
        return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)

    def places(self, rarity: Floats) -> Floats:
        """−ln p of every place ``(I, J, K)``, 0 outside."""
        return np.where(self.inside, rarity[self.cells], 0.0)

    def volume(self, rarity: Floats) -> float:
        """Volume in mL of the smooth places that are rare."""
        return float((rarity[self.cells[self.smooth]] > _RARE).sum() * self.voxel)


def rarity(shares: Sequence[Floats]) -> Floats:
    """−ln p of every cell, where scans have these shares of it."""
    from scipy.ndimage import gaussian_filter

    mean = np.mean(shares, axis=0).reshape(_SHAPE)
    smoothed = gaussian_filter(mean, _BLUR, mode="constant")
    return np.asarray(-np.log(smoothed.clip(math.exp(-_NEVER)))).ravel()
