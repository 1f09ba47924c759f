"""How likely a scan's own details are, beside those of scans like the training's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

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
    """

    places: Tensor
    tail: float
    gains: Mapping[str, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Tail and largest gain, ``axes``; larger is less like the training."""
        return {"tail": self.tail} | ({"axes": max(self.gains.values())} if self.gains else {})

    @staticmethod
    def header(scores: "list[Score]") -> dict[str, Any]:
        """What weight files say of the scores of the scans that they are compared with."""
        if not scores:
            return {}
        quantiles = {
            name: {
                f"{q}": float(np.percentile([s.values[name] for s in scores], q))
                for q in _QUANTILES
            }
            for name in scores[0].values
        }
        return {_KEY: {**quantiles, "subjects": len(scores)}}

    def about(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of the sidecar; the header is the weight file's."""
        return {_KEY: {**self.values, "Quantiles": header.get(_KEY)}}

    def doubts(self, header: Mapping[str, Any]) -> list[str]:
        """Where the scan is unlike those that the weight file was calibrated on, in words."""
        known, last = header.get(_KEY, {}), f"{_QUANTILES[-1]}"
        words = {
            "tail": "some places are less likely (see the score map): losses of signal, artefacts?",
            "axes": "main directions fit the anatomy less: are the b-vectors right, did the head "
            f"move? (best rival: {max(self.gains, key=self.gains.__getitem__, default='none')})",
        }
        return [
            f"{_UNLIKE} {name} {value:.3g} lies beyond the {last} % quantile of "
            f"{known['subjects']} scans, {known[name][last]:.3g}; {words[name]}"
            for name, value in self.values.items()
            if name in known and value > known[name][last]
        ]


def told_doubts(sidecar: Mapping[str, Any]) -> list[str]:
    """Those that the sidecar of a result tells."""
    return [line for line in sidecar.get("Warnings", ()) if line.startswith(_UNLIKE)]
