"""Charts are read back as XML: what is drawn lies where the numbers say."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrev.evaluation import bland_altman
from medrev.report.axis import Axis, format_tick, ticks_between
from medrev.report.charts import (
    Line,
    agreement_plot,
    box_plot,
    histogram,
    line_chart,
    number,
)

SERIES = {"model": 0, "cubic": 1}


def ticks_of(svg: ET.Element, anchor: str) -> dict[float, float]:
    """Coordinate of every tick's label on an axis."""
    name, below = ("x", 0) if anchor == "middle" else ("y", 3.5)  # text stands on its baseline
    return {
        float(text.text.replace("−", "-")): float(text.get(name)) - below
        for text in svg.iter("text")
        if text.get("text-anchor") == anchor and text.get("class") is None
    }


def scale(ticks: dict[float, float]):
    """The linear map from values to coordinates that the tick labels promise."""
    values = sorted(ticks)
    slope = (ticks[values[-1]] - ticks[values[0]]) / (values[-1] - values[0])
    return lambda value: ticks[values[0]] + slope * (value - values[0])


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_ticks_are_round_and_on_the_axis(low, span):
    ticks = ticks_between(low, low + span)
    assert 1 <= len(ticks) <= 11
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = np.diff(ticks)
    if len(steps):
        leading = f"{steps[0]:e}"[0]
        assert leading in "125" or math.isclose(steps[0], float(f"{steps[0]:.0e}"), rel_tol=1e-3)
        assert np.allclose(steps, steps[0], rtol=1e-4, atol=1e-9)


def test_axes_of_constant_empty_and_infinite_values_do_not_fail():
    for values in ([], [3.0], [3.0, 3.0], [math.inf, math.nan], [0.0]):
        axis = Axis.around(values, 0, 100)
        assert 0 <= axis(3.0) <= 100
        assert axis.ticks()
    log = Axis.around([0.0, -1.0, 10.0, 1000.0], 100, 0, log=True)
    assert log(1000) < log(100) < log(10)
    assert [format_tick(t) for t in log.ticks()] == ["10", "100", "1000"]


def test_boxes_are_quartiles_where_the_axis_says():
    values = {f"s{n}": float(v) for n, v in enumerate([1, 2, 3, 4, 5, 6, 7, 8, 20])}
    svg = ET.fromstring(box_plot({"model": values}, series=SERIES))
    to_x = scale(ticks_of(svg, "middle"))
    box = svg.find(".//rect[@class='box']")
    left, width = float(box.get("x")), float(box.get("width"))
    q1, median, q3 = np.quantile(list(values.values()), [0.25, 0.5, 0.75])
    assert left == pytest.approx(to_x(q1), abs=0.2)
    assert left + width == pytest.approx(to_x(q3), abs=0.2)
    at = float(re.match(r"M([\d.]+)", svg.find(".//path[@class='median']").get("d"))[1])
    assert at == pytest.approx(to_x(median), abs=0.2)
    whisker = svg.find(".//path[@class='whisker']").get("d")
    ends = [float(v) for v in re.findall(r"[\d.]+", whisker)]
    assert ends[-1] == pytest.approx(to_x(8), abs=0.2)  # 20 lies beyond 1.5 times the box
    dots = {t.text: float(c.get("cx")) for c in svg.iter("circle") for t in c}
    assert dots["s8: 20.00"] == pytest.approx(to_x(20), abs=0.2)
    assert len(dots) == 9


def test_of_many_subjects_only_those_beyond_the_whiskers_are_dots():
    values = {f"s{n}": n % 10.0 for n in range(200)} | {"far": 50.0}
    svg = ET.fromstring(box_plot({"model": values}, series=SERIES))
    assert [t.text for c in svg.iter("circle") for t in c] == ["far: 50.00"]


def test_names_are_escaped_and_long_ones_shortened():
    svg = ET.fromstring(box_plot({"<script>&'\"": {"a<b": 1.0}, "x" * 40: {}}, series={}))
    names = [text.text for text in svg.iter("text") if text.get("class") == "name"]
    assert names == ["<script>&'\"", "x" * 13 + "…"]


def test_infinite_values_are_left_out():
    svg = ET.fromstring(box_plot({"model": {"a": math.inf, "b": 1.0}}, series=SERIES))
    assert len(list(svg.iter("circle"))) == 1


def test_histograms_are_shares_on_a_logarithmic_scale():
    edges = np.arange(-2.5, 3)
    svg = ET.fromstring(
        histogram({"model": np.array([1.0, 10, 78, 10, 1])}, edges, series=SERIES, x_label="error")
    )
    ticks = ticks_of(svg, "end")
    assert set(ticks) >= {1, 10}
    per_decade = ticks[10] - ticks[1]
    line = next(p for p in svg.iter("path") if (p.get("class") or "").startswith("line"))
    levels = [float(v) for v in re.findall(r"V([\d.]+)", line.get("d"))]
    assert levels[2] == pytest.approx(ticks[1] + per_decade * math.log10(78), abs=0.2)
    assert levels[0] == pytest.approx(ticks[1], abs=0.2)


def test_lines_have_gaps_where_values_are_missing():
    svg = ET.fromstring(
        line_chart([Line("a", [0, 1, 2, 3], [1, math.nan, 3, 4])], x_label="x", y_label="y")
    )
    line = next(p for p in svg.iter("path") if (p.get("class") or "").startswith("line"))
    assert line.get("d").count("M") == 2
    assert line.get("d").count("L") == 1


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
    to_x, to_y = scale(ticks_of(svg, "middle")), scale(ticks_of(svg, "end"))
    ends = [float(v) for v in re.findall(r"[\d.]+", svg.find(".//path[@class='ideal']").get("d"))]
    assert ends[:2] == pytest.approx([to_x(0), to_y(0)], abs=0.2)
    assert ends[2:] == pytest.approx([to_x(0.9), to_y(0.9)], abs=0.2)


def test_agreement_shows_bias_and_limits():
    prediction = {"A": 1.0, "B": 2.5, "C": 4.5, "D": 3.0}
    reference = {"A": 1.0, "B": 2.0, "C": 4.0, "D": 3.5}
    analysis = bland_altman(prediction, reference)
    svg = ET.fromstring(agreement_plot(analysis, "mL"))
    to_y = scale(ticks_of(svg, "end"))
    lines = {
        path.find("title").text.rpartition(" ")[0]: float(
            re.search(r"M52 ([\d.]+)", path.get("d"))[1]
        )
        for path in svg.iter("path")
        if path.find("title") is not None
    }
    for name, value in (
        ("lower limit", analysis.lower[0]),
        ("bias", analysis.bias[0]),
        ("upper limit", analysis.upper[0]),
    ):
        assert lines[name] == pytest.approx(to_y(value), abs=0.2)
    assert len(list(svg.iter("circle"))) == 4


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.2345, 2, "1.23"), (-1.5, 1, "−1.5"), (math.inf, 2, "∞"), (12345.678, None, "1.235e+04")],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text
