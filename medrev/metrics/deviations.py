"""Deviations of intensities: mean absolute error, root mean squared error, bias, NMSE."""

from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, masked_pair

__all__ = ["Deviation", "deviation", "nmse", "nmse_of", "of_errors"]


@dataclass(frozen=True)
class Deviation:
    """How far values lie from their reference, in their own unit.

    Attributes:
        mae: Mean absolute error.
        rmse: Root mean squared error.
        bias: Mean signed error, prediction minus reference.
    """

    mae: float
    rmse: float
    bias: float


def deviation(prediction: Array, reference: Array, mask: Array | None = None) -> Deviation:
    """Mean absolute error, root mean squared error and bias over mask voxels and channels.

    Args:
        prediction: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    Raises:
        InputError: Shapes differ, the mask is empty, or a masked value is not finite.

    Example:
        >>> import numpy as np
        >>> deviation(np.array([[[1.0, 4.0]]]), np.array([[[2.0, 2.0]]]))
        Deviation(mae=1.5, rmse=1.5811388300841898, bias=0.5)
    """
    one, two = masked_pair(prediction, reference, mask)
    return of_errors(one - two)


def of_errors(errors: Floats) -> Deviation:
    """The deviation that given errors, prediction minus reference, amount to."""
    return Deviation(
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        bias=float(errors.mean()),
    )


def nmse(prediction: Array, reference: Array, mask: Array | None = None) -> float:
    """Normalised mean squared error ``Σ (prediction − reference)² / Σ reference²``.

    Args:
        prediction: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    Raises:
        InputError: The reference is zero throughout the mask; or as :func:`deviation`.

    References:
        Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, 2018.
    """
    return nmse_of(*masked_pair(prediction, reference, mask))


def nmse_of(prediction: Floats, reference: Floats) -> float:
    """:func:`nmse` of mask voxels ``(C, N)``."""
    power = float((reference**2).sum())
    if power == 0:
        raise InputError("NMSE is undefined: the reference is zero throughout the region")
    return float(((prediction - reference) ** 2).sum() / power)
