"""Label maps: regions of voxels, their volumes in mL, and their overlap."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import Array
from medrev.volumes import to_numpy


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
    """Names of the labels that occur, by value; 0 is background.

    Args:
        maps: Label maps.
        names: Name by value; labels without a name are called ``label N``.

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
