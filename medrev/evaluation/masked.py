"""Voxels of a mask as float64 arrays: the common ground of all metrics."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError

__all__ = ["Array", "as_array", "as_mask", "masked_pair"]

Array = torch.Tensor | NDArray[Any]
"""What the metrics accept: torch tensors (MetaTensor too) and numpy arrays."""


def as_array(volume: Array) -> NDArray[np.float64]:
    """A volume as a float64 numpy array, without affine or gradient."""
    if isinstance(volume, torch.Tensor):
        volume = volume.detach().as_subclass(torch.Tensor).cpu().numpy()
    return np.asarray(volume, dtype=np.float64)


def as_mask(mask: Array, spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of shape ``(I, J, K)`` or ``(1, I, J, K)`` as booleans of shape ``(I, J, K)``.

    Raises:
        InputError: The mask is empty or of another shape than the volume.
    """
    inside = as_array(mask) > 0
    if inside.ndim == len(spatial) + 1 and inside.shape[0] == 1:
        inside = inside[0]
    if inside.shape != spatial:
        raise InputError(f"mask must have the volume's shape {spatial}, got {inside.shape}")
    if not inside.any():
        raise InputError("mask must contain at least one voxel, got an empty mask")
    return inside


def masked_pair(
    prediction: Array, reference: Array, mask: Array, channels: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The masked voxels of a prediction and its reference.

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.
        channels: The number of channels C that the metric needs, if it needs one.

    Returns:
        Two arrays of shape ``(C, N)``, N the number of voxels in the mask.

    Raises:
        InputError: Shapes differ, the mask is empty, or a masked value is not finite.
    """
    pair = as_array(prediction), as_array(reference)
    if pair[0].shape != pair[1].shape:
        raise InputError(
            f"prediction and reference must have the same shape, "
            f"got {pair[0].shape} and {pair[1].shape}"
        )
    if channels is not None and pair[0].shape[0] != channels:
        raise InputError(f"expected {channels} channels, got {pair[0].shape[0]}")
    inside = as_mask(mask, pair[1].shape[1:])
    voxels = pair[0][:, inside], pair[1][:, inside]
    for name, values in zip(("prediction", "reference"), voxels, strict=True):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).any(axis=0).sum())
            raise InputError(f"{name} must be finite in the mask, got {count} voxels with NaN/Inf")
    return voxels
