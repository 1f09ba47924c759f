"""Conformal factors: order statistics, how many subjects they need, and that they hold."""

import numpy as np
import pytest

from medrev.errors import InputError
from medrev.metrics import conformal_quantile, needed_factors, needed_subjects


@pytest.mark.parametrize(
    ("level", "needed"), [(50, 1), (66.7, 3), (80, 4), (90, 9), (95, 19), (99, 99), (99.5, 199)]
)
def test_a_level_needs_so_many_subjects(level, needed):
    subjects = [np.array([1.0, 2.0, 3.0])] * needed
    assert needed_subjects(level) == needed
    assert conformal_quantile(subjects, level) == 3  # so few that only the largest will do
    with pytest.raises(InputError, match=f"need at least {needed} subjects, got {needed - 1}"):
        conformal_quantile(subjects[1:], level)


def test_every_subject_weighs_the_same_and_one_more_counts_as_not_held():
    # 0.8 · (8 + 1) / 8 = 0.9 of the voxels: seven subjects need 1 to 10, one of 1000 voxels more.
    small, large = np.arange(1.0, 11), np.full(1000, 50.0)
    assert conformal_quantile([small] * 8, 80) == 9
    assert conformal_quantile([*[small] * 7, large], 80) == 50
    # 7 · 0.9 + 0.9 = 7.2: that of seven subjects is 7, then 20 % of the large one's voxels.
    assert conformal_quantile([*[small] * 7, np.linspace(20, 30, 11)], 80) == 22


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


def test_voxels_of_one_more_subject_are_held_as_often_as_promised():
    # Subjects differ in how far off their standard deviations are; 20 of them calibrate.
    rng = np.random.default_rng(1)
    for level in (50, 80, 90):
        held = []
        for _ in range(400):
            scales = np.exp(0.3 * rng.standard_normal((21, 1)))
            ratios = np.abs(rng.standard_normal((21, 60))) * scales
            held.append(np.mean(ratios[-1] <= conformal_quantile(list(ratios[:-1]), level)))
        assert level / 100 - 0.01 < np.mean(held) < level / 100 * 21 / 20 + 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: needed_subjects(float("nan")), "up to 100 percent, got nan"),
        (lambda: needed_subjects(100), "no number of subjects is enough"),
        (lambda: conformal_quantile([np.ones(1)], 0), "above 0 and up to 100 percent, got 0"),
        (lambda: needed_factors(np.zeros(0), np.zeros(0), [90]), "got none"),
        (lambda: needed_factors(np.zeros(2), -np.ones(2), [90]), "0 or more"),
    ],
)
def test_what_has_no_factor_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()
