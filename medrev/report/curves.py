"""Curves of a training: losses, validation errors, learning rate, over steps."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from medrev.evaluation import HELDOUT
from medrev.report.charts import Line, line_chart
from medrev.report.cohort_charts import Chart

__all__ = ["sliding_mean", "training_curves"]

#: Charts of validation errors: what their axis says, and the columns they show.
_VALIDATION = {
    "RMSE [1e-5 mm²/s]": ("rmse_interior", "rmse"),
    "L1, share of the range": ("nmae_forward", "nmae_inverse", "cycle_x", "cycle_y"),
    "PSNR [dB]": ("psnr_forward", "psnr_inverse"),
    "SSIM": ("ssim_forward", "ssim_inverse"),
    "share": ("pixel_accuracy", "class_accuracy", "class_iou"),
}
#: A log of so many rows is drawn as means over a window of this share of it.
_MANY, _WINDOW = 100, 1 / 50
#: Points of a line at most.
_POINTS = 500


def training_curves(
    metrics: Mapping[str, Sequence[float]], validation: Mapping[str, Sequence[float]]
) -> list[Chart]:
    """Losses, validation errors and learning rate, four lines a chart.

    Losses of adversaries jump from row to row: those of a long log are drawn as means over a
    sliding window, and the chart says over how many steps.

    Args:
        metrics: Columns of ``metrics.csv``.
        validation: Columns of ``validation.csv``.
    """
    charts = []
    steps = metrics.get("step", [])
    losses = [n for n in metrics if n not in ("step", "epoch", "lr", "seconds")]
    window = round(len(steps) * _WINDOW) if len(steps) >= _MANY else 1
    detail = "training"
    if window > 1:
        covered = round((steps[-1] - steps[0]) / (len(steps) - 1) * window)
        detail = f"training, means over a sliding window of {covered} steps"
    for first in range(0, len(losses), 4):
        names = losses[first : first + 4]
        lines = [_loss(name, steps, metrics[name], n, window) for n, name in enumerate(names)]
        positive = all(v > 0 for line in lines for v in line.y if math.isfinite(v))
        svg = line_chart(lines, x_label="step", y_label="loss", log=positive)
        charts.append(Chart(svg, ", ".join(names), detail))
    if validation.get("step"):
        for title, columns in _VALIDATION.items():
            found = [name for name in columns if name in validation]
            lines = [
                Line(HELDOUT[name].title, validation["step"], validation[name], n, dots=True)
                for n, name in enumerate(found)
            ]
            if lines:
                svg = line_chart(lines, x_label="step", y_label=title)
                charts.append(Chart(svg, ", ".join(found), "validation"))
    if "lr" in metrics:
        svg = line_chart([Line("lr", steps, metrics["lr"])], x_label="step", y_label="rate")
        charts.append(Chart(svg, "learning rate"))
    return charts


def sliding_mean(values: Sequence[float], window: int) -> list[float]:
    """Means over all windows of so many neighbours; n − window + 1 of n values.

    Values that are not finite are left out; a window of these alone gives NaN.

    Example:
        >>> sliding_mean([1, 3, 5, float("nan")], 2)
        [2.0, 4.0, 5.0]
    """
    array = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(array)
    shape = np.ones(window)
    sums = np.convolve(np.where(finite, array, 0), shape, "valid")
    counts = np.rint(np.convolve(finite, shape, "valid"))
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return [float(mean) for mean in means]


def _loss(
    name: str, steps: Sequence[float], values: Sequence[float], series: int, window: int
) -> Line:
    """A loss, or its means at the middles of the windows."""
    if window > 1:
        every = max(1, len(steps) // _POINTS)
        steps = sliding_mean(steps, window)[::every]
        values = sliding_mean(values, window)[::every]
    return Line(name, steps, values, series)
