"""Calibration, scores of distributions, conformal factors.

Against normal errors of known spread, closed forms, integrals, order statistics and plain loops.
"""

import numpy as np
import pytest
from scipy import integrate, stats

from medrev.errors import InputError
from medrev.evaluation import Prediction
from medrev.metrics import (
    calibration,
    conformal_quantile,
    crps_normal,
    crps_samples,
    energy_score,
    interval_coverage,
    needed_factors,
    needed_subjects,
    rank_histogram,
)

from .measured import measured

SHAPE = (2, 20, 20, 20)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    """Errors and true standard deviation."""
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 3, SHAPE)
    return std * rng.standard_normal(SHAPE), std


def test_the_true_spread_is_calibrated(case):
    found = calibration(*case)
    assert found.expected_error < 0.01
    assert found.normalised_error < 0.05
    np.testing.assert_allclose(found.observed, found.predicted, rtol=0.12)
    np.testing.assert_allclose(found.coverage, found.levels, atol=0.02)
    assert found.rank_correlation > 0.3


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_scale_shows_in_coverage_and_reliability_but_not_in_the_ranks(case, factor):
    errors, std = case
    good, bad = calibration(*case), calibration(errors, factor * std)
    # The share of normal errors within z·factor standard deviations.
    z = stats.norm.ppf(0.5 + np.array(good.levels) / 2)
    np.testing.assert_allclose(bad.coverage, 2 * stats.norm.cdf(factor * z) - 1, atol=0.02)
    expected = np.mean(np.abs(2 * stats.norm.cdf(factor * z) - 1 - good.levels))
    assert bad.expected_error == pytest.approx(expected, abs=0.01)
    assert bad.normalised_error == pytest.approx(abs(1 - 1 / factor), abs=0.05)
    assert bad.sparsification_error == pytest.approx(good.sparsification_error, rel=1e-12)
    assert bad.rank_correlation == pytest.approx(good.rank_correlation, rel=1e-12)


def test_bins_and_curves_are_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    errors = rng.uniform(-1, 1, (1, 40))
    std = rng.uniform(0.1, 1, (1, 40))
    found = calibration(errors, std, bins=8)
    pairs = sorted(zip(std[0], np.abs(errors)[0], strict=True))
    for n in range(8):
        part = pairs[5 * n : 5 * n + 5]
        assert found.predicted[n] == pytest.approx(np.sqrt(np.mean([s * s for s, _ in part])))
        assert found.observed[n] == pytest.approx(np.sqrt(np.mean([e * e for _, e in part])))
    sizes = [e for _, e in pairs]
    whole = np.sqrt(np.mean(np.square(sizes)))
    for n, removed in enumerate(found.removed):
        kept = round(40 * (1 - removed))
        assert found.remaining[n] == pytest.approx(
            np.sqrt(np.mean(np.square(sizes[:kept]))) / whole
        )
        best = sorted(sizes)[:kept]
        assert found.oracle[n] == pytest.approx(np.sqrt(np.mean(np.square(best))) / whole)


def test_the_rank_correlation_is_that_of_scipy_also_with_ties(case):
    errors, std = case
    for spread in (std, std.round(1)):
        expected = stats.spearmanr(spread.ravel(), np.abs(errors).ravel())
        found = calibration(errors, spread).rank_correlation
        assert found == pytest.approx(expected.statistic, rel=1e-9)


def test_sparsification_is_best_for_the_errors_themselves_and_bad_for_the_opposite(case):
    errors, _ = case
    error = np.abs(errors) + 1e-9
    rng = np.random.default_rng(2)
    perfect, opposite, random = (
        calibration(errors, std).sparsification_error
        for std in (error, 1 / error, rng.uniform(1, 2, SHAPE))
    )
    assert perfect == pytest.approx(0, abs=1e-12)
    assert perfect < random < opposite


def test_a_constant_std_has_no_rank_correlation(case):
    errors, std = case
    found = calibration(errors, np.full_like(std, 1.9))
    assert found.rank_correlation is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, s: (e, -s), "must be positive, 16000 are not"),
        (lambda e, s: (0 * e, s), "all errors are zero"),
        (lambda e, s: (e[:, :1, :1, :5], s[:, :1, :1, :5]), "at least 15"),
    ],
)
def test_what_cannot_be_calibrated_is_said(case, change, message):
    with pytest.raises(InputError, match=message):
        calibration(*change(*case))


@pytest.mark.parametrize(
    ("change", "message"), [(lambda s: s[:1], "same shape"), (lambda s: s * np.nan, "finite")]
)
def test_standard_deviations_that_do_not_fit_are_said(case, change, message):
    errors, std = case
    given = Prediction(errors, std=change(std))
    with pytest.raises(InputError, match=message):
        measured("coverage_error", given, 0 * errors)


def test_only_the_mask_counts(case):
    mask = np.random.default_rng(3).random(SHAPE[1:]) < 0.5
    errors, std = (np.where(mask, volume, np.nan) for volume in case)
    found = measured("coverage_error", Prediction(errors, std=std), 0 * case[0], mask)
    assert found == calibration(*(v[:, mask] for v in case)).expected_error


TENSOR = np.array([1.0, 2, 2, 1, 2, 1])


def test_crps_of_a_normal_at_its_mean_is_known():
    # Gneiting and Raftery 2007: N(0, σ²) at 0 has σ (√2 − 1) / √π.
    found = crps_normal(np.zeros(2), np.array([1.0, 3.0]))
    np.testing.assert_allclose(found, np.array([1, 3]) * (np.sqrt(2) - 1) / np.sqrt(np.pi))


