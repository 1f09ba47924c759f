"""Deviations of intensities: mean absolute error, root mean squared error, bias, NMSE."""

from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Floats

__all__ = ["Deviation", "deviation", "nmse", "wrapped_mae"]


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


def deviation(errors: Floats) -> Deviation:
    """Mean absolute error, root mean squared error and bias of prediction minus reference.

    Example:
        >>> deviation(np.array([-1.0, 2.0]))
        Deviation(mae=1.5, rmse=1.5811388300841898, bias=0.5)
    """
    return Deviation(
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        bias=float(errors.mean()),
    )


def nmse(prediction: Floats, reference: Floats) -> float:
    """Normalised mean squared error ``Σ (prediction − reference)² / Σ reference²``.

    Raises:
        InputError: The reference is zero throughout.

    References:
        Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, 2018.
    """
    power = float((reference**2).sum())
    if power == 0:
        raise InputError("NMSE is undefined: the reference is zero throughout the region")
    return float(((prediction - reference) ** 2).sum() / power)


def wrapped_mae(prediction: Floats, reference: Floats) -> float:
    """Mean of the differences of bytes that wrap around below 0: no error, but a published number.

    The MAE of RevGAN's Table 4, 130 and more at a PSNR of 26 dB, is possible in this way only: a
    difference of −1 counts as 255.

    Args:
        prediction: Values from 0 to 255.
        reference: Values of the same shape.

    Example:
        >>> import numpy as np
        >>> wrapped_mae(np.array([[10.0, 10.0]]), np.array([[9.0, 11.0]]))
        128.0
    """
    one, two = (np.rint(values).clip(0, 255).astype(np.int64) for values in (prediction, reference))
    return float(((one - two) % 256).mean())
