"""Flicker of volumes that were made slice by slice: what changes between slices but not in them."""

import numpy as np
from scipy import ndimage

from medrev.errors import InputError
from medrev.metrics.masked import Array, as_array, as_mask, masked_pair
from medrev.metrics.sharpness import differences

__all__ = ["slice_flicker"]


def slice_flicker(
    prediction: Array, reference: Array, mask: Array | None = None, *, axis: int
) -> float:
    """How much rougher a prediction is across its slices than within them, beside its reference.

    ``(across / within of the prediction) ÷ (across / within of the reference)``, where across and
    within are mean absolute differences of neighbouring voxels that both lie in the mask. 1 where
    slices go together as those of the reference do, above 1 where they flicker. A blurred volume
    has no other flicker than a sharp one.

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.
        axis: Axis across the slices, 0 for I.

    Raises:
        InputError: Shapes differ, a masked value is not finite, or a volume does not change within
            its slices, or the reference not across them.

    Example:
        >>> ramp = np.add.outer(np.arange(8.0), np.zeros((8, 8))) + np.arange(8.0)
        >>> flickering = ramp[None] + np.where(np.arange(8) % 2, 1.0, -1.0)
        >>> slice_flicker(ramp[None] / 2, ramp[None], axis=2)
        1.0
        >>> slice_flicker(flickering, ramp[None], axis=2) > 2
        True
    """
    masked_pair(prediction, reference, mask)  # shapes and finite values
    one, two = (_across(volume, mask, axis) for volume in (prediction, reference))
    if two == 0:
        raise InputError("the flicker is undefined: the reference does not change across slices")
    return one / two


def _across(volume: Array, mask: Array | None, axis: int) -> float:
    """Mean absolute difference across slices ÷ that within them."""
    array = as_array(volume)
    inside = as_mask(mask, array.shape[1:])
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    array, inside = array[(slice(None), *box)], inside[box]
    steps = [np.abs(differences(array, inside, a)) for a in range(inside.ndim)]
    across = steps.pop(axis)
    within = np.concatenate([step.ravel() for step in steps])
    if within.size == 0 or across.size == 0 or not within.any():
        raise InputError("the flicker is undefined: a volume does not change within its slices")
    return float(across.mean() / within.mean())
