"""Conformal factors: order statistics, how many subjects they need, and that they hold."""

import numpy as np
import pytest

from medrev.errors import InputError
from medrev.metrics import conformal_quantile, needed_factors, needed_subjects


@pytest.mark.parametrize(
    ("level", "needed"), [(50, 1), (66.7, 3), (80, 4), (90, 9), (95, 19), (99, 99), (99.5, 199)]
)
def test_a_level_needs_so_many_subjects(level, needed):
    assert needed_subjects(level) == needed
    assert conformal_quantile(range(needed), level) == needed - 1
    with pytest.raises(InputError, match=f"need at least {needed} subjects, got {needed - 1}"):
        conformal_quantile(range(needed - 1), level)


def test_the_order_statistic_has_the_correction_for_one_more_subject():
    # (19 + 1) · 0.9 = 18, (20 + 1) · 0.9 = 18.9, of which the next whole number is 19.
    assert conformal_quantile(list(range(1, 20)), 90) == 18
    assert conformal_quantile(list(range(1, 21)), 90) == 19


def test_a_factor_holds_the_share_and_a_smaller_one_does_not():
    rng = np.random.default_rng(0)
    errors, std = rng.standard_normal((2, 500)), rng.uniform(0.2, 2, (2, 500))
    levels = (50, 90, 95)
    for level, factor in zip(levels, needed_factors(errors, std, levels), strict=True):
        assert (np.abs(errors) <= factor * std * (1 + 1e-12)).mean() >= level / 100
        assert (np.abs(errors) <= 0.9999 * factor * std).mean() < level / 100


def test_no_error_needs_no_spread_and_an_error_without_spread_no_factor_holds():
    errors, std = np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(4)
    assert needed_factors(errors, std, (75, 76)).tolist() == [0, np.inf]


def test_one_more_subject_is_held_as_often_as_promised():
    # Subjects differ in how far off their standard deviations are; 20 of them calibrate.
    rng = np.random.default_rng(1)
    scores = np.exp(0.3 * rng.standard_normal((4000, 21)))
    for level in (50, 80, 90):
        held = np.mean([s[-1] <= conformal_quantile(s[:-1], level) for s in scores])
        assert level / 100 - 0.02 < held < level / 100 + 1 / 21 + 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: needed_subjects(100), "between 0 and 100 percent, got 100"),
        (lambda: conformal_quantile([1.0], 0), "between 0 and 100"),
        (lambda: needed_factors(np.zeros(0), np.zeros(0), [90]), "got none"),
        (lambda: needed_factors(np.zeros(2), -np.ones(2), [90]), "0 or more"),
    ],
)
def test_what_has_no_factor_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()
