"""Charts as inline SVG, drawn by matplotlib: the page's own colours and fonts, on a phone too.

Every chart is 360 wide, so that it is shown about as it is drawn on a phone, and several stand side
by side on a desk. Series are told apart by colour (Okabe and Ito's) and by the pattern of their
line. Colours are the variables of the page's style, so that they follow its dark and its printed
form. Marks have their details as tooltips.
"""

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from medrev.evaluation import BlandAltman

WIDTH, HEIGHT = 360, 232
_ROW = 30
#: Dashes by series, so that colour is not all that tells lines apart.
DASHES = ("", "6 3", "2 2", "8 3 2 3", "4 2", "1 2", "10 4", "3 5")
#: Up to so many subjects are all drawn in a box plot; of more, the outliers.
_MOST_DOTS = 60
#: What matplotlib draws with, and what stands in the page for it (style.css).
_INK, _MUTED, _GRID = "#1b1f24", "#59636e", "#d5dae0"
_SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#3a8fc4", "#6b6b6b", "#7a4fa3"]
_VARIABLES = {_INK: "ink", _MUTED: "muted", _GRID: "line"} | {
    colour: f"c{n}" for n, colour in enumerate(_SERIES)
}
_LINE = 1.7
_IDEAL: dict[str, Any] = {"color": _MUTED, "linewidth": 0.9, "linestyle": (0, (2, 3))}
_RADIUS = "2.4"
#: Begins the names of artists that have a tooltip.
_TOLD = "told:"
_FONT = re.compile(r"font(?:-size)?: ([\d.]+px)[^;]*(; font-family[^;]*)?")


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
    """Boxes of one metric by subject and method, a row per method.

    Median, quartiles, whiskers to 1.5 times their range; what is not finite is left out. ``series``
    numbers the methods' colours; ``digits`` are those after the point in tooltips.
    """
    axes = _axes(_ROW * len(groups) + 34, left=100, bottom=24)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in groups]
    axes.set_yticks(range(len(groups)), names)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelsize=12, labelcolor=_INK)
    for row, (name, group) in enumerate(groups.items()):
        finite = {subject: v for subject, v in group.items() if math.isfinite(v)}
        if finite:
            _box(axes, row, name, finite, colour=_colour(series.get(name, 0)), digits=digits)
    axes.margins(x=0.04)
    return _svg(axes, "Box plot: " + ", ".join(groups))


def _box(
    axes: Axes, row: int, name: str, group: Mapping[str, float], *, colour: str, digits: int
) -> None:
    """The box, whiskers and dots of one group."""
    values = list(group.values())
    found = boxplot_stats(values)[0]
    low, q1, median, q3, high = (found[key] for key in ("whislo", "q1", "med", "q3", "whishi"))
    axes.hlines([row, row], [low, q3], [q1, high], color=colour, linewidth=1.2)
    box: dict[str, Any] = {"facecolor": (colour, 0.2), "edgecolor": colour, "linewidth": 1.2}
    (drawn,) = axes.barh(row, q3 - q1, 0.53, q1, **box)
    between = f"quartiles {number(q1, digits)} to {number(q3, digits)}"
    _tell(drawn, f"{name}: median {number(median, digits)}, {between}, n = {len(values)}")
    axes.vlines(median, row - 0.265, row + 0.265, color=colour, linewidth=2.4)
    dots = [
        (value, row + ((order * 7) % 5 - 2) * 0.08, f"{subject}: {number(value, digits)}")
        for order, (subject, value) in enumerate(group.items())  # spread, the same each time
        if len(values) <= _MOST_DOTS or not low <= value <= high
    ]
    _dots(axes, dots, colour)


