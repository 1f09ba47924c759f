"""How likely a scan's own details and its tissue are, beside those of scans like the training's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.errors import InputError
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
        """From mean ``value`` and standard deviation around each place ``(I, J, K)``, in medians.

        Medians are the scan's; with the anisotropy, the mask without its rim, and voxel edges in
        mm.
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


#: What warnings of scores begin with.
_UNLIKE = "unlike the training: score"

#: What the map of the places is, and its unit.
ABOUT_PLACES = (
    "Score: -ln p of the scan's details, given the scan made coarser, for each of their dimensions",
    "nat",
)

#: Quantiles, in percent, that weight files have of scores; the last one is that of warnings.
_QUANTILES = (50, 90, 99)
_KEY = "Score"
#: How rare tissue is, in tenths of a nat, cell by cell.
_TISSUE = "Tissue"
#: Scores up to which there is no doubt, whatever others have: mL.
LEAST = {"tissue": 0.5}
#: Scans from which on it is known.
_FEWEST = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """What the flow of a posterior says of a scan's details, given the scan made coarser.

    Attributes:
        places: −ln p for each dimension, in nats, ``(1, *spatial)`` on the scan's grid, a block of
            voxels at a time; 0 where it is not known.
        tail: How far the least likely places lie from the others: of the places' −ln p, the
            percentile 99.9 less the median, in deviations (1.4826 times the median one). Noise
            changes it little.
        gains: ln p that the details gain where the scan's directions are taken otherwise
            (:meth:`Domain.mistaken`), in standard errors: far below 0 where directions fit the
            anatomy. Empty where a scan has no directions.
        tissue: What lies around every place; None where that is not looked at.
        rarity: −ln p of the cells of the tissue; None where it is not known.
    """

    places: Tensor
    tail: float
    gains: Mapping[str, float] = field(default_factory=dict)
    tissue: Tissue | None = None
    rarity: Floats | None = None

    @property
    def values(self) -> dict[str, float]:
        """Tail, largest gain ``axes``, mL of rare ``tissue``; larger is less like the training."""
        told = {"tail": self.tail}
        if self.gains:
            told["axes"] = max(self.gains.values())
        if self.tissue is not None and self.rarity is not None:
            told["tissue"] = self.tissue.volume(self.rarity)
        return told

    def beside(self, tissue: Tissue | None, header: Mapping[str, Any]) -> "Score":
        """The same with the scan's tissue, and how rare that is to a weight file.

        Raises:
            InputError: The weight file tells of another number of kinds of tissue.
        """
        known = header.get(_TISSUE)
        if known is not None and np.shape(known) != (CELLS,):
            raise InputError(
                f"the weights know how rare {np.shape(known)} kinds of tissue are, {CELLS} are "
                "needed: calibrate the model again (medrev-calibrate)"
            )
        return replace(self, tissue=tissue, rarity=None if known is None else np.array(known) / 10)

    @staticmethod
    def header(scores: "list[Score]") -> dict[str, Any]:
        """What weight files say of the scores of the scans that they are compared with.

        How much tissue of a scan is rare is counted by that of the others.
        """
        if not scores:
            return {}
        found: dict[str, Any] = {}
        shares = [score.tissue.shares for score in scores if score.tissue is not None]
        if len(shares) == len(scores) >= _FEWEST:
            found[_TISSUE] = (10 * rarity(shares)).round().astype(int).tolist()
            scores = [
                replace(score, rarity=rarity([*shares[:n], *shares[n + 1 :]]))
                for n, score in enumerate(scores)
            ]
        quantiles = {
            name: {
                f"{q}": float(np.percentile([s.values[name] for s in scores], q))
                for q in _QUANTILES
            }
            for name in scores[0].values
        }
        return {_KEY: {**quantiles, "subjects": len(scores)}, **found}

    def about(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of the sidecar; the header is the weight file's."""
        return {_KEY: {**self.values, "Quantiles": header.get(_KEY)}}

    @property
    def maps(self) -> dict[str, Tensor]:
        """What is written, each ``(1, *spatial)`` on the grid of the scan."""
        if self.tissue is None or self.rarity is None:
            return {"score": self.places}
        tissue = torch.from_numpy(self.tissue.places(self.rarity)).float()
        return {"score": self.places, "tissue": tissue[None]}

    def doubts(self, header: Mapping[str, Any]) -> list[str]:
        """Where the scan is unlike those that the weight file was calibrated on, in words."""
        known, last = header.get(_KEY, {}), f"{_QUANTILES[-1]}"
        words = {
            "tail": "some places are less likely (see the score map): losses of signal, artefacts?",
            "axes": "main directions fit the anatomy less: are the b-vectors right, did the head "
            f"move? (best rival: {max(self.gains, key=self.gains.__getitem__, default='none')})",
            "tissue": "so many mL are smooth and unlike tissue or water (see the tissue map): "
            "lesions, motion, or a mask with more than brain?",
        }
        return [
            f"{_UNLIKE} {name} {value:.3g} lies beyond the {last} % quantile of "
            f"{known['subjects']} scans, {known[name][last]:.3g}; {words[name]}"
            for name, value in self.values.items()
            if name in known and value > max(known[name][last], LEAST.get(name, -math.inf))
        ]


def told_doubts(sidecar: Mapping[str, Any]) -> list[str]:
    """Those that the sidecar of a result tells."""
    return [line for line in sidecar.get("Warnings", ()) if line.startswith(_UNLIKE)]
