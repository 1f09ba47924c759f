"""Calibration of standard deviations and intervals, and scores of predicted distributions.

Of intervals it is split-conformal: factors that make them hold what they promise. The unit that is
exchangeable is the subject, not the voxel: voxels of one brain err together. Every subject weighs
the same, and one more, which is not known yet, counts as if nothing held it.

CRPS and energy score are proper: no other distribution than the true one has a better mean. Both
are errors, in the unit of the values, and of a single estimate the absolute error (the norm).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import Floats

LEVELS = np.linspace(0.05, 0.95, 19)
REMOVED = np.linspace(0, 0.95, 20)


@dataclass(frozen=True)
class Calibration:
    """How well predicted standard deviations tell the size of the errors.

    Errors and standard deviations are in the volume's unit; all channels are taken together.

    Attributes:
        levels: Nominal levels of central intervals of a normal distribution.
        coverage: Share of errors that lie in them; equal to the levels if calibrated.
        expected_error: Expected calibration error: mean absolute difference of the two.
        predicted: Root mean predicted variance of each bin of values, sorted by it.
        observed: Root mean squared error of each bin; equal to ``predicted`` if calibrated.
        normalised_error: Mean over bins of ``|predicted − observed| / predicted`` (ENCE).
        removed: Share of the values that is left out, those with the largest std first.
        remaining: RMSE of the others, divided by the RMSE of all.
        oracle: The same, leaving out those with the largest error first.
        sparsification_error: Area between the two curves (AUSE); 0 if the std ranks the errors
            perfectly, and about that of random order if it tells nothing.
        rank_correlation: Spearman's correlation of std and absolute error; None if either is
            constant.
    """

    levels: tuple[float, ...]
    coverage: tuple[float, ...]
    expected_error: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    normalised_error: float
    removed: tuple[float, ...]
    remaining: tuple[float, ...]
    oracle: tuple[float, ...]
    sparsification_error: float
    rank_correlation: float | None


def calibration(errors: Floats, std: Floats, bins: int = 15) -> Calibration:
    """Compare predicted standard deviations with the errors.

    Args:
        errors: Prediction minus reference, of any shape.
        std: Predicted standard deviation, same shape and unit.
        bins: Bins of the reliability curve, each with the same number of values.

    Raises:
        InputError: A standard deviation is negative or zero, there are fewer values than bins, or
            all errors are zero.

    References:
        Coverage: Kuleshov et al., Accurate uncertainties for deep learning using calibrated
        regression, ICML 2018. Reliability: Levi et al., Evaluating and calibrating uncertainty
        prediction in regression tasks, Sensors 2022. Sparsification: Ilg et al., Uncertainty
        estimates and multi-hypotheses networks for optical flow, ECCV 2018.
    """
    from scipy import stats

    error, sigma = np.abs(errors).ravel(), std.ravel()
    wrong = int((sigma <= 0).sum())
    if wrong:
        raise InputError(f"predicted standard deviations must be positive, {wrong} are not")
    if len(error) < bins:
        raise InputError(f"calibration needs at least {bins} values, got {len(error)}")
    if not error.any():
        raise InputError("calibration is undefined: all errors are zero")
    quantiles = stats.norm.ppf(0.5 + LEVELS / 2)
    beyond = np.searchsorted(quantiles, error / sigma)  # how many intervals do not hold the error
    within = np.cumsum(np.bincount(beyond, minlength=len(LEVELS)))[: len(LEVELS)] / len(error)

    order, by_error = np.argsort(sigma, kind="stable"), np.argsort(error, kind="stable")
    squares, variances = error[order] ** 2, sigma[order] ** 2
    starts = np.linspace(0, len(error), bins + 1).astype(int)
    counts = np.diff(starts)
    observed = np.sqrt(np.add.reduceat(squares, starts[:-1]) / counts)
    predicted = np.sqrt(np.add.reduceat(variances, starts[:-1]) / counts)

    remaining, oracle = _remaining(squares), _remaining(error[by_error] ** 2)
    area = np.trapezoid(remaining - oracle, REMOVED)
    return Calibration(
        levels=tuple(LEVELS.round(4).tolist()),
        coverage=tuple(within.tolist()),
        expected_error=float(np.abs(within - LEVELS).mean()),
        predicted=tuple(predicted.tolist()),
        observed=tuple(observed.tolist()),
        normalised_error=float(np.mean(np.abs(predicted - observed) / predicted)),
        removed=tuple(REMOVED.round(4).tolist()),
        remaining=tuple(remaining.tolist()),
        oracle=tuple(oracle.tolist()),
        sparsification_error=float(area),
        rank_correlation=_correlation(_ranks(sigma, order), _ranks(error, by_error)),
    )


def _remaining(squares: Floats) -> Floats:
    """RMSE of what is left after removing shares from the end, relative to that of all."""
    kept = np.maximum(1, np.round((1 - REMOVED) * len(squares)).astype(int))
    means = np.cumsum(squares)[kept - 1] / kept
    return np.asarray(np.sqrt(means / means[0]))


def _ranks(values: Floats, order: NDArray[np.intp]) -> Floats:
    """Ranks of values that are sorted by ``order``; equal ones share the mean of theirs."""
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(first, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts - 1) / 2, counts)
    return ranks


def _correlation(one: Floats, two: Floats) -> float | None:
    """Pearson's correlation; None if either is constant."""
    one, two = one - one.mean(), two - two.mean()
    # Sums of products and no dot products, whose rounding depends on the number of threads.
    norm = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / norm if norm > 0 else None


