"""Calibration of standard deviations: normal errors of known spread, and plain loops."""

import json

import numpy as np
import pytest
from scipy import stats

from medrev.errors import InputError
from medrev.metrics import calibration

SHAPE = (2, 20, 20, 20)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, reference and true standard deviation."""
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 3, SHAPE)
    reference = rng.random(SHAPE)
    return reference + std * rng.standard_normal(SHAPE), reference, std


def test_the_true_spread_is_calibrated(case):
    found = calibration(*case)
    assert found.expected_error < 0.01
    assert found.normalised_error < 0.05
    np.testing.assert_allclose(found.observed, found.predicted, rtol=0.12)
    np.testing.assert_allclose(found.coverage, found.levels, atol=0.02)
    assert found.rank_correlation > 0.3


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_scale_shows_in_coverage_and_reliability_but_not_in_the_ranks(case, factor):
    prediction, reference, std = case
    good, bad = calibration(*case), calibration(prediction, reference, factor * std)
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
    reference, prediction = rng.random((2, 1, 40))
    std = rng.uniform(0.1, 1, (1, 40))
    found = calibration(prediction, reference, std, bins=8)
    pairs = sorted(zip(std[0], np.abs(prediction - reference)[0], strict=True))
    for n in range(8):
        part = pairs[5 * n : 5 * n + 5]
        assert found.predicted[n] == pytest.approx(np.sqrt(np.mean([s * s for s, _ in part])))
        assert found.observed[n] == pytest.approx(np.sqrt(np.mean([e * e for _, e in part])))
    errors = [e for _, e in pairs]
    whole = np.sqrt(np.mean(np.square(errors)))
    for n, removed in enumerate(found.removed):
        kept = round(40 * (1 - removed))
        assert found.remaining[n] == pytest.approx(
            np.sqrt(np.mean(np.square(errors[:kept]))) / whole
        )
        best = sorted(errors)[:kept]
        assert found.oracle[n] == pytest.approx(np.sqrt(np.mean(np.square(best))) / whole)


def test_the_rank_correlation_is_that_of_scipy_also_with_ties(case):
    prediction, reference, std = case
    for spread in (std, std.round(1)):
        expected = stats.spearmanr(spread.ravel(), np.abs(prediction - reference).ravel())
        found = calibration(prediction, reference, spread).rank_correlation
        assert found == pytest.approx(expected.statistic, rel=1e-9)


def test_sparsification_is_best_for_the_errors_themselves_and_bad_for_the_opposite(case):
    prediction, reference, _ = case
    error = np.abs(prediction - reference) + 1e-9
    rng = np.random.default_rng(2)
    perfect, opposite, random = (
        calibration(prediction, reference, std).sparsification_error
        for std in (error, 1 / error, rng.uniform(1, 2, SHAPE))
    )
    assert perfect == pytest.approx(0, abs=1e-12)
    assert perfect < random < opposite


def test_only_the_mask_counts(case):
    mask = np.random.default_rng(3).random(SHAPE[1:]) < 0.5
    outside = [np.where(mask, volume, np.nan) for volume in case]
    found = calibration(*outside, mask)
    assert found == calibration(*(v[:, mask] for v in case))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["levels"][0] == 0.05


def test_a_constant_std_has_no_rank_correlation(case):
    prediction, reference, std = case
    found = calibration(prediction, reference, np.full_like(std, 1.9))
    assert found.rank_correlation is None
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, r, s: (p, r, -s), "must be positive, 16000 are not"),
        (lambda p, r, s: (p, r, s[:1]), "same shape"),
        (lambda p, r, s: (p, r, s * np.nan), "finite"),
        (lambda p, r, s: (r, r, s), "all errors are zero"),
        (lambda p, r, s: (p[:, :1, :1, :5], r[:, :1, :1, :5], s[:, :1, :1, :5]), "at least 15"),
    ],
)
def test_what_cannot_be_calibrated_is_said(case, change, message):
    with pytest.raises(InputError, match=message):
        calibration(*change(*case))
