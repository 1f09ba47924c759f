"""What each metric is called, how many digits it is shown with, and which way is better."""

import math
from dataclasses import dataclass
from typing import Literal

from medrev.metrics import MASK, WHOLE, Key

Better = Literal["lower", "higher", "zero", "one", "none"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        title: Name in tables.
        digits: Digits after the point.
        better: Which values are good: ``lower``, ``higher``, next to ``zero`` or ``one``, or
            ``none`` for what is neither good nor bad.
        curve: Whether its records are the points of a curve, by component, and not a column.
    """

    title: str
    digits: int
    better: Better
    curve: bool = False


#: Every metric of :func:`medrev.evaluation.evaluate_methods`, in the order of tables.
CATALOGUE: dict[str, Metric] = {
    "rmse": Metric("RMSE", 2, "lower"),
    "ratio": Metric("RMSE ÷ cubic", 3, "lower"),
    "mae": Metric("MAE", 2, "lower"),
    "wrapped_mae": Metric("MAE of wrapped bytes", 2, "none"),
    "bias": Metric("bias", 2, "zero"),
    "nmae": Metric("MAE ÷ range", 4, "lower"),
    "nmse": Metric("NMSE", 4, "lower"),
    "psnr": Metric("PSNR", 2, "higher"),
    "ssim": Metric("SSIM", 4, "higher"),
    "direction_error": Metric("direction error", 2, "lower"),
    "weighted_direction_error": Metric("FA-weighted direction error", 2, "lower"),
    "frobenius": Metric("Frobenius distance", 2, "lower"),
    "log_euclidean": Metric("log-Euclidean distance", 4, "lower"),
    "not_positive_definite": Metric("not positive definite", 3, "lower"),
    "mean": Metric("mean", 3, "none"),
    "reference_mean": Metric("mean of the reference", 3, "none"),
    "gradient_ratio": Metric("gradient energy ÷ reference", 3, "one"),
    "through_plane_ratio": Metric("through-plane gradient energy ÷ reference", 3, "one"),
    "flicker": Metric("flicker between slices ÷ reference", 3, "one"),
    "power_ratio": Metric("power ÷ reference", 3, "one"),
    "coherence": Metric("coherence", 3, "higher"),
    "slice_mae": Metric("MAE of slices", 2, "lower"),
    "slice_nmae": Metric("MAE ÷ range of slices", 4, "lower"),
    "slice_psnr": Metric("PSNR of slices", 2, "higher"),
    "slice_ssim": Metric("SSIM of slices", 4, "higher"),
    "slice_count": Metric("slices", 0, "none"),
    "slice_equal": Metric("slices equal to the reference", 0, "none"),
    "coverage_error": Metric("expected calibration error", 4, "lower"),
    "reliability_error": Metric("normalised calibration error", 3, "lower"),
    "sparsification_error": Metric("sparsification error", 4, "lower"),
    "crps": Metric("CRPS", 3, "lower"),
    "energy_score": Metric("energy score", 3, "lower"),
    "interval_level": Metric("level of the intervals", 0, "none"),
    "interval_coverage": Metric("voxels in their interval", 1, "none"),
    "interval_width": Metric("width of the interval", 2, "none"),
    "rank": Metric("frequency of rank ÷ uniform", 3, "none", curve=True),
    "error_correlation": Metric("rank correlation of std and error", 3, "higher"),
    "coverage": Metric("coverage", 3, "none", curve=True),
    "bin_std": Metric("predicted std of bin", 3, "none", curve=True),
    "bin_rmse": Metric("RMSE of bin", 3, "none", curve=True),
    "sparsification": Metric("RMSE of the rest", 3, "none", curve=True),
    "sparsification_oracle": Metric("RMSE of the rest, oracle", 3, "none", curve=True),
    "cycle_largest": Metric("largest cycle residual", 4, "lower"),
    "cycle_mean": Metric("mean cycle residual", 4, "lower"),
    "cycle_relative": Metric("relative cycle residual", 6, "lower"),
    "volume": Metric("volume", 2, "none"),
    "reference_volume": Metric("volume in the reference", 2, "none"),
    "volume_change": Metric("volume change", 2, "zero"),
    "dice": Metric("Dice", 4, "higher"),
    "pixel_accuracy": Metric("per-pixel accuracy", 2, "higher"),
    "class_accuracy": Metric("per-class accuracy", 2, "higher"),
    "class_iou": Metric("class IoU", 2, "higher"),
    "bits_per_dim": Metric("bits per dimension", 3, "lower"),
    "inversion": Metric("error of the inverse", 9, "lower"),
    "best_mse": Metric("MSE, best of the draws", 2, "lower"),
    "draw_variance": Metric("variance of the draws", 2, "none"),
    "label_accuracy": Metric("classes told rightly", 4, "higher"),
    "frechet": Metric("Fréchet distance of features", 2, "lower"),
    "used_dimensions": Metric("dimensions used by a class", 1, "none"),
    "d_psnr": Metric("d PSNR", 2, "higher"),
    "d_ssim": Metric("d SSIM", 3, "higher"),
    "d_nmae": Metric("d L1", 4, "higher"),
    "d_iou": Metric("d class IoU", 4, "higher"),
    "slice_d_psnr": Metric("d PSNR of slices", 2, "higher"),
    "slice_d_ssim": Metric("d SSIM of slices", 3, "higher"),
    "slice_d_nmae": Metric("d L1 of slices", 4, "higher"),
}


def better_of(key: Key) -> Better:
    """Which values are good."""
    metric = CATALOGUE.get(key.metric)
    return metric.better if metric else "none"


def badness(better: Better, value: float) -> float:
    """How bad a value is: the larger, the worse.

    Example:
        >>> badness("higher", 30.0) > badness("higher", 31.0), badness("one", 0.5) > 0
        (True, True)
    """
    if better == "one":  # half is as bad as twice
        return abs(math.log(value)) if value > 0 else math.inf
    return {"lower": value, "higher": -value, "zero": abs(value), "none": 0.0}[better]


#: Metrics that get four digits where they have no unit.
_FOUR = ("rmse", "mae", "bias", "mean", "reference_mean", "slice_mae", "crps", "interval_width")


def digits(key: Key, unit: str = "") -> int:
    """Digits after the point with which a value is shown.

    Values of 0 to 1 without unit, such as errors of FA, get four digits.

    Example:
        >>> digits(Key("mae", "mask", "MD"), "1e-5 mm²/s"), digits(Key("mae", "mask", "FA"))
        (2, 4)
    """
    metric = CATALOGUE.get(key.metric)
    if key.metric in _FOUR and not unit:
        return 4
    return metric.digits if metric else 4


def heading(key: Key, unit: str = "") -> str:
    """A column's heading: metric, component, region other than the mask, unit.

    Example:
        >>> heading(Key("rmse", "interior", "FA"))
        'RMSE FA, interior'
        >>> heading(Key("rmse"), "1e-5 mm²/s")
        'RMSE [1e-5 mm²/s]'
    """
    metric = CATALOGUE.get(key.metric)
    name = metric.title if metric else key.metric
    if key.component is not None:
        name = f"{name} {key.component}"
    if key.region not in (MASK, WHOLE):
        name = f"{name}, {key.region}"
    return f"{name} [{unit}]" if unit else name
