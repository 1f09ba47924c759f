"""Curves of a training; noisy losses as means over a sliding window."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medrev.report.figures import sliding_mean, training_curves


@pytest.mark.parametrize("window", [1, 2, 7, 40])
def test_a_sliding_mean_is_the_mean_of_every_window(window):
    values = np.random.default_rng(0).normal(size=40)
    expected = [values[k : k + window].mean() for k in range(41 - window)]
    assert sliding_mean(values, window) == pytest.approx(expected)


def test_what_is_no_number_is_left_out():
    found = sliding_mean([1.0, math.nan, math.nan, 4.0, math.inf], 2)
    assert found[0] == 1.0
    assert math.isnan(found[1])
    assert found[2:] == [4.0, 4.0]


def log(rows: int) -> dict[str, list[float]]:
    noise = np.random.default_rng(1).uniform(0.5, 1.5, rows)
    return {"step": [10.0 * (k + 1) for k in range(rows)], "lr": [1e-4] * rows, "a": list(noise)}


def points(svg: str) -> np.ndarray:
    """The points of the only line of a chart."""
    (line,) = (path for path in ET.fromstring(svg).iter("path") if path.find("title") is not None)
    return np.array(re.findall(r"[\d.]+", line.get("d")), float).reshape(-1, 2)


def test_a_short_log_is_drawn_as_it_is():
    charts = training_curves(log(60), {})
    assert [(chart.title, chart.detail) for chart in charts] == [
        ("a", "training"),
        ("learning rate", ""),
    ]
    assert len(points(charts[0].svg)) == 60


def test_a_long_log_is_smoothed_and_says_over_how_many_steps():
    chart = training_curves(log(1000), {})[0]
    assert chart.detail == "training, means over a sliding window of 200 steps"
    drawn = points(chart.svg)
    assert 400 < len(drawn) <= math.ceil((1000 - 20 + 1) / 2)  # nearly straight parts have fewer
    assert (np.diff(drawn[:, 0]) >= 0).all()
    rough = points(training_curves(log(99), {})[0].svg)
    assert np.ptp(drawn[:, 1]) > 100  # the axis fits what is drawn
    assert np.abs(np.diff(drawn[:, 1])).mean() < np.abs(np.diff(rough[:, 1])).mean() / 2


def test_scores_of_segmentations_have_a_chart():
    validation = {"step": [1.0, 2.0], "pixel_accuracy": [0.4, 0.6], "class_iou": [0.1, 0.2]}
    (chart,) = training_curves({}, validation)
    assert chart.title == "pixel_accuracy, class_iou"
