"""Images of 8 bits: the conventions of the papers' tables on Maps."""

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import Array, as_array, check_shapes

__all__ = ["to_eight_bit", "wrapped_mae"]


def to_eight_bit(image: Array, low: float = -1.0, high: float = 1.0) -> NDArray[np.uint8]:
    """An image as a file of 8 bits holds it: clipped, stretched to 0 to 255 and rounded.

    Args:
        image: Image of shape ``(C, I, J)``, finite.
        low: Value that becomes 0; −1 for the output of a tanh.
        high: Value that becomes 255.

    Raises:
        InputError: A value is not finite, or ``high`` is not above ``low``.

    Example:
        >>> to_eight_bit(np.array([[[-1.5, -1.0, 0.0, 1.0]]])).tolist()
        [[[0, 0, 128, 255]]]
    """
    if not high > low:
        raise InputError(f"the upper end of the range must be above the lower, got {low} to {high}")
    values = as_array(image)
    if not np.isfinite(values).all():
        raise InputError("an image must be finite to be stored with 8 bits, got NaN or Inf")
    scaled = (values.clip(low, high) - low) / (high - low) * 255
    return np.floor(scaled + 0.5).astype(np.uint8)


def wrapped_mae(prediction: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Mean of ``(prediction − reference) mod 256``: *not* an error.

    RevGAN's Table 4 gives MAEs of 129 to 149 beside PSNRs of 24 to 27 dB. An image of 26 dB has a
    root mean squared error of 12.8 grey levels, and no larger MAE. Subtracting unsigned integers
    of 8 bits, where −1 becomes 255, gives figures like the table's, which is the likely reason;
    the paper does not say. Use this only to compare with that table.

    Args:
        prediction: Image of shape ``(C, I, J)``, 8 bits.
        reference: Image of the same shape, 8 bits.

    Raises:
        InputError: Shapes differ, or an image has not 8 bits.

    Example:
        >>> wrapped_mae(np.array([[[9, 11]]], np.uint8), np.array([[[10, 10]]], np.uint8))
        128.0
    """
    check_shapes(prediction, reference)
    if prediction.dtype != np.uint8 or reference.dtype != np.uint8:
        raise InputError(f"images of 8 bits are needed, got {prediction.dtype}, {reference.dtype}")
    return float((prediction - reference).mean())