def histogram(
    counts: Mapping[str, NDArray[np.float64]],
    edges: NDArray[np.float64],
    *,
    series: Mapping[str, int],
    x_label: str,
) -> str:
    """Outlines of histograms, as shares of all values in percent, on a logarithmic scale.

    A curve is voxels by bin; there is one edge more than bins. ``series`` numbers the methods'
    colours; the label names what is counted, with its unit.
    """
    shares = {
        name: 100 * np.asarray(c, float) / np.sum(c) for name, c in counts.items() if np.sum(c)
    }
    positive = [float(v) for share in shares.values() for v in share[share > 0]] or [1.0]
    floor = max(min(positive), max(positive) * 1e-5)
    seen = [k for share in shares.values() for k in np.flatnonzero(share >= floor)]
    first, last = (min(seen), max(seen)) if seen else (0, len(edges) - 2)
    axes = _axes(x_label=x_label, y_label="% of values")
    for name, share in shares.items():
        shown = np.maximum(share[first : last + 1], floor)
        drawn = axes.stairs(shown, edges[first : last + 2], baseline=None, fill=False)
        drawn.set(**_stroke(series.get(name, 0)))
        _tell(drawn, name)
    axes.axvline(0, **_IDEAL)
    reach = max(abs(edges[first]), abs(edges[last + 1]))
    axes.set_xlim(-reach, reach)
    _logarithmic(axes)
    return _svg(axes, "Histogram of errors: " + ", ".join(shares))


def agreement_plot(analysis: BlandAltman, unit: str = "") -> str:
    """Bland–Altman plot: differences over means, with bias and limits of agreement."""
    bracket = f" [{unit}]" if unit else ""
    axes = _axes(
        x_label=f"mean of prediction and reference{bracket}",
        y_label=f"prediction − reference{bracket}",
    )
    axes.axhline(0, **_IDEAL)
    levels = {"lower limit": analysis.lower, "bias": analysis.bias, "upper limit": analysis.upper}
    for name, (level, _) in levels.items():
        dash = "-" if name == "bias" else (0, (3.5, 1.8))
        drawn = axes.axhline(level, color=_colour(1), linewidth=_LINE, linestyle=dash)
        _tell(drawn, f"{name} {number(level)}")
    dots = [
        (mean, difference, f"{subject}: {number(difference)} at {number(mean)}")
        for subject, mean, difference in zip(
            analysis.subjects, analysis.means, analysis.differences, strict=True
        )
    ]
    _dots(axes, dots, _colour(0))
    axes.margins(x=0.05, y=0.08)
    return _svg(axes, "Bland–Altman plot")


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    diagonal: bool = False,
    from_zero: bool = False,
) -> str:
    """Lines over a common scale; with ``diagonal`` of both axes, with the line of equal values."""
    axes = _axes(x_label=x_label, y_label=y_label)
    axes.margins(0, 0 if from_zero else 0.05)
    for line in lines:
        _tell(axes.plot(line.x, line.y, **_stroke(line.series))[0], line.name)
        dots = [
            (x, y, f"{line.name}: {number(y)} at {number(x)}")
            for x, y in zip(line.x, line.y, strict=True)
            if math.isfinite(y)
        ]
        if line.dots or len(dots) == 1:
            _dots(axes, dots, _colour(line.series))
    if from_zero:
        axes.set(xlim=(0, None), ylim=(0, None))
    if diagonal:
        low, high = zip(axes.get_xlim(), axes.get_ylim(), strict=True)
        axes.set(xlim=(min(low), max(high)), ylim=(min(low), max(high)))
        axes.plot([min(low), max(high)], [min(low), max(high)], **_IDEAL)
    if log and any(y > 0 for line in lines for y in line.y):
        _logarithmic(axes)
    return _svg(axes, f"{y_label} over {x_label}: " + ", ".join(line.name for line in lines))


def number(value: float, digits: int | None = None) -> str:
    """A number for people: a fixed number of digits, or four significant ones."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.4g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _axes(
    height: float = HEIGHT,
    *,
    left: float = 52,
    bottom: float = 42,
    x_label: str = "",
    y_label: str = "",
) -> Axes:
    """Axes with a grid of thin lines and round ticks; sizes are those of the page."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    wide, high = WIDTH - left - 10, height - bottom - 6
    axes = figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, high / height))
    axes.patch.set_visible(False)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.set_axisbelow(True)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.tick_params(length=0, labelsize=11, labelcolor=_MUTED, pad=5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=3))
        axis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xlabel(x_label, color=_MUTED, fontsize=11)
    axes.set_ylabel(y_label, color=_MUTED, fontsize=11, va="center")
    axes.yaxis.set_label_coords(9 / WIDTH, (bottom + high / 2) / height, figure.transFigure)
    return axes


