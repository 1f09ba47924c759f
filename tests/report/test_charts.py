"""Charts are read back as XML: what is drawn lies where the numbers say."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medrev.evaluation import bland_altman
from medrev.report.charts import Line, agreement_plot, box_plot, histogram, line_chart, number

SERIES = {"model": 0, "cubic": 1}


def ticks_of(svg: ET.Element, axis: str) -> dict[float, float]:
    """Coordinate of every tick of an axis: where its line of the grid stands, before its label."""
    found, last = {}, None
    for node in svg:
        if node.tag == "path":
            last = points(node) if "var(--line)" in node.get("style") else None
        elif last is not None:
            vertical = last[0, 0] == last[1, 0]
            if vertical == (axis == "x"):
                found[float(node.text.replace("−", "-"))] = last[0, 0 if vertical else 1]
            last = None
    return found


def points(path: ET.Element) -> np.ndarray:
    """The points (N, 2) of a path."""
    numbers = [float(v) for v in re.findall(r"-?[\d.]+", path.get("d"))]
    return np.array(numbers).reshape(-1, 2)


def told(svg: ET.Element, tag: str) -> dict[str, ET.Element]:
    """The elements that have a tooltip, by its text."""
    return {title.text: node for node in svg.iter(tag) for title in node.findall("title")}


def coloured(svg: ET.Element, colour: str) -> list[ET.Element]:
    """The paths that are drawn in a colour of the page and have no tooltip."""
    bare = [path for path in svg.iter("path") if path.find("title") is None]
    return [path for path in bare if f"stroke: var(--{colour})" in path.get("style")]


def scale(ticks: dict[float, float]):
    """The linear map from values to coordinates that the tick labels promise."""
    values = sorted(ticks)
    slope = (ticks[values[-1]] - ticks[values[0]]) / (values[-1] - values[0])
    return lambda value: ticks[values[0]] + slope * (value - values[0])


@pytest.mark.parametrize(
    ("values", "log", "labels"),
    [
        ([8.7, 12.1], False, {"9", "10", "11", "12"}),
        ([-3.2e-5, 1e-5], False, {"−3e-05", "−2e-05", "−1e-05", "0", "1e-05"}),
        ([10, 1000], True, {"10", "100", "1000"}),
        ([1.1, 6], True, {"2", "5"}),
    ],
)
def test_ticks_are_round(values, log, labels):
    lines = [Line("a", [0, 1], values)]
    svg = ET.fromstring(line_chart(lines, x_label="x", y_label="y", log=log))
    assert labels <= {text.text for text in svg.iter("text")}


@pytest.mark.parametrize("top", [1.0, 2.5e-4, 1234567.0])
def test_numbers_of_the_axis_do_not_reach_its_title(top):
    svg = ET.fromstring(line_chart([Line("a", [0, 1], [0, top])], x_label="x", y_label="rate"))
    texts = {text.text: text for text in svg.iter("text")}
    numbers = [node for node in texts.values() if "text-anchor: end" in node.get("style")]
    assert len(numbers) > 2
    for node in numbers:  # of 11 px, whose digits are up to 0.62 em wide
        assert float(node.get("x")) - 0.62 * 11 * len(node.text) > float(texts["rate"].get("x")) + 3


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0], [math.inf, math.nan], [0.0], [-1.0]])
@pytest.mark.parametrize("log", [False, True])
def test_constant_empty_and_infinite_values_have_a_chart(values, log):
    lines = [Line("a", range(len(values)), values)]
    svg = ET.fromstring(line_chart(lines, x_label="x", y_label="y", log=log))
    assert [text.text for text in svg.iter("text")][-1] == "y"


def test_charts_name_nothing_that_another_chart_of_the_page_could_name():
    svg = ET.fromstring(box_plot({"model": {"a": 1.0, "b": 2.0}}, series=SERIES))
    assert svg.get("aria-label") == "Box plot: model"
    assert all({"id", "href", "clip-path", "class"} & set(node.attrib) == set() for node in svg[:])
    colours = set(re.findall(r"(?:fill|stroke): ([^;]+)", " ".join(n.get("style") for n in svg)))
    assert all(colour == "none" or colour.startswith("var(--") for colour in colours)


def test_boxes_are_quartiles_where_the_axis_says():
    values = {f"s{n}": float(v) for n, v in enumerate([1, 2, 3, 4, 5, 6, 7, 8, 20])}
    svg = ET.fromstring(box_plot({"model": values}, series=SERIES))
    to_x = scale(ticks_of(svg, "x"))
    q1, median, q3 = np.quantile(list(values.values()), [0.25, 0.5, 0.75])
    ((text, box),) = told(svg, "path").items()
    assert text == "model: median 5.00, quartiles 3.00 to 7.00, n = 9"
    across = points(box)[:, 0]
    assert (across.min(), across.max()) == pytest.approx((to_x(q1), to_x(q3)), abs=0.2)
    *whiskers, middle = coloured(svg, "c0")
    assert points(middle)[:, 0] == pytest.approx(to_x(median), abs=0.2)
    # 20 lies beyond 1.5 times the box.
    ends = np.concatenate([points(whisker)[:, 0] for whisker in whiskers])
    assert (ends.min(), ends.max()) == pytest.approx((to_x(1), to_x(8)), abs=0.2)
    dots = told(svg, "circle")
    assert float(dots["s8: 20.00"].get("cx")) == pytest.approx(to_x(20), abs=0.2)
    assert len(dots) == 9


def test_of_many_subjects_only_those_beyond_the_whiskers_are_dots():
    values = {f"s{n}": n % 10.0 for n in range(200)} | {"far": 50.0}
    svg = ET.fromstring(box_plot({"model": values}, series=SERIES))
    assert list(told(svg, "circle")) == ["far: 50.00"]


def test_names_are_escaped_and_long_ones_shortened():
    groups = {"<script>&'\"": {'a<"b': 1.0, "b": 2.0}, "x" * 40: {}}
    svg = ET.fromstring(box_plot(groups, series={}))
    names = [text.text for text in svg.iter("text") if "var(--ink)" in text.get("style")]
    assert names == ["<script>&'\"", "x" * 13 + "…"]
    assert list(told(svg, "circle")) == ['a<"b: 1.00', "b: 2.00"]


def test_infinite_values_are_left_out():
    svg = ET.fromstring(box_plot({"model": {"a": math.inf, "b": 1.0}}, series=SERIES))
    assert len(list(svg.iter("circle"))) == 1


def test_histograms_are_shares_on_a_logarithmic_scale():
    edges = np.arange(-2.5, 3)
    svg = ET.fromstring(
        histogram({"model": np.array([1.0, 10, 78, 10, 1])}, edges, series=SERIES, x_label="error")
    )
    ticks = ticks_of(svg, "y")
    assert set(ticks) >= {1, 10}
    per_decade = ticks[10] - ticks[1]
    levels = points(told(svg, "path")["model"])[:, 1]
    assert levels.min() == pytest.approx(ticks[1] + per_decade * math.log10(78), abs=0.2)
    assert levels.max() == pytest.approx(ticks[1], abs=0.2)


def test_lines_have_gaps_where_values_are_missing():
    svg = ET.fromstring(
        line_chart([Line("a", [0, 1, 2, 3], [1, math.nan, 3, 4])], x_label="x", y_label="y")
    )
    drawn = told(svg, "path")["a"].get("d")
    assert (drawn.count("M"), drawn.count("L")) == (2, 1)


def test_the_diagonal_is_where_both_axes_are_equal():
    svg = ET.fromstring(
        line_chart(
            [Line("a", [0.1, 0.9], [0.2, 0.5], dots=True)],
            x_label="x",
            y_label="y",
            diagonal=True,
            from_zero=True,
        )
    )
    to_x, to_y = scale(ticks_of(svg, "x")), scale(ticks_of(svg, "y"))
    (diagonal,) = (p for p in coloured(svg, "muted") if "dasharray" in p.get("style"))
    assert points(diagonal)[0] == pytest.approx([to_x(0), to_y(0)], abs=0.2)
    assert points(diagonal)[1] == pytest.approx([to_x(0.9), to_y(0.9)], abs=0.2)


def test_agreement_shows_bias_and_limits():
    prediction = {"A": 1.0, "B": 2.5, "C": 4.5, "D": 3.0}
    reference = {"A": 1.0, "B": 2.0, "C": 4.0, "D": 3.5}
    analysis = bland_altman(prediction, reference)
    svg = ET.fromstring(agreement_plot(analysis, "mL"))
    to_y = scale(ticks_of(svg, "y"))
    lines = {text.rpartition(" ")[0]: path for text, path in told(svg, "path").items()}
    for name, value in (
        ("lower limit", analysis.lower[0]),
        ("bias", analysis.bias[0]),
        ("upper limit", analysis.upper[0]),
    ):
        assert points(lines[name])[:, 1] == pytest.approx(to_y(value), abs=0.2)
    assert len(told(svg, "circle")) == 4


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.2345, 2, "1.23"), (-1.5, 1, "−1.5"), (math.inf, 2, "∞"), (12345.678, None, "1.235e+04")],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text
