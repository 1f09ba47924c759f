"""Scores of distributions against closed forms, integrals and plain loops."""

import numpy as np
import pytest
from scipy import integrate, stats

from medrev.errors import InputError
from medrev.metrics import (
    crps_normal,
    crps_samples,
    energy_score,
    interval_coverage,
    rank_histogram,
)

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
