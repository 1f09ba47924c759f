"""What a round trip through a model loses."""

from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Array, masked_pair

__all__ = ["CycleResidual", "cycle_residual"]


@dataclass(frozen=True)
class CycleResidual:
    """Difference of a round trip from its start.

    Attributes:
        largest: Largest absolute difference, in the volume's unit.
        mean: Mean absolute difference, in the volume's unit.
        relative: Norm of the difference divided by the norm of the start.
    """

    largest: float
    mean: float
    relative: float


def cycle_residual(round_trip: Array, start: Array, mask: Array | None = None) -> CycleResidual:
    """Compare ``inverse(forward(x))`` or ``forward(inverse(y))`` with what it began with.

    Args:
        round_trip: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
        start: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    Raises:
        InputError: Shapes differ, the mask is empty, a masked value is not finite, or the start is
            zero throughout the mask.

    Example:
        >>> import numpy as np
        >>> cycle_residual(np.array([[[3.0, 4.5]]]), np.array([[[3.0, 4.0]]]))
        CycleResidual(largest=0.5, mean=0.25, relative=0.1)
    """
    one, two = masked_pair(round_trip, start, mask)
    difference = np.abs(one - two)
    norm = float(np.linalg.norm(two))
    if norm == 0:
        raise InputError("the cycle residual is undefined: the start is zero throughout the mask")
    return CycleResidual(
        largest=float(difference.max()),
        mean=float(difference.mean()),
        relative=float(np.linalg.norm(difference)) / norm,
    )
