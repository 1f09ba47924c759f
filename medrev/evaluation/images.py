"""PSNR and SSIM inside a mask, with an explicit data range."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medrev.errors import InputError
from medrev.evaluation.masked import Array, as_array, as_mask, masked_pair

__all__ = ["data_range", "psnr", "ssim"]

_SIGMA = 1.5
_RADIUS = 5


def data_range(reference: Array, mask: Array) -> float:
    """Largest minus smallest reference value in the mask, over all channels.

    Raises:
        InputError: The reference is constant in the mask, so that PSNR and SSIM are undefined.
    """
    array = as_array(reference)
    values = array[:, as_mask(mask, array.shape[1:])]
    span = float(values.max() - values.min())
    if not np.isfinite(span):
        raise InputError("reference must be finite in the mask, got NaN or Inf")
    if span == 0:
        raise InputError("PSNR and SSIM are undefined: the reference is constant in the mask")
    return span


def psnr(
    prediction: Array, reference: Array, mask: Array, value_range: float | None = None
) -> float:
    """Peak signal-to-noise ratio in dB over mask voxels and all channels together.

    ``20 log10(range) − 10 log10(mean squared error)``; infinite where the two are equal. For
    tensors the channels are the six components, so one range and one mean serve all of them.

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; voxels outside never count.
        value_range: Data range; default: :func:`data_range` of the reference.

    Example:
        >>> import numpy as np
        >>> reference = np.arange(8.0).reshape(1, 2, 2, 2) / 7
        >>> round(psnr(reference + 0.1, reference, np.ones((2, 2, 2))), 3)
        20.0
    """
    first, second = masked_pair(prediction, reference, mask)
    span = data_range(reference, mask) if value_range is None else value_range
    error = float(np.mean((first - second) ** 2))
    return float("inf") if error == 0 else float(20 * np.log10(span) - 10 * np.log10(error))


def ssim(
    prediction: Array, reference: Array, mask: Array, value_range: float | None = None
) -> float:
    """Mean structural similarity over mask voxels and channels, with windows kept in the mask.

    The 3D Gaussian window (sigma 1.5 voxels, 11³, as in the original and in MONAI) is renormalised
    to the mask voxels it holds, so that nothing outside the mask enters: where the whole window
    lies in the mask the map equals MONAI's. k1 = 0.01, k2 = 0.03.

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.
        value_range: Data range; default: :func:`data_range` of the reference.

    References:
        Wang et al., Image quality assessment: from error visibility to structural similarity,
        IEEE TIP 2004.
    """
    masked_pair(prediction, reference, mask)  # shapes and finite values
    span = data_range(reference, mask) if value_range is None else value_range
    first, second = as_array(prediction), as_array(reference)
    inside = as_mask(mask, second.shape[1:])
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    window = inside[box]
    scores = [
        _ssim_values(x[box], y[box], window, span) for x, y in zip(first, second, strict=True)
    ]
    return float(np.mean(scores))


def _ssim_values(
    x: NDArray[np.float64], y: NDArray[np.float64], inside: NDArray[np.bool_], span: float
) -> NDArray[np.float64]:
    """SSIM at every mask voxel of one channel."""
    weight = _blur(inside.astype(np.float64))[inside]

    def local(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return _blur(np.where(inside, values, 0))[inside] / weight

    # Common offset: variances as E[x²] − E[x]² stay exact for values far from zero.
    offset = float(y[inside].mean())
    x, y = x - offset, y - offset
    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    covariance = local(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + offset, mean_y + offset
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return np.asarray(luminance * (2 * covariance + c2) / (var_x + var_y + c2))


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian window sums, zero outside the array."""
    grid = np.arange(-_RADIUS, _RADIUS + 1)
    kernel = np.exp(-0.5 * (grid / _SIGMA) ** 2)
    kernel /= kernel.sum()
    axes: Iterable[int] = range(values.ndim)
    for axis in axes:
        values = ndimage.correlate1d(values, kernel, axis=axis, mode="constant")
    return values
