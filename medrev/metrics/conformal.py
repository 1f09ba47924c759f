"""Split-conformal calibration: factors that make intervals hold what they promise.

The unit that is exchangeable is the subject, not the voxel: voxels of one brain err together. Every
subject weighs the same, and one more, which is not known yet, counts as if nothing held it.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Floats


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
