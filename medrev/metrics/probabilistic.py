"""Scores of predicted distributions: normal ones, intervals, and samples.

CRPS and energy score are proper: no other distribution than the true one has a better mean. Both
are errors, in the unit of the values, and of a single estimate the absolute error (the norm).
"""

from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Floats


def crps_normal(errors: Floats, std: Floats) -> Floats:
    """Continuous ranked probability score of normal distributions, value by value.

    ``σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π)`` with z = error / σ; the absolute error where σ is 0.

    Args:
        errors: Mean minus reference, of any shape.
        std: Standard deviations, 0 or more, same shape and unit.

    Raises:
        InputError: A standard deviation is negative.

    References:
        Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 2007,
        equation 21.

    Example:
        >>> crps_normal(np.array([0.0, 3.0]), np.array([1.0, 0.0])).round(4).tolist()
        [0.2337, 3.0]
    """
    from scipy.special import ndtr

    if (std < 0).any():
        raise InputError("standard deviations must be 0 or more, got negative ones")
    error = np.abs(errors)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = error / std
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        score = std * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.asarray(np.where(std > 0, score, error))


def crps_samples(samples: Floats, reference: Floats) -> Floats:
    """CRPS of a distribution known by independent samples, value by value, without bias.

    ``mean |x_i − y| − Σ_{i<j} |x_i − x_j| / (M (M − 1))``: its expectation is the score of the
    distribution, however few the samples.

    Args:
        samples: ``(M, …)``.
        reference: ``(…)``.

    Raises:
        InputError: There are fewer than two samples.

    References:
        Ferro, Fair scores for ensemble forecasts, QJRMS 2014, equation 5.
    """
    count = _count(samples)
    weights = 2 * np.arange(1, count + 1) - count - 1  # Σ_{i<j} |x_i − x_j| of sorted samples
    pairs = np.tensordot(weights, np.sort(samples, axis=0), axes=1)
    distance = np.abs(samples - reference).mean(axis=0)
    return np.asarray(distance - pairs / (count * (count - 1)))


def energy_score(samples: Floats, reference: Floats, weights: Floats | None = None) -> Floats:
    """The CRPS of vectors: norms take the place of absolute values; without bias, too.

    Args:
        samples: ``(M, C, …)``, vectors along the second axis.
        reference: ``(C, …)``.
        weights: Weight ``(C,)`` of every squared component in the norm; (1, 2, 2, 1, 2, 1) gives
            tensors the Frobenius norm (default: 1).

    Raises:
        InputError: There are fewer than two samples.

    References:
        Gneiting and Raftery 2007, equation 22.
    """
    count = _count(samples)
    scale = np.ones(len(reference)) if weights is None else weights

    def norm(difference: Floats) -> Floats:
        return np.asarray(np.sqrt(np.tensordot(scale, difference**2, axes=1)))

    distance = sum(norm(sample - reference) for sample in samples) / count
    pairs = sum(norm(samples[i] - samples[j]) for i in range(count) for j in range(i))
    return np.asarray(distance - pairs / (count * (count - 1)))


@dataclass(frozen=True)
class RankHistogram:
    """How often the reference took each rank among samples.

    Attributes:
        counts: Of the ranks 0 (below all samples) to M (above all).
        p_value: That counts of independent uniform ranks differ as much (χ²). Neighbouring voxels
            are not independent: take voxels far from each other, or read the shape alone.
    """

    counts: tuple[int, ...]
    p_value: float

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of every rank times the number of ranks: 1 throughout if calibrated."""
        return tuple(n * len(self.counts) / sum(self.counts) for n in self.counts)


def rank_histogram(
    samples: Floats, reference: Floats, generator: np.random.Generator
) -> RankHistogram:
    """Ranks of reference values among samples: uniform where both are of one distribution.

    A U means too little spread, a dome too much, a slope bias. A reference that equals samples
    takes any of their ranks by chance.

    Args:
        samples: ``(M, …)``.
        reference: ``(…)``.
        generator: Decides between equal values.

    Raises:
        InputError: There are fewer than two samples, or no values.

    References:
        Hamill, Interpretation of rank histograms for verifying ensemble forecasts, Monthly Weather
        Review 2001; Talts et al., Validating Bayesian inference algorithms with simulation-based
        calibration, 2018.
    """
    from scipy import stats

    count = _count(samples)
    if reference.size == 0:
        raise InputError("a rank histogram needs values, got none")
    below, equal = (samples < reference).sum(axis=0), (samples == reference).sum(axis=0)
    ranks = below + generator.integers(0, equal + 1)
    counts = np.bincount(ranks.ravel(), minlength=count + 1)
    return RankHistogram(tuple(counts.tolist()), float(stats.chisquare(counts).pvalue))


def interval_coverage(lower: Floats, upper: Floats, reference: Floats) -> tuple[float, float]:
    """Share of values, of any shape, that lie in their intervals, and the mean width of these.

    Raises:
        InputError: A lower end lies above the upper one, or there are no values.

    Example:
        >>> ends = np.array([0.0, 0.0]), np.array([1.0, 3.0])
        >>> interval_coverage(*ends, np.array([0.5, 4.0]))
        (0.5, 2.0)
    """
    if reference.size == 0:
        raise InputError("coverage needs values, got none")
    wrong = int((lower > upper).sum())
    if wrong:
        raise InputError(f"{wrong} intervals have a lower end above the upper one")
    inside = (lower <= reference) & (reference <= upper)
    return float(inside.mean()), float((upper - lower).mean())


def _count(samples: Floats) -> int:
    if len(samples) < 2:
        raise InputError(f"at least two samples are needed, got {len(samples)}")
    return len(samples)