@pytest.mark.parametrize(("error", "std"), [(0.4, 1.0), (-1.7, 0.3), (5.0, 2.0)])
def test_crps_of_a_normal_is_the_integral_that_defines_it(error, std):
    def squared(x: float) -> float:
        return float((stats.norm.cdf(x, error, std) - (x >= 0)) ** 2)

    parts = [integrate.quad(squared, *ends, epsabs=1e-11)[0] for ends in ((-40, 0), (0, 40))]
    found = crps_normal(np.array([error]), np.array([std]))
    assert found[0] == pytest.approx(sum(parts), abs=1e-8)


def test_crps_without_spread_and_far_away_is_the_absolute_error():
    errors, std = np.array([0.0, -2.0, 1e6]), np.array([0.0, 0.0, 1e-9])
    np.testing.assert_allclose(crps_normal(errors, std), [0, 2, 1e6])


def test_crps_of_samples_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    samples, reference = rng.standard_normal((5, 3, 4)), rng.standard_normal((3, 4))
    found = crps_samples(samples, reference)
    for place in np.ndindex(3, 4):
        x, y = samples[(slice(None), *place)], reference[place]
        pairs = sum(abs(a - b) for n, a in enumerate(x) for b in x[:n])
        assert found[place] == pytest.approx(np.abs(x - y).mean() - pairs / 20)


@pytest.mark.parametrize("count", [2, 16])
def test_crps_of_few_samples_has_no_bias(count):
    rng = np.random.default_rng(1)
    samples, reference = rng.standard_normal((count, 200_000)), 0.7 * np.ones(200_000)
    exact = crps_normal(np.array([0.7]), np.array([1.0]))[0]
    assert crps_samples(samples, reference).mean() == pytest.approx(exact, abs=0.006)


def test_the_energy_score_of_one_component_is_the_crps():
    rng = np.random.default_rng(2)
    samples, reference = rng.standard_normal((6, 1, 9)), rng.standard_normal((1, 9))
    expected = crps_samples(samples[:, 0], reference[0])
    np.testing.assert_allclose(energy_score(samples, reference), expected)
    doubled = energy_score(samples, reference, np.array([4.0]))
    np.testing.assert_allclose(doubled, 2 * expected)


def test_the_energy_score_of_tensors_takes_the_frobenius_norm():
    rng = np.random.default_rng(3)
    samples, reference = rng.standard_normal((4, 6, 5)), rng.standard_normal((6, 5))
    place = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
    found = energy_score(samples, reference, TENSOR)
    for voxel in range(5):
        x, y = samples[:, :, voxel][:, place], reference[:, voxel][place]
        pairs = sum(np.linalg.norm(a - b) for n, a in enumerate(x) for b in x[:n])
        away = np.mean([np.linalg.norm(a - y) for a in x])
        assert found[voxel] == pytest.approx(away - pairs / 12)


def test_the_true_distribution_has_the_least_scores():
    rng = np.random.default_rng(4)
    reference = rng.standard_normal((2, 40_000))
    samples = rng.standard_normal((8, 2, 40_000))
    for score in (crps_samples, energy_score):
        true = score(samples, reference).mean()
        assert all(score(f * samples + m, reference).mean() > true for f, m in [(0.6, 0), (1, 0.4)])


@pytest.mark.parametrize(("spread", "shape"), [(1.0, "even"), (0.4, "U"), (2.5, "dome")])
def test_rank_histograms_show_too_little_and_too_much_spread(spread, shape):
    rng = np.random.default_rng(5)
    found = rank_histogram(spread * rng.standard_normal((7, 8000)), rng.standard_normal(8000), rng)
    assert len(found.counts) == 8
    assert sum(found.counts) == 8000
    assert np.mean(found.shares) == pytest.approx(1)
    ends, middle = found.shares[0] + found.shares[-1], found.shares[3] + found.shares[4]
    assert {"even": 0.9 < ends / middle < 1.1, "U": ends > 2 * middle, "dome": middle > 2 * ends}[
        shape
    ]
    assert (found.p_value > 0.01) == (shape == "even")


def test_the_p_value_of_ranks_is_that_of_chi_square():
    samples = np.array([[0.0] * 10, [1.0] * 10])
    reference = np.array([-1.0] * 5 + [0.5] * 3 + [2.0] * 2)
    found = rank_histogram(samples, reference, np.random.default_rng(0))
    assert found.counts == (5, 3, 2)
    statistic = sum((n - 10 / 3) ** 2 / (10 / 3) for n in (5, 3, 2))
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 2))


def test_equal_values_take_any_of_their_ranks():
    # All are zero: every rank is as likely, as in a background of zeros.
    found = rank_histogram(np.zeros((3, 4000)), np.zeros(4000), np.random.default_rng(6))
    assert found.p_value > 0.01
    assert min(found.counts) > 900


def test_ends_of_intervals_belong_to_them():
    lower, upper = np.zeros(4), np.array([1.0, 1, 2, 0])
    assert interval_coverage(lower, upper, np.array([0, 1, 2.1, 0])) == (0.75, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crps_normal(np.zeros(1), -np.ones(1)), "0 or more"),
        (lambda: crps_samples(np.zeros((1, 3)), np.zeros(3)), "at least two samples are needed"),
        (lambda: energy_score(np.zeros((1, 2, 3)), np.zeros((2, 3))), "got 1"),
        (
            lambda: rank_histogram(np.zeros((2, 0)), np.zeros(0), np.random.default_rng(0)),
            "got none",
        ),
        (lambda: interval_coverage(np.ones(2), np.zeros(2), np.zeros(2)), "2 intervals"),
        (lambda: interval_coverage(*(np.zeros(0),) * 3), "got none"),
    ],
)
def test_what_has_no_score_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


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
