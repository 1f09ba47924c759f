"""Voxels of a mask as float64 arrays: the common ground of all metrics."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.volumes import to_numpy

Array = torch.Tensor | NDArray[Any]
"""What the metrics accept: torch tensors (MetaTensor too) and numpy arrays."""

Floats = NDArray[np.float64]


def as_array(volume: Array) -> Floats:
    """A volume as a float64 numpy array, without affine or gradient."""
    return np.asarray(to_numpy(volume), dtype=np.float64)


def as_mask(mask: Array | None, spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of shape ``(I, J, K)`` or ``(1, I, J, K)`` as booleans of shape ``(I, J, K)``.

    Args:
        mask: The mask, positive inside; None: everywhere.
        spatial: Shape of the volume without its channels, of two or three axes.

    Raises:
        InputError: The mask is empty or of another shape than the volume.
    """
    if mask is None:
        return np.ones(spatial, dtype=bool)
    inside = np.asarray(to_numpy(mask) > 0)
    if inside.ndim == len(spatial) + 1 and inside.shape[0] == 1:
        inside = inside[0]
    if inside.shape != spatial:
        raise InputError(f"mask must have the volume's shape {spatial}, got {inside.shape}")
    if not inside.any():
        raise InputError("mask must contain at least one voxel, got an empty mask")
    return inside


def masked_pair(prediction: Array, reference: Array, mask: Array | None) -> tuple[Floats, Floats]:
    """The masked voxels of a prediction and its reference.

    Args:
        prediction: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    Returns:
        Two arrays of shape ``(C, N)``, N the number of voxels in the mask.

    Raises:
        InputError: Shapes differ, the mask is empty, or a masked value is not finite.
    """
    pair = to_numpy(prediction), to_numpy(reference)
    check_shapes(*pair)
    inside = as_mask(mask, pair[1].shape[1:])
    one, two = (np.asarray(volume[:, inside], dtype=np.float64) for volume in pair)
    check_finite(one, "prediction")
    check_finite(two, "reference")
    return one, two


def check_shapes(prediction: NDArray[Any], reference: NDArray[Any]) -> None:
    """Check that two volumes lie on grids of the same size.

    Raises:
        InputError: Their shapes differ.
    """
    if prediction.shape != reference.shape:
        raise InputError(
            f"prediction and reference must have the same shape, "
            f"got {prediction.shape} and {reference.shape}"
        )


def check_finite(voxels: Floats, name: str) -> None:
    """Check voxels of shape ``(C, N)`` for NaN and infinity.

    Raises:
        InputError: A value is not finite.
    """
    if not np.isfinite(voxels).all():
        count = int((~np.isfinite(voxels)).any(axis=0).sum())
        raise InputError(f"{name} must be finite in the mask, got {count} voxels with NaN/Inf")