def _make_room(axes: Axes) -> None:
    """Move the left end of axes with a title to where their numbers do not reach it."""
    if not axes.get_ylabel():
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    widest = max(text.get_window_extent().width for text in axes.get_yticklabels())
    place = axes.get_position()
    place.x0 = max(place.x0, (22 + widest) / WIDTH)
    axes.set_position(place)


def _logarithmic(axes: Axes) -> None:
    """Make equal distances equal ratios; what is not above zero is a gap."""
    axes.set_yscale("log", nonpositive="mask")
    low, high = axes.get_ylim()
    subs = (1.0,) if high / low >= 100 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _position: int | None = None) -> str:
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def _colour(series: int) -> str:
    return _SERIES[series % len(_SERIES)]


def _stroke(series: int) -> dict[str, Any]:
    """Colour and pattern of a line; matplotlib's dashes are in widths of the line."""
    dash = tuple(float(part) / _LINE for part in DASHES[series % len(DASHES)].split())
    style = (0, dash) if dash else "-"
    return {"color": _colour(series), "linewidth": _LINE, "linestyle": style}


def _dots(axes: Axes, dots: Sequence[tuple[float, float, str]], colour: str) -> None:
    """Dots with what each of them tells."""
    if dots:
        xs, ys, told = zip(*dots, strict=True)
        (drawn,) = axes.plot(xs, ys, "o", color=colour, alpha=0.75, markeredgewidth=0)
        _tell(drawn, *told)


def _tell(artist: Artist, *texts: str) -> None:
    """Give a mark, or each of an artist's dots, a tooltip."""
    artist.set_gid(_TOLD + json.dumps(texts))


def _svg(axes: Axes, title: str) -> str:
    """The chart as an element of a page: without names of its own, in the page's colours."""
    stream = io.StringIO()
    _make_room(axes)
    with rc_context({"svg.fonttype": "none"}):
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.savefig(stream, format="svg", transparent=True)
    unneeded = r"<metadata>.*?</metadata>| xmlns(:\w+)?=\"[^\"]*\"|xlink:"
    text = re.sub(unneeded, "", stream.getvalue(), flags=re.DOTALL)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    drawn = ElementTree.fromstring(text)
    box = drawn.get("viewBox") or ""
    chart = ElementTree.Element("svg", {"class": "chart", "viewBox": box, "role": "img"})
    chart.set("aria-label", title)
    for group in drawn.findall("g"):
        _move(group, chart)
    return ElementTree.tostring(chart, encoding="unicode")


def _move(
    node: ElementTree.Element, chart: ElementTree.Element, told: Iterator[str] | None = None
) -> None:
    """Put what is drawn into a chart: marks as circles, what they tell as their titles."""
    name = node.get("id", "")
    if name.startswith(_TOLD):
        told = iter(json.loads(name.removeprefix(_TOLD)))
    for child in node:
        if child.tag == "g":
            _move(child, chart, told)
            continue
        style = _FONT.sub(r"font-size: \1", child.get("style", ""))
        place = {key: _short(child.get(key)) for key in ("x", "y", "d") if child.get(key)}
        if child.tag == "use":  # of dots, the only marks
            mark = ElementTree.SubElement(chart, "circle", cx=place["x"], cy=place["y"], r=_RADIUS)
        elif child.tag == "text" or (child.tag == "path" and style != "fill: none"):
            mark = ElementTree.SubElement(chart, child.tag, place)
            mark.text = child.text
        else:
            continue
        mark.set("style", style)
        turn = _short(child.get("transform"))
        if turn and not turn.startswith("rotate(-0"):
            mark.set("transform", turn)
        if told is not None:
            ElementTree.SubElement(mark, "title").text = next(told)


def _short(text: str | None) -> str:
    """Coordinates to a tenth of a pixel."""
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", text or "").strip()
