"""Charts with their titles: of a cohort, and of a training."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medrev.evaluation import EDGES, HELDOUT, BlandAltman, Evaluated, Results, digits, heading
from medrev.metrics import MASK, WHOLE, Key
from medrev.report.charts import Line, agreement_plot, box_plot, histogram, line_chart

_MOST_BOXES, _MOST_AGREEMENTS = 9, 6
#: The level of intervals that is told in words, and how far from it coverage may be.
_LEVEL, _NEAR = 0.95, 0.03
_MAIN = (MASK, WHOLE)


@dataclass(frozen=True)
class Chart:
    """A chart with its title and a few words beside it."""

    svg: str
    title: str
    detail: str = ""


def boxes(results: Results, keys: Sequence[Key], series: Mapping[str, int]) -> list[Chart]:
    """Box plots of the first measurements, a row per method."""
    found = []
    for key in keys[:_MOST_BOXES]:
        groups = {m: results.values(m, key) for m in series if results.measured(m, key)}
        if len({value for group in groups.values() for value in group.values()}) > 1:
            unit = results.unit(key)
            svg = box_plot(groups, series=series, digits=digits(key, unit))
            found.append(Chart(svg, heading(key), unit))
    return found


def group_charts(
    results: Results, key: Key, models: Sequence[str], groups: Mapping[str, str]
) -> list[Chart]:
    """Box plots of one measurement, a chart per model and a row per group."""
    names = sorted(set(groups.values()))
    charts = []
    for model in models:
        values = results.values(model, key)
        rows = {name: {s: v for s, v in values.items() if groups.get(s) == name} for name in names}
        unit = results.unit(key)
        colours = {name: n for n, name in enumerate(names)}
        svg = box_plot(rows, series=colours, digits=digits(key, unit))
        charts.append(Chart(svg, f"{heading(key)}, {model}", unit))
    return charts


def agreement_charts(analyses: Mapping[Key, BlandAltman], results: Results) -> list[Chart]:
    """Bland–Altman plots."""
    return [
        Chart(agreement_plot(analysis, unit := results.unit(key)), heading(key), unit)
        for key, analysis in list(analyses.items())[:_MOST_AGREEMENTS]
    ]


def error_charts(evaluated: Evaluated, series: Mapping[str, int]) -> list[Chart]:
    """Errors of all voxels of all subjects: their histogram, and how many are how small."""
    sums: dict[str, Any] = {}
    units = {measured.unit for measured in evaluated.measured.values() if measured.histograms}
    for measured in evaluated.measured.values():
        for method, counts in measured.histograms.items():
            sums[method] = sums.get(method, 0) + np.array(counts, float)
    if not sums or len(units) != 1:
        return []
    unit = units.pop()
    middle = len(EDGES) // 2 - 1  # the bin around zero
    sizes = EDGES[middle + 1 :]
    lines = []
    for method, counts in sums.items():
        both = counts[middle:].copy()
        both[1:] += counts[middle - 1 :: -1]
        within = 100 * np.cumsum(both)[:-1] / counts.sum()
        lines.append(Line(method, [0.0, *sizes[:-1]], [0.0, *within], series[method]))
    counted = histogram(sums, EDGES, series=series, x_label=f"error [{unit}]")
    small = line_chart(
        lines, x_label=f"size of error [{unit}]", y_label="% of values", from_zero=True
    )
    return [
        Chart(counted, "Histogram", "prediction − reference"),
        Chart(small, "Errors up to a size", "the steeper, the better"),
    ]


#: Charts of curves: title, detail, curve over (nothing: its own places), curve, labels of the axes.
_CURVES = (
    (
        "Reliability",
        "on the dotted line: calibrated",
        ("bin_std", "bin_rmse"),
        ("predicted standard deviation{unit}", "RMSE{unit}"),
    ),
    (
        "Coverage",
        "of central intervals",
        ("", "coverage"),
        ("nominal level", "share of errors within"),
    ),
    (
        "Sparsification",
        "the steeper, the better",
        ("", "sparsification"),
        ("share of values left out, most uncertain first", "RMSE of the rest ÷ RMSE of all"),
    ),
    (
        "Rank histogram",
        "flat at 1: calibrated; U: too little spread",
        ("", "rank"),
        ("rank of the reference among the samples", "frequency ÷ that of equal ones"),
    ),
)


def calibration_charts(
    results: Results, models: Sequence[str], series: Mapping[str, int]
) -> list[Chart]:
    """Reliability, coverage and sparsification of predicted standard deviations, ranks of samples.

    A line per model that has the curve.
    """
    unit = next((results.unit(key) for key in results.keys if key.metric == "bin_std"), "")
    charts = []
    for title, detail, (over, curve), labels in _CURVES:
        lines = []
        for model in models:
            if values := _curve(results, model, curve):
                places = _curve(results, model, over) if over else {at: at for at in values}
                both = [at for at in values if at in places]
                xs, ys = [places[at] for at in both], [values[at] for at in both]
                lines.append(Line(model, xs, ys, series[model], dots=curve != "sparsification"))
        if lines:
            x, y = (label.format(unit=f" [{unit}]" if unit else "") for label in labels)
            diagonal = curve in ("bin_rmse", "coverage")
            svg = line_chart(lines, x_label=x, y_label=y, diagonal=diagonal, from_zero=True)
            charts.append(Chart(svg, title, detail))
    return charts


def calibration_words(results: Results, models: Sequence[str]) -> list[str]:
    """What coverage says of every model's uncertainty, a sentence each."""
    lines = []
    for model in models:
        held = _curve(results, model, "coverage").get(_LEVEL)
        if held is None:
            continue
        verdict = "about as it should"
        if held < _LEVEL - _NEAR:
            verdict = "overconfident: its uncertainty is too small"
        elif held > _LEVEL + _NEAR:
            verdict = "too cautious: its uncertainty is too large"
        shares = f"{100 * _LEVEL:.0f} % intervals hold {100 * held:.0f} %"
        lines.append(f"{model}: {shares} of the errors, {verdict}.")
    return lines


def interval_words(results: Results, models: Sequence[str]) -> list[str]:
    """What the intervals of every model held, a sentence each, as a paper would say it."""
    lines = []
    levels = [key for key in results.keys if key.metric == "interval_level"]
    covered = [k for k in results.keys if k.metric == "interval_coverage" and k.region in _MAIN]
    for model in models:
        told = []
        for key in covered:
            width = key._replace(metric="interval_width")
            held = results.values(model, key).values()
            if held:
                unit = results.unit(width)
                size = statistics.fmean(results.values(model, width).values())
                shown = f"{size:.{digits(width, unit)}f}" + (f" [{unit}]" if unit else "")
                what = f"{key.component or 'values'} (width {shown})"
                told.append(f"{statistics.fmean(held):.1f} % of the voxels' {what}")
        level = [v for key in levels for v in results.values(model, key).values()]
        if told and level:
            lines.append(
                f"{model}: its {level[0]:g} % intervals, estimate ± q · std with the q of the "
                f"notes, held on average over subjects {'; '.join(told)}."
            )
    return lines


def _curve(results: Results, method: str, metric: str) -> dict[float, float]:
    """Mean over subjects of every point of a curve, by its component."""
    found = {}
    for key in results.keys:
        if key.metric == metric:
            values = results.values(method, key).values()
            if values:
                found[float(key.component or 0)] = statistics.fmean(values)
    return found


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
