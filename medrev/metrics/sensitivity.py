"""Model sensitivity: how much a score changes with a change of the input (one2one)."""

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Floats

__all__ = ["mean_change"]


def mean_change(before: Floats | float, after: Floats | float) -> float:
    """Mean of ``|after − before|``, over the scores that are finite in both.

    ``d‖E‖ = |E(f(x + dx), y) − E(f(x), y)|``: the larger, the more sensitive the model f.

    Args:
        before: A model's score E or scores, one per slice, of the input x.
        after: The same of the changed input x + dx, which in one2one's protocol is what a baseline
            (pix2pix) makes of the target y, the same for all models.

    Raises:
        InputError: None is finite in both.

    References:
        Shen et al., Towards learning a self-inverse network for bidirectional image-to-image
        translation, section 6.

    Example:
        >>> mean_change(np.array([20.0, 30.0, np.inf]), np.array([19.0, 33.0, 40.0]))
        2.0
    """
    one, two = np.atleast_1d(before), np.atleast_1d(after)
    finite = np.isfinite(one) & np.isfinite(two)
    if not finite.any():
        raise InputError("the change of an infinite score is undefined")
    return float(np.abs(two[finite] - one[finite]).mean())
