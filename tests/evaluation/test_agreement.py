import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrev.errors import InputError
from medrev.evaluation import (
    Record,
    Results,
    bland_altman,
    find_outliers,
    method_agreement,
    outliers,
)
from medrev.metrics import Key


def by_subject(values) -> dict[str, float]:
    return {f"s{n}": float(value) for n, value in enumerate(values)}


def test_limits_of_agreement_by_hand():
    """Differences 2, -1, 3, 0, 1: mean 1, standard deviation √2.5; t(0.975, 4) = 2.776445."""
    reference = [10.0, 20, 30, 40, 50]
    prediction = [12.0, 19, 33, 40, 51]
    found = bland_altman(by_subject(prediction), by_subject(reference))
    std = math.sqrt(2.5)
    assert found.bias[0] == pytest.approx(1)
    half = 2.776445 * std / math.sqrt(5)
    assert found.bias[1].low == pytest.approx(1 - half, rel=1e-6)
    assert found.lower[0] == pytest.approx(1 - 1.959964 * std, rel=1e-6)
    assert found.upper[0] == pytest.approx(1 + 1.959964 * std, rel=1e-6)
    half = 2.776445 * std * math.sqrt(1 / 5 + 1.959964**2 / 8)
    assert found.upper[1].high == pytest.approx(found.upper[0] + half, rel=1e-6)
    assert found.means == (11, 19.5, 31.5, 40, 50.5)
    slope, _ = np.polyfit(found.means, found.differences, 1)
    assert found.slope == pytest.approx(slope)


def test_the_limits_hold_95_percent_of_normal_differences():
    rng = np.random.default_rng(0)
    reference = rng.normal(100, 20, 4000)
    prediction = reference + rng.normal(-3, 2, 4000)
    found = bland_altman(by_subject(prediction), by_subject(reference))
    inside = [found.lower[0] < d < found.upper[0] for d in found.differences]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)
    assert found.bias[1].low < -3 < found.bias[1].high
    assert found.slope_p > 0.001


def test_a_bias_that_grows_shows_in_the_slope():
    reference = np.linspace(1, 10, 20)
    found = bland_altman(by_subject(1.2 * reference), by_subject(reference))
    assert found.slope == pytest.approx(0.2 / 1.1)
    assert found.slope_p < 1e-6


@given(st.lists(st.tuples(st.floats(-99, 99), st.floats(-99, 99)), min_size=3, max_size=9))
def test_swapping_turns_the_signs(pairs):
    one, two = by_subject(p for p, _ in pairs), by_subject(r for _, r in pairs)
    there, back = bland_altman(one, two), bland_altman(two, one)
    assert there.bias[0] == pytest.approx(-back.bias[0], abs=1e-9)
    assert there.lower[0] == pytest.approx(-back.upper[0], abs=1e-9)
    assert there.means == back.means


def test_records_hold_the_partner():
    records = [
        Record(f"s{n}", "model", metric, "hippocampus", None, value, "mL")
        for n in range(4)
        for metric, value in (("volume", 3.0 + n), ("reference_volume", 2.5 + n))
    ]
    found = method_agreement(Results.of(records), "model", Key("volume", "hippocampus"))
    assert found.bias[0] == 0.5
    with pytest.raises(InputError, match="mean and volume, got 'rmse'"):
        method_agreement(Results.of(records), "model", Key("rmse"))


def test_few_or_infinite_values_are_said():
    with pytest.raises(InputError, match=r"not enough subjects \(2, 3 are needed\)"):
        bland_altman(by_subject([1, 2]), by_subject([1, 2, 3]))
    with pytest.raises(InputError, match="finite"):
        bland_altman(by_subject([1, 2, math.inf]), by_subject([1, 2, 3]))


def test_equal_measurements_have_no_slope():
    found = bland_altman(by_subject([2, 2, 2]), by_subject([2, 2, 2]))
    assert (found.bias[0], found.slope, found.slope_p) == (0, None, None)


def test_robust_scores_by_hand():
    """Median 5, absolute deviations 2 1 0 0 1 2 95: MAD 1."""
    found = outliers(by_subject([3, 4, 5, 5, 6, 7, 100]))
    assert found == {"s6": pytest.approx(0.6745 * 95)}


def test_where_more_than_half_are_equal_the_mean_deviation_counts():
    values = by_subject([1, 1, 1, 1, 1, 2])
    assert outliers(values) == {"s5": pytest.approx(1 / (1.2533 / 6))}
    assert outliers(by_subject([1] * 6)) == {}


def test_an_infinite_value_among_finite_ones_is_an_outlier():
    assert outliers(by_subject([1, 1, 1, 1, 1, math.inf])) == {"s5": math.inf}
    assert outliers(by_subject([math.inf] * 6)) == {}


def test_few_subjects_have_no_outliers():
    assert outliers(by_subject([1, 1, 1, 99])) == {}


@given(st.lists(st.floats(-50, 50), min_size=5, max_size=20), st.floats(0.5, 3), st.floats(-9, 9))
def test_scores_do_not_depend_on_unit_and_zero(values, scale, shift):
    values = [round(v, 3) for v in values]
    one = outliers(by_subject(values))
    two = outliers(by_subject(scale * v + shift for v in values))
    borderline = {s for s, z in {**one, **two}.items() if abs(abs(z) - 3.5) < 1e-3 or abs(z) > 1e6}
    assert set(one) - borderline == set(two) - borderline


def test_flags_name_subject_method_and_direction():
    columns = {"rmse": [5, 6, 5.5, 5.2, 90], "psnr": [30, 31, 30.5, 30.2, 60]}
    records = [
        Record(f"s{n}", "model", metric, "mask", None, value, "")
        for metric, column in columns.items()
        for n, value in enumerate(column)
    ]
    found = find_outliers(Results.of(records))
    assert [(o.subject, o.key.metric, o.worse) for o in found] == [
        ("s4", "rmse", True),
        ("s4", "psnr", False),
    ]
    assert abs(found[0].score) >= abs(found[1].score)
