"""Scores of the slices of a volume, as of so many images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.images import check_range, data_range
from medrev.evaluation.masked import Array, as_array, as_mask, masked_pair
from medrev.evaluation.similarity import Structure

__all__ = ["SliceScores", "slice_scores"]


@dataclass(frozen=True)
class SliceScores:
    """Means over the slices of a volume that hold voxels of the mask.

    Attributes:
        mae: Mean absolute error.
        psnr: PSNR in dB; infinite if that of a slice is.
        ssim: SSIM with windows within the slice.
        count: Number of slices.
    """

    mae: float
    psnr: float
    ssim: float
    count: int


def slice_scores(
    prediction: Array,
    reference: Array,
    mask: Array | None = None,
    *,
    axis: int = 2,
    value_range: float | None = None,
) -> SliceScores:
    """MAE, PSNR and SSIM of each slice, averaged over slices (one2one's protocol on BraTS).

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere, with SSIM over
            whole windows only (see :func:`ssim`).
        axis: Axis across the slices, 0 for I.
        value_range: One data range for all slices; default: :func:`data_range` of the reference
            volume. The range of a single slice would rate flat slices as bad ones.

    Raises:
        InputError: As :func:`ssim`, or the axis is none of the volume's.
    """
    masked_pair(prediction, reference, mask)
    span = data_range(reference, mask) if value_range is None else check_range(value_range)
    one, two = as_array(prediction), as_array(reference)
    inside = as_mask(mask, two.shape[1:])
    if axis not in range(inside.ndim):
        raise InputError(f"the slice axis must be 0 to {inside.ndim - 1}, got {axis}")
    plane = [a for a in range(inside.ndim) if a != axis]
    structure = Structure.of(two, None if mask is None else inside, plane)
    # Voxels of a mask come in the order of the array: their slice numbers say where they belong.
    similarity = structure.compare(one, span).mean(axis=0)
    numbers = np.nonzero(structure.counted)[axis]
    ssims = _means(similarity, numbers)
    errors = one[:, inside] - two[:, inside]
    numbers = np.nonzero(inside)[axis]
    maes = _means(np.abs(errors).mean(axis=0), numbers)
    squares = _means((errors**2).mean(axis=0), numbers)
    psnrs = [
        math.inf if square == 0 else 20 * math.log10(span) - 10 * math.log10(square)
        for square in squares
    ]
    return SliceScores(
        mae=float(np.mean(maes)),
        psnr=float(np.mean(psnrs)),
        ssim=float(np.mean(ssims)),
        count=len(maes),
    )


def _means(values: np.ndarray, numbers: np.ndarray) -> list[float]:
    """Mean of the values of each slice that has any."""
    counts = np.bincount(numbers)
    used = counts > 0
    means: Sequence[float] = (np.bincount(numbers, values)[used] / counts[used]).tolist()
    return list(means)