def needed_subjects(level: float) -> int:
    """How many subjects a level needs, at least: ⌈level / (1 − level)⌉; with so few, the largest.

    Args:
        level: In percent, between 0 and 100.

    Example:
        >>> [needed_subjects(level) for level in (50, 80, 90, 95)]
        [1, 4, 9, 19]
    """
    share = _share(level)
    if share == 1:
        raise InputError("no number of subjects is enough for intervals of 100 %")
    return math.ceil(share / (1 - share))


def needed_factors(errors: Floats, std: Floats, levels: Sequence[float]) -> Floats:
    """The least factors with which shares of one subject's errors lie within factor · std.

    Args:
        errors: Estimate minus reference, of any shape.
        std: Standard deviations, 0 or more, same shape and unit.
        levels: The shares, in percent.

    Returns:
        A factor for every level; infinite where standard deviations of 0 stand beside too many
        errors.

    Raises:
        InputError: There are no values, or a standard deviation is negative.
    """
    if errors.size == 0:
        raise InputError("calibration needs values, got none")
    if (std < 0).any():
        raise InputError("standard deviations must be 0 or more, got negative ones")
    error = np.abs(errors).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.sort(np.where(error > 0, error / std.ravel(), 0.0))
    held = [math.ceil(_share(level) * len(ratios)) for level in levels]
    return np.asarray(ratios[np.array(held) - 1])


def conformal_quantile(subjects: Sequence[Floats], level: float) -> float:
    """The factor that holds a share ``level · (n + 1) / n`` of n subjects' voxels.

    A voxel drawn from one more subject, exchangeable with these, is held with a probability of at
    least ``level``: on average over such subjects, the factor holds so large a share of voxels.

    Args:
        subjects: Of every subject the factors that its voxels need (|error| / std), or as many
            quantiles of them, the last of which is their largest.
        level: In percent, between 0 and 100.

    Raises:
        InputError: There are too few subjects for the level.

    References:
        Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023 (HCP);
        as conformal risk control: Angelopoulos et al., ICLR 2024, theorem 1.

    Example:
        >>> conformal_quantile([np.arange(1.0, 101)] * 18, 90)
        95.0
    """
    needed, count = needed_subjects(level), len(subjects)
    if count < needed:
        raise InputError(f"intervals of {level:g} % need at least {needed} subjects, got {count}")
    values = np.concatenate(subjects)
    order = np.argsort(values, kind="stable")
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in subjects])
    wanted = float(_share(level) * (count + 1))
    held = int(np.searchsorted(np.cumsum(weights[order]), wanted - 1e-9))
    return float(values[order[min(held, len(values) - 1)]])


def _share(level: float) -> Fraction:
    """A level as an exact share: in floating point, 0.9 / 0.1 rounds to more than 9."""
    if not 0 < level <= 100:
        raise InputError(f"a level must lie above 0 and up to 100 percent, got {level:g}")
    return Fraction(str(level)) / 100


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
