"""Calibration of predicted standard deviations, and of the intervals that are made of them.

Of intervals it is split-conformal: factors that make them hold what they promise. The unit that is
exchangeable is the subject, not the voxel: voxels of one brain err together. Every subject weighs
the same, and one more, which is not known yet, counts as if nothing held it.
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
