"""The scores of one prediction and of its baselines on one held-out subject."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluation.baselines import Baseline, interpolate
from medrev.evaluation.images import psnr, ssim
from medrev.evaluation.masked import Array, as_array, as_mask
from medrev.evaluation.tensors import (
    direction_error,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
)
from medrev.volumes import interior

__all__ = ["METRICS", "NOISE_FLOOR", "Row", "score", "subject_rows"]

#: The method name of the noise-free truth scored against the noisy reference.
NOISE_FLOOR = "noise floor"

#: Metric key → heading with unit.
METRICS: dict[str, str] = {
    "rmse_interior": "RMSE interior [1e-5 mm²/s]",
    "rmse": "RMSE mask [1e-5 mm²/s]",
    "ratio_interior": "÷ cubic interior",
    "ratio": "÷ cubic mask",
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "fa_error": "FA error",
    "md_error": "MD error [1e-5 mm²/s]",
    "direction_error": "direction error [°]",
    "not_positive_definite": "not positive definite [%]",
}


@dataclass(frozen=True)
class Row:
    """The scores of one method on one subject.

    Attributes:
        subject: Subject name.
        method: ``model``, a baseline, or :data:`NOISE_FLOOR`.
        scores: Value by metric key; ``None`` where the metric is undefined.
        notes: Why a metric is undefined, one sentence each.
    """

    subject: str
    method: str
    scores: dict[str, float | None]
    notes: tuple[str, ...] = field(default=())


def score(
    prediction: Array, reference: Array, mask: Array, edge: int = 5
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """All metrics of one predicted tensor volume.

    RMSE in the interior (voxels whose ``edge``³ neighbourhood lies in the mask) and in the whole
    mask; everything else in the whole mask. PSNR and SSIM are those of the six components with the
    reference's range over all of them; FA and MD errors are mean absolute ones; the direction error
    is the mean angle where the reference's FA exceeds 0.2.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape and frame.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.
        edge: Edge of the interior's neighbourhood in voxels.

    Returns:
        The scores by metric key (without the ratios), ``None`` where undefined, and the reasons.
    """
    inside = as_mask(mask, as_array(reference).shape[1:])
    inner = _interior(inside, edge)
    notes: list[str] = []

    def attempt(metric: Callable[[], float]) -> float | None:
        try:
            return metric()
        except InputError as error:
            if str(error) not in notes:
                notes.append(str(error))
            return None

    scores: dict[str, float | None] = {"rmse_interior": None}
    if inner.any():
        scores["rmse_interior"] = attempt(lambda: tensor_rmse(prediction, reference, inner))
    else:
        notes.append(
            f"no interior: no voxel has its {edge}x{edge}x{edge} neighbourhood in the mask"
        )
    scores["rmse"] = attempt(lambda: tensor_rmse(prediction, reference, inside))
    scores["psnr"] = attempt(lambda: psnr(prediction, reference, inside))
    scores["ssim"] = attempt(lambda: ssim(prediction, reference, inside))
    try:
        maps: dict[str, float] = scalar_error(prediction, reference, inside)
    except InputError as error:
        notes.append(str(error))
        maps = {}
    scores["fa_error"] = maps.get("fa")
    scores["md_error"] = maps["md"] * 1e5 if maps else None
    scores["direction_error"] = attempt(lambda: direction_error(prediction, reference, inside))
    scores["not_positive_definite"] = attempt(
        lambda: 100 * not_positive_definite(prediction, inside)
    )
    return scores, tuple(dict.fromkeys(notes))


def subject_rows(
    subject: str,
    prediction: Array,
    *,
    low: Array,
    reference: Array,
    mask: Array,
    factor: int,
    baselines: Sequence[Baseline] = ("nearest", "trilinear", "cubic", "bspline"),
    truth: Array | None = None,
    edge: int = 5,
) -> list[Row]:
    """Score a model, interpolations of the same input, and the noise floor on one subject.

    Args:
        subject: Subject name.
        prediction: The model's tensors of shape ``(6, I, J, K)`` in mm²/s.
        low: The input tensors of shape ``(6, i, j, k)``, I = factor·i.
        reference: The measured high-resolution tensors of shape ``(6, I, J, K)``.
        mask: Brain mask on the fine grid.
        factor: Ratio of the grids.
        baselines: Which interpolations become rows. Cubic is always computed, for the ratios.
        truth: Noise-free tensors of shape ``(6, I, J, K)``: scored against the reference like any
            prediction, they give the error that a perfect model would show.
        edge: Edge of the interior's neighbourhood in voxels.

    Returns:
        One row per method: the model first, then the baselines, then the noise floor.
    """
    modes: list[Baseline] = list(baselines)
    candidates: dict[str, Array] = {"model": prediction}
    candidates |= {mode: interpolate(low, factor, mode) for mode in modes}
    if truth is not None:
        candidates[NOISE_FLOOR] = truth
    scored = {name: score(volume, reference, mask, edge) for name, volume in candidates.items()}
    cubic = scored.get("cubic") or score(interpolate(low, factor, "cubic"), reference, mask, edge)
    rows = []
    for name, (scores, notes) in scored.items():
        ratios = {
            "ratio_interior": _ratio(scores["rmse_interior"], cubic[0]["rmse_interior"]),
            "ratio": _ratio(scores["rmse"], cubic[0]["rmse"]),
        }
        rows.append(Row(subject, name, {key: {**scores, **ratios}[key] for key in METRICS}, notes))
    return rows


def _ratio(value: float | None, other: float | None) -> float | None:
    """A quotient, or None where it is undefined."""
    if value is None or not other or not math.isfinite(value):
        return None
    return value / other


def _interior(inside: NDArray[np.bool_], edge: int) -> NDArray[np.bool_]:
    """Interior voxels as booleans; none where the volume is smaller than the neighbourhood."""
    return as_array(interior(torch.from_numpy(inside), edge=edge)) > 0
