"""Charts as inline SVG: the page's own colours and fonts, readable on a phone and on paper.

Every chart is 360 wide, so that it is shown about as it is drawn on a phone, and several stand side
by side on a desk. Series are told apart by colour (Okabe and Ito's, by the page's classes ``c0`` to
``c7``) and by the pattern of their line. Details are in the tooltips of the marks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from medrev.evaluation import BlandAltman
from medrev.report.axis import Axis, format_tick

__all__ = ["DASHES", "Line", "agreement_plot", "box_plot", "histogram", "line_chart", "number"]

WIDTH = 360
_LABELS = 92.0  # for the names on the left of box plots
_RIGHT = 350.0
_LEFT = 52  # for the numbers and the label of a vertical axis
_ROW = 30
#: Dashes by series, so that colour is not all that tells lines apart.
DASHES = ("", "6 3", "2 2", "8 3 2 3", "4 2", "1 2", "10 4", "3 5")
#: Up to so many subjects are all drawn in a box plot; of more, the outliers.
_MOST_DOTS = 60


@dataclass(frozen=True)
class Line:
    """A series of a line chart.

    Attributes:
        name: What it is.
        x: Places.
        y: Values; not finite: a gap.
        series: Number of its colour.
        dots: Draw its points as well.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    series: int = 0
    dots: bool = False


def box_plot(
    groups: Mapping[str, Mapping[str, float]], *, series: Mapping[str, int], digits: int = 2
) -> str:
    """Boxes of one metric, a row per method: median, quartiles, whiskers to 1.5 times their range.

    Args:
        groups: Value by subject, by method. Values that are not finite are left out.
        series: Number of every method's colour.
        digits: Digits after the point in tooltips.
    """
    height = _ROW * len(groups) + 34
    values = [v for group in groups.values() for v in group.values() if math.isfinite(v)]
    axis = Axis.around(values, _LABELS + 8, _RIGHT - 4, margin=0.04)
    parts = _x_axis(axis, bottom=height - 24, top=4)
    for row, (name, group) in enumerate(groups.items()):
        middle = 4 + _ROW * (row + 0.5)
        shown = name if len(name) <= 14 else f"{name[:13]}…"
        parts.append(
            f'<text class="name" x="{_LABELS}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(shown)}</text>"
        )
        finite = {subject: v for subject, v in group.items() if math.isfinite(v)}
        if finite:
            summary = f'<g class="c{series.get(name, 0) % 8}"><title>{escape(name)}: '
            parts += [summary, *_box(finite, axis, middle, digits), "</g>"]
    return _svg(parts, height, "Box plot: " + ", ".join(groups))


def _box(group: Mapping[str, float], axis: Axis, middle: float, digits: int) -> list[str]:
    """The end of a title, and the marks of one group."""
    values = np.array(list(group.values()))
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    reach = 1.5 * (q3 - q1)
    low, high = values[values >= q1 - reach].min(), values[values <= q3 + reach].max()
    x1, xm, x3 = axis(q1), axis(median), axis(q3)
    parts = [
        f"median {number(median, digits)}, quartiles {number(q1, digits)} to "
        f"{number(q3, digits)}, n = {len(values)}</title>",
        f'<path class="whisker" d="M{axis(low):.1f} {middle:.1f}H{x1:.1f}M{x3:.1f} {middle:.1f}'
        f'H{axis(high):.1f}"/>',
        f'<rect class="box" x="{x1:.1f}" y="{middle - 8:.1f}" width="{max(1.0, x3 - x1):.1f}" '
        f'height="16" rx="1.5"/>',
        f'<path class="median" d="M{xm:.1f} {middle - 8:.1f}v16"/>',
    ]
    many = len(values) > _MOST_DOTS
    for order, (subject, value) in enumerate(group.items()):
        if many and low <= value <= high:
            continue
        y = middle + ((order * 7) % 5 - 2) * 2.4  # spread, the same each time
        parts.append(
            f'<circle cx="{axis(value):.1f}" cy="{y:.1f}" r="2.2">'
            f"<title>{escape(subject)}: {number(value, digits)}</title></circle>"
        )
    return parts


def histogram(
    counts: Mapping[str, NDArray[np.float64]],
    edges: NDArray[np.float64],
    *,
    series: Mapping[str, int],
    x_label: str,
) -> str:
    """Outlines of histograms, as shares of all values in percent, on a logarithmic scale.

    Args:
        counts: Number of voxels by bin, by method.
        edges: Edges of the bins, one more than bins.
        series: Number of every method's colour.
        x_label: What is counted, with its unit.
    """
    shares = {
        name: 100 * np.asarray(c, float) / np.sum(c) for name, c in counts.items() if np.sum(c)
    }
    positive = [float(v) for share in shares.values() for v in share[share > 0]] or [1.0]
    floor = max(min(positive), max(positive) * 1e-5)
    seen = [k for share in shares.values() for k in np.flatnonzero(share >= floor)]
    first, last = (min(seen), max(seen)) if seen else (0, len(edges) - 2)
    reach = max(abs(edges[first]), abs(edges[last + 1]))
    x = Axis(-reach, reach, _LEFT, _RIGHT)
    y = Axis.around([floor, max(positive)], 190, 8, log=True)
    parts = _x_axis(x, bottom=190, top=6, label=x_label)
    parts += _y_axis(y, left=_LEFT, right=_RIGHT, label="% of values")
    for name, share in shares.items():
        order = series.get(name, 0)
        points = [f"M{x(edges[first]):.1f} {y(share[first]):.1f}"]
        for k in range(first, last + 1):
            points.append(f"V{y(share[k]):.1f}H{x(edges[k + 1]):.1f}")
        parts.append(
            f'<path class="line c{order % 8}"{_dash(order)} d="{"".join(points)}">'
            f"<title>{escape(name)}</title></path>"
        )
    parts.append(f'<path class="zero" d="M{x(0):.1f} 6V190"/>')
    return _svg(parts, 232, "Histogram of errors: " + ", ".join(shares))


