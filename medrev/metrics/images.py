"""Peak signal-to-noise ratio, and the data range it shares with SSIM."""

import math

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, as_mask, check_finite, masked_pair
from medrev.volumes import to_numpy

__all__ = ["check_range", "data_range", "psnr", "psnr_of"]


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


def psnr(
    prediction: Array,
    reference: Array,
    mask: Array | None = None,
    value_range: float | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB over mask voxels and all channels together.

    ``20 log10(range) − 10 log10(mean squared error)``; infinite where the two are equal. For
    tensors the channels are the six components, so one range and one mean serve all of them.

    Args:
        prediction: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; voxels outside never count. None:
            everywhere.
        value_range: Data range; default: :func:`data_range` of the reference.

    Raises:
        InputError: The reference is constant and no range is given, the range is not positive,
            shapes differ, the mask is empty, or a masked value is not finite.

    Example:
        >>> import numpy as np
        >>> reference = np.arange(8.0).reshape(1, 2, 2, 2) / 7
        >>> round(psnr(reference + 0.1, reference, np.ones((2, 2, 2))), 3)
        20.0
    """
    pair = masked_pair(prediction, reference, mask)
    span = data_range(reference, mask) if value_range is None else check_range(value_range)
    return psnr_of(*pair, span)


def psnr_of(prediction: Floats, reference: Floats, span: float) -> float:
    """:func:`psnr` of mask voxels ``(C, N)``."""
    error = float(np.mean((prediction - reference) ** 2))
    return math.inf if error == 0 else 20 * math.log10(span) - 10 * math.log10(error)
