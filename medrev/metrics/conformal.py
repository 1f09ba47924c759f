"""Split-conformal calibration: factors that make intervals hold what they promise.

The unit that is exchangeable is the subject, not the voxel. A subject's score at a level is the
factor on its standard deviations that its own intervals need, to hold so large a share of its
voxels. The factor is an order statistic of the scores of subjects that nothing was fitted to.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Floats

__all__ = ["conformal_quantile", "needed_factors", "needed_subjects"]


def needed_subjects(level: float) -> int:
    """How many subjects a level needs: ⌈level / (1 − level)⌉.

    Args:
        level: In percent, between 0 and 100.

    Example:
        >>> [needed_subjects(level) for level in (50, 80, 90, 95)]
        [1, 4, 9, 19]
    """
    share = _share(level)
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


def conformal_quantile(scores: Sequence[float], level: float) -> float:
    """The ⌈(n + 1) · level⌉-th smallest of n scores.

    The score of one more subject, exchangeable with these, is at most that with a probability of
    at least ``level`` and, where no scores are equal, of at most ``level + 1 / (n + 1)``.

    Args:
        scores: One for every subject.
        level: In percent, between 0 and 100.

    Raises:
        InputError: There are too few subjects for the level.

    References:
        Papadopoulos et al., Inductive confidence machines for regression, ECML 2002; Lei et al.,
        Distribution-free predictive inference for regression, JASA 2018, theorem 2.

    Example:
        >>> conformal_quantile([4, 1, 3, 2, 5, 9, 8, 7, 6], 90)
        9.0
    """
    needed = needed_subjects(level)
    if len(scores) < needed:
        raise InputError(
            f"intervals of {level:g} % need at least {needed} subjects, got {len(scores)}"
        )
    rank = math.ceil((len(scores) + 1) * _share(level))
    return float(np.sort(np.asarray(scores, dtype=np.float64))[rank - 1])


def _share(level: float) -> Fraction:
    """A level as an exact share: in floating point, 0.9 / 0.1 rounds to more than 9."""
    share = Fraction(str(level)) / 100
    if not 0 < share < 1:
        raise InputError(f"a level must lie between 0 and 100 percent, got {level:g}")
    return share
