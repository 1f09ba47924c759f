"""Slices of a volume: scores as of so many images, and the flicker between them."""

import math
from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, as_array, as_mask, bounding_box, masked_pair
from medrev.metrics.sharpness import differences
from medrev.metrics.similarity import Structure, check_range, data_range


def slice_flicker(
    prediction: Array, reference: Array, mask: Array | None = None, *, axis: int
) -> float:
    """How much rougher a prediction is across its slices, along an axis, than within them.

    The reference is the yardstick:

    ``(across / within of the prediction) ÷ (across / within of the reference)``, where across and
    within are mean absolute differences of neighbouring voxels that both lie in the mask. 1 where
    slices go together as those of the reference do, above 1 where they flicker. A blurred volume
    has no other flicker than a sharp one.

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
    box = bounding_box(inside)
    array, inside = array[(slice(None), *box)], inside[box]
    steps = [np.abs(differences(array, inside, a)) for a in range(inside.ndim)]
    across = steps.pop(axis)
    within = np.concatenate([step.ravel() for step in steps])
    if within.size == 0 or across.size == 0 or not within.any():
        raise InputError("the flicker is undefined: a volume does not change within its slices")
    return float(across.mean() / within.mean())


@dataclass(frozen=True, eq=False)
class SliceScores:
    """Scores of the slices of a volume that hold voxels of the mask, and their means.

    Attributes:
        maes: Mean absolute error of each slice.
        psnrs: PSNR of each slice in dB; infinite where it equals the reference.
        ssims: SSIM of each slice, with windows within the slice.
    """

    maes: Floats
    psnrs: Floats
    ssims: Floats

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.maes)

    @property
    def equal(self) -> int:
        """Number of slices that equal the reference, such as empty ones."""
        return int(np.isinf(self.psnrs).sum())

    @property
    def mae(self) -> float:
        """Mean of :attr:`maes`."""
        return float(self.maes.mean())

    @property
    def psnr(self) -> float:
        """Mean of :attr:`psnrs` over slices that differ from the reference; infinite if none does.

        A single infinite value would make the mean infinite, and say nothing of the others.
        """
        finite = self.psnrs[np.isfinite(self.psnrs)]
        return float(finite.mean()) if finite.size else math.inf

    @property
    def ssim(self) -> float:
        """Mean of :attr:`ssims`."""
        return float(self.ssims.mean())


def slice_scores(
    prediction: Array,
    reference: Array,
    mask: Array | None = None,
    *,
    axis: int = 2,
    value_range: float | None = None,
) -> SliceScores:
    """MAE, PSNR and SSIM of each slice (one2one's protocol on BraTS).

    Args:
        prediction: Volume of shape ``(C, I, J, K)``.
        reference: Volume of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere, with SSIM over
            whole windows only (see :class:`Structure`).
        axis: Axis across the slices, 0 for I.
        value_range: One data range for all slices; default: :func:`data_range` of the reference
            volume. The range of a single slice would rate flat slices as bad ones.

    Raises:
        InputError: Shapes differ, a masked value is not finite, the reference is constant and no
            range is given, or the axis is none of the volume's.
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
    ssims = _means(similarity, np.nonzero(structure.counted)[axis])
    errors = one[:, inside] - two[:, inside]
    numbers = np.nonzero(inside)[axis]
    maes = _means(np.abs(errors).mean(axis=0), numbers)
    squares = _means((errors**2).mean(axis=0), numbers)
    with np.errstate(divide="ignore"):
        psnrs = 20 * math.log10(span) - 10 * np.log10(squares)
    return SliceScores(maes, psnrs, ssims)


def _means(values: Floats, numbers: np.ndarray) -> Floats:
    """Mean of the values of each slice that has any."""
    counts = np.bincount(numbers)
    used = counts > 0
    means: Floats = np.bincount(numbers, values)[used] / counts[used]
    return means
