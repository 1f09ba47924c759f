import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrev.errors import InputError
from medrev.evaluation import Interval, bootstrap_mean, describe


def test_mean_std_and_quartiles_are_those_of_numpy():
    values = np.random.default_rng(0).normal(9, 2, 13)
    found = describe(values)
    assert found.count == 13
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    quartiles = found.lower_quartile, found.median, found.upper_quartile
    assert quartiles == pytest.approx(tuple(np.quantile(values, [0.25, 0.5, 0.75])))
    assert (found.smallest, found.largest) == (values.min(), values.max())
    assert found.notes == ()


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=12), st.randoms())
def test_the_order_of_subjects_changes_no_number_but_by_rounding(values, random):
    one = describe(values, resamples=0)
    random.shuffle(values)
    two = describe(values, resamples=0)
    assert one.mean == pytest.approx(two.mean, rel=1e-9, abs=1e-9)
    assert one.std == pytest.approx(two.std, rel=1e-9, abs=1e-6)
    assert (one.median, one.upper_quartile) == (two.median, two.upper_quartile)
    assert one.smallest <= one.lower_quartile <= one.median <= one.upper_quartile <= one.largest


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Skewed values, 300 cohorts of 30: the BCa interval holds the true mean about 95 times."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        found = bootstrap_mean(rng.exponential(1.0, 30), resamples=500)
        hits += found.low <= 1.0 <= found.high
    assert 0.90 < hits / 300 < 0.985


def test_the_interval_is_near_that_of_student_for_normal_values_and_is_reproducible():
    from scipy import stats

    values = np.random.default_rng(2).normal(5, 1, 200)
    found = bootstrap_mean(values)
    half = stats.t.ppf(0.975, 199) * values.std(ddof=1) / math.sqrt(200)
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)
    assert bootstrap_mean(values) == found
    assert bootstrap_mean(values, seed=1) != found


def test_the_interval_of_many_subjects_is_drawn_in_pieces(monkeypatch):
    values = np.random.default_rng(3).gamma(2, size=3000)
    tracemalloc.start()
    found = bootstrap_mean(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e7  # all samples at once take 4.8e8 bytes
    monkeypatch.setattr("medrev.evaluation.summary._TOGETHER", 1 << 30)
    assert bootstrap_mean(values) == found


@given(st.lists(st.sampled_from([0.0, 1.0, 1.0 + 2**-52, 1e-9, 7.5]), min_size=5, max_size=8))
def test_the_interval_of_few_different_values_is_defined_or_said(values):
    found = describe(values, resamples=200)
    if found.interval is None:
        assert found.notes == ("no confidence interval: the values differ by rounding only",)
    else:
        assert found.interval.low <= found.interval.high
        assert min(values) - 1e-15 <= found.interval.low
        assert found.interval.high <= max(values) + 1e-15


def test_equal_values_have_no_spread():
    found = describe([0.3] * 7)
    assert found.std == 0
    assert found.interval == Interval(0.3, 0.3)


def test_few_subjects_are_said_not_nan():
    one = describe([3.0])
    assert (one.mean, one.std, one.interval) == (3, None, None)
    assert one.notes == (
        "no standard deviation: not enough subjects (1, 2 are needed)",
        "no confidence interval: not enough subjects (1, 5 are needed)",
    )
    none = describe([])
    assert (none.count, none.mean, none.notes) == (0, None, ("no subject has a value",))
    with pytest.raises(InputError, match=r"not enough subjects \(4, 5 are needed\)"):
        bootstrap_mean([1.0, 2, 3, 4])


def test_infinite_values_are_said():
    found = describe([math.inf, 20.0, 30.0, 25.0, 22.0])
    assert found.mean == math.inf
    assert found.std is None
    assert found.interval is None
    assert (found.median, found.upper_quartile) == (25, 30)
    assert found.notes == ("1 of 5 values are infinite",)
    assert describe([math.inf] * 3).median == math.inf


def test_nan_is_refused():
    with pytest.raises(InputError, match="leave them out"):
        describe([1.0, math.nan])


def test_the_interval_of_skewed_values_leans_to_their_tail():
    """BCa: both limits lie above those of plain percentiles where the tail is on the right."""
    rng = np.random.default_rng(3)
    values = rng.exponential(1.0, 25)
    means = rng.choice(values, (20_000, 25)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    found = bootstrap_mean(values, resamples=20_000)
    width = high - low
    assert found.low > low + 0.02 * width
    assert found.high > high + 0.03 * width
