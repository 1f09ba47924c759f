"""Voxels of a mask as float64 arrays, common ground of all metrics; regions of label maps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError, counted
from medrev.volumes import to_numpy

Array = torch.Tensor | NDArray[Any]
"""What the metrics accept: torch tensors (MetaTensor too) and numpy arrays."""

Floats = NDArray[np.float64]


def as_array(volume: Array) -> Floats:
    """A volume as a float64 numpy array, without affine or gradient."""
    return np.asarray(to_numpy(volume), dtype=np.float64)


def as_mask(mask: Array | None, spatial: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask ``(I, J, K)`` or ``(1, I, J, K)``, positive inside, as booleans ``(I, J, K)``.

    None is everywhere in a volume (or an image) of this shape.

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


def bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a mask, which is not empty."""
    from scipy import ndimage  # not for those who only translate

    box: tuple[slice, ...] = ndimage.find_objects(inside.astype(np.uint8))[0]
    return box


def masked_pair(prediction: Array, reference: Array, mask: Array | None) -> tuple[Floats, Floats]:
    """The masked voxels of a prediction and its reference.

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
        raise InputError(
            f"{name} must be finite in the mask, got {counted(count, 'voxel')} with NaN/Inf"
        )


@dataclass(frozen=True)
class RegionVolume:
    """Size of one labelled region in two label maps.

    Attributes:
        reference: Volume in the reference's label map, mL.
        prediction: Volume in the prediction's label map, mL.
        dice: Overlap ``2 |A∩B| / (|A| + |B|)``, 0 to 1.
    """

    reference: float
    prediction: float
    dice: float


def as_labels(labels: Array, spatial: tuple[int, ...]) -> NDArray[np.int64]:
    """A label map of shape ``(I, J, K)`` or ``(1, I, J, K)`` as whole numbers of ``(I, J, K)``.

    Raises:
        InputError: It has another shape than the volume, or values that are not whole numbers.
    """
    array = to_numpy(labels)
    if array.ndim == len(spatial) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.shape != spatial:
        raise InputError(f"the label map must have the volume's shape {spatial}, got {array.shape}")
    if not np.isfinite(array).all() or (array != np.round(array)).any():
        raise InputError("the label map must have whole numbers, got others (partial volumes?)")
    return np.asarray(array, dtype=np.int64)


def region_names(
    *maps: NDArray[np.int64], names: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Names of the labels that occur, by value, else ``label N``; 0 is background.

    Raises:
        InputError: Two labels have the same name.
    """
    found = sorted({int(v) for labels in maps for v in np.unique(labels)} - {0})
    named = {value: (names or {}).get(value, f"label {value}") for value in found}
    if len(set(named.values())) < len(named):
        raise InputError(f"labels need different names, got {', '.join(named.values())}")
    return named


def volumetry(
    prediction: Array,
    reference: Array,
    voxel_size: tuple[float, ...],
    names: Mapping[int, str] | None = None,
) -> dict[str, RegionVolume]:
    """Volume of each labelled region before and after, and their overlap.

    Args:
        prediction: Label map of shape ``(I, J, K)`` or ``(1, I, J, K)`` made from a prediction.
        reference: Label map of the same shape made from the reference.
        voxel_size: Voxel edges in mm.
        names: Name by value; labels without a name are called ``label N``, 0 is background.

    Raises:
        InputError: Shapes differ, values are not whole numbers, or no voxel is labelled.

    Example:
        >>> before, after = np.array([[[1, 1, 2]]]), np.array([[[1, 2, 2]]])
        >>> volumetry(after, before, (10, 10, 10))["label 1"]
        RegionVolume(reference=2.0, prediction=1.0, dice=0.6666666666666666)
    """
    spatial = tuple(to_numpy(reference).shape[-3:])
    two, one = as_labels(reference, spatial), as_labels(prediction, spatial)
    named = region_names(two, one, names=names)
    if not named:
        raise InputError("volumetry needs labelled voxels, got label maps of zeros")
    millilitres = math.prod(voxel_size) / 1000
    regions = {}
    for value, name in named.items():
        before, after = two == value, one == value
        sizes = int(before.sum()), int(after.sum())
        regions[name] = RegionVolume(
            reference=sizes[0] * millilitres,
            prediction=sizes[1] * millilitres,
            dice=2 * int((before & after).sum()) / sum(sizes),
        )
    return regions
