"""The scores of one prediction and of its baselines on one held-out subject."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medrev.evaluation.records import INTERIOR, MASK, Key, Results
from medrev.evaluation.subject import evaluate_methods
from medrev.evaluation.target import Settings
from medrev.metrics import Array, Baseline, interpolate

__all__ = [
    "DIGITS",
    "HIGHER_IS_BETTER",
    "METRICS",
    "NOISE_FLOOR",
    "SEGMENTATION_METRICS",
    "TENSOR_METRICS",
    "TRANSLATION_METRICS",
    "Row",
    "score",
    "subject_rows",
]

#: The method name of the noise-free truth scored against the noisy reference.
NOISE_FLOOR = "noise floor"

#: Metrics of diffusion tensors: key → heading with unit.
TENSOR_METRICS: dict[str, str] = {
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
#: Metrics of images and contrasts, in both directions.
TRANSLATION_METRICS: dict[str, str] = {
    "nmae_forward": "L1 x→y",
    "psnr_forward": "PSNR x→y [dB]",
    "ssim_forward": "SSIM x→y",
    "flicker_forward": "slice flicker x→y",
    "nmae_inverse": "L1 y→x",
    "psnr_inverse": "PSNR y→x [dB]",
    "ssim_inverse": "SSIM y→x",
    "flicker_inverse": "slice flicker y→x",
    "cycle_x": "cycle error x→y→x",
    "cycle_y": "cycle error y→x→y",
}
#: Metrics of segmentations, counted over all images together.
SEGMENTATION_METRICS: dict[str, str] = {
    "pixel_accuracy": "per-pixel accuracy",
    "class_accuracy": "per-class accuracy",
    "class_iou": "class IoU",
}
#: All metrics, in the order of tables.
METRICS = TENSOR_METRICS | TRANSLATION_METRICS | SEGMENTATION_METRICS

#: Digits of the metrics that have more than two.
DIGITS = {
    "ratio_interior": 3,
    "ratio": 3,
    "ssim": 4,
    "fa_error": 4,
    "not_positive_definite": 3,
    "nmae_forward": 4,
    "ssim_forward": 4,
    "flicker_forward": 3,
    "nmae_inverse": 4,
    "ssim_inverse": 4,
    "flicker_inverse": 3,
    "cycle_x": 5,
    "cycle_y": 5,
    "pixel_accuracy": 3,
    "class_accuracy": 3,
    "class_iou": 3,
}
#: Metrics of which larger values are better.
HIGHER_IS_BETTER = frozenset(
    {"psnr", "ssim", "psnr_forward", "ssim_forward", "psnr_inverse", "ssim_inverse"}
    | SEGMENTATION_METRICS.keys()
)

#: Which records the scores are.
_KEYS = {
    "rmse_interior": Key("rmse", INTERIOR),
    "rmse": Key("rmse"),
    "psnr": Key("psnr"),
    "ssim": Key("ssim"),
    "fa_error": Key("mae", MASK, "FA"),
    "md_error": Key("mae", MASK, "MD"),
    "direction_error": Key("direction_error"),
    "not_positive_definite": Key("not_positive_definite"),
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
    """The scores of one predicted tensor volume.

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
    return _scores({"": prediction}, reference, mask, edge)[""]


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
    volumes: dict[str, Array] = {"model": prediction}
    volumes |= {mode: interpolate(low, factor, mode) for mode in baselines}
    if truth is not None:
        volumes[NOISE_FLOOR] = truth
    methods = tuple(volumes)
    if "cubic" not in volumes:
        volumes["cubic"] = interpolate(low, factor, "cubic")
    scored = _scores(volumes, reference, mask, edge)
    cubic = scored["cubic"][0]
    rows = []
    for method in methods:
        scores, notes = scored[method]
        ratios = {
            "ratio_interior": _ratio(scores["rmse_interior"], cubic["rmse_interior"]),
            "ratio": _ratio(scores["rmse"], cubic["rmse"]),
        }
        found = {**scores, **ratios}
        row = {key: found[key] for key in TENSOR_METRICS}
        rows.append(Row(subject, method, row, notes))
    return rows


def _scores(
    volumes: Mapping[str, Array], reference: Array, mask: Array, edge: int
) -> dict[str, tuple[dict[str, float | None], tuple[str, ...]]]:
    """Scores and reasons by method."""
    metrics = tuple({key.metric for key in _KEYS.values()})
    settings = Settings(metrics=metrics, tensors=True, edge=edge)
    results = Results(
        tuple(evaluate_methods(volumes, reference, mask, subject="", settings=settings))
    )
    found = {}
    for method in volumes:
        records = {name: results.record("", method, key) for name, key in _KEYS.items()}
        reasons = [record.reason for record in records.values() if record and record.reason]
        scores = {name: record.value if record else None for name, record in records.items()}
        found[method] = scores, tuple(dict.fromkeys(reasons))
    return found


def _ratio(value: float | None, other: float | None) -> float | None:
    """A quotient, or None where it is undefined."""
    if value is None or not other or not math.isfinite(value):
        return None
    return value / other
