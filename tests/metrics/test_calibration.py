"""Calibration of standard deviations: normal errors of known spread, and plain loops."""

import numpy as np
import pytest
from scipy import stats

from medrev.errors import InputError
from medrev.evaluation import Prediction
from medrev.metrics import calibration

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