def agreement_plot(analysis: BlandAltman, unit: str = "") -> str:
    """Bland–Altman plot: differences over means, with bias and limits of agreement.

    Args:
        analysis: The analysis.
        unit: Unit of both axes.
    """
    bracket = f" [{unit}]" if unit else ""
    levels = (analysis.lower[0], analysis.bias[0], analysis.upper[0])
    x = Axis.around(list(analysis.means), _LEFT, _RIGHT - 4, margin=0.05)
    y = Axis.around([*analysis.differences, *levels, 0.0], 190, 8, margin=0.08)
    parts = _x_axis(x, bottom=190, top=6, label=f"mean of prediction and reference{bracket}")
    parts += _y_axis(y, left=_LEFT, right=_RIGHT, label=f"prediction − reference{bracket}")
    parts.append(f'<path class="ideal" d="M{_LEFT} {y(0):.1f}H{_RIGHT}"/>')
    for level, name in zip(levels, ("lower limit", "bias", "upper limit"), strict=True):
        dash = "" if name == "bias" else ' stroke-dasharray="6 3"'
        parts.append(
            f'<path class="line c1"{dash} d="M{_LEFT} {y(level):.1f}H{_RIGHT}">'
            f"<title>{name} {number(level)}</title></path>"
        )
    parts.append('<g class="c0">')
    for subject, mean, difference in zip(
        analysis.subjects, analysis.means, analysis.differences, strict=True
    ):
        parts.append(
            f'<circle cx="{x(mean):.1f}" cy="{y(difference):.1f}" r="2.8"><title>'
            f"{escape(subject)}: {number(difference)} at {number(mean)}</title></circle>"
        )
    return _svg([*parts, "</g>"], 232, "Bland–Altman plot")


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    diagonal: bool = False,
    from_zero: bool = False,
) -> str:
    """Lines over a common scale.

    Args:
        lines: The series.
        x_label: Label of the horizontal axis, with its unit.
        y_label: Label of the vertical axis, with its unit.
        log: Logarithmic vertical axis.
        diagonal: Both axes have one scale, and the line where they are equal is drawn.
        from_zero: Both axes begin at zero.
    """
    xs = [v for line in lines for v in line.x]
    ys = [v for line in lines for v in line.y]
    if diagonal:
        xs = ys = xs + ys
    spare = [0.0] if from_zero else []
    x = Axis.around(xs + spare, _LEFT, _RIGHT - 4)
    y = Axis.around(ys + spare, 190, 8, log=log, margin=0 if from_zero else 0.05)
    parts = _x_axis(x, bottom=190, top=6, label=x_label)
    parts += _y_axis(y, left=_LEFT, right=_RIGHT, label=y_label)
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        parts.append(
            f'<path class="ideal" d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}"/>'
        )
    for line in lines:
        parts += _polyline(line, x, y)
    return _svg(parts, 232, f"{y_label} over {x_label}: " + ", ".join(line.name for line in lines))


def _polyline(line: Line, x: Axis, y: Axis) -> list[str]:
    usable = [math.isfinite(v) and (v > 0 or not y.log) for v in line.y]
    path, pen_up = [], True
    for place, value, good in zip(line.x, line.y, usable, strict=True):
        if good:
            path.append(f"{'M' if pen_up else 'L'}{x(place):.1f} {y(value):.1f}")
        pen_up = not good
    parts = [
        f'<path class="line c{line.series % 8}"{_dash(line.series)} d="{"".join(path)}">'
        f"<title>{escape(line.name)}</title></path>"
    ]
    if line.dots or len(path) == 1:
        parts.append(f'<g class="c{line.series % 8}">')
        for place, value, good in zip(line.x, line.y, usable, strict=True):
            if good:
                parts.append(
                    f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="2.6"><title>'
                    f"{escape(line.name)}: {number(value)} at {number(place)}</title></circle>"
                )
        parts.append("</g>")
    return parts


def number(value: float, digits: int | None = None) -> str:
    """A number for people: a fixed number of digits, or four significant ones."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.4g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _dash(series: int) -> str:
    dash = DASHES[series % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _x_axis(axis: Axis, *, bottom: float, top: float, label: str = "") -> list[str]:
    parts = [f'<path class="axis" d="M{axis.start:.1f} {bottom:.1f}H{axis.end:.1f}"/>']
    for tick in axis.ticks():
        place = axis(tick)
        parts.append(f'<path class="grid" d="M{place:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(
            f'<text x="{place:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">'
            f"{format_tick(tick)}</text>"
        )
    if label:
        middle = (axis.start + axis.end) / 2
        parts.append(
            f'<text class="label" x="{middle:.1f}" y="{bottom + 34:.1f}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    return parts


def _y_axis(axis: Axis, *, left: float, right: float, label: str) -> list[str]:
    parts = []
    for tick in axis.ticks():
        place = axis(tick)
        parts.append(f'<path class="grid" d="M{left:.1f} {place:.1f}H{right:.1f}"/>')
        parts.append(
            f'<text x="{left - 5:.1f}" y="{place + 3.5:.1f}" text-anchor="end">'
            f"{format_tick(tick)}</text>"
        )
    middle = (axis.start + axis.end) / 2
    parts.append(
        f'<text class="label" transform="translate(9 {middle:.1f}) rotate(-90)" '
        f'text-anchor="middle">{escape(label)}</text>'
    )
    return parts


def _svg(parts: list[str], height: float, title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>'
    )
