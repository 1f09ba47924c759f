"""Peak signal-to-noise ratio, and the data range it shares with SSIM."""

import math

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, as_mask, check_finite
from medrev.volumes import to_numpy

__all__ = ["check_range", "data_range", "psnr"]


def data_range(reference: Array, mask: Array | None = None) -> float:
    """Largest minus smallest reference value in the mask, over all channels.

    Raises:
        InputError: The reference is constant in the mask, so that PSNR and SSIM are undefined.
    """
    array = to_numpy(reference)
    values = array[:, as_mask(mask, array.shape[1:])].astype(np.float64)
    check_finite(values, "reference")
    span = float(values.max() - values.min())
    if span == 0:
        raise InputError("PSNR and SSIM are undefined: the reference is constant in the mask")
    return span


def check_range(value_range: float) -> float:
    """Check a data range that was given.

    Raises:
        InputError: It is not a positive number.
    """
    if not (math.isfinite(value_range) and value_range > 0):
        raise InputError(f"the data range must be a positive number, got {value_range}")
    return float(value_range)


def psnr(prediction: Floats, reference: Floats, span: float) -> float:
    """Peak signal-to-noise ratio in dB over voxels and all channels together.

    ``20 log10(range) − 10 log10(mean squared error)``; infinite where the two are equal. For
    tensors the channels are the six components, so one range and one mean serve all of them.

    Args:
        prediction: Voxels ``(C, N)``.
        reference: Voxels of the same shape.
        span: Data range (:func:`data_range`).

    Example:
        >>> import numpy as np
        >>> reference = np.arange(8.0).reshape(1, 8) / 7
        >>> round(psnr(reference + 0.1, reference, 1.0), 3)
        20.0
    """
    error = float(np.mean((prediction - reference) ** 2))
    return math.inf if error == 0 else 20 * math.log10(span) - 10 * math.log10(error)
