"""Peak signal-to-noise ratio and structural similarity of volumes, images and slices; flicker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import (
    Array,
    Floats,
    as_array,
    as_mask,
    bounding_box,
    check_finite,
    masked_pair,
)
from medrev.metrics.sharpness import differences
from medrev.volumes import to_numpy


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


def psnr(prediction: Floats, reference: Floats, span: float) -> float:
    """Peak signal-to-noise ratio in dB of voxels ``(C, N)``, of all channels together.

    ``20 log10(range) − 10 log10(mean squared error)``; infinite where the two are equal. For
    tensors the channels are the six components, so one range and one mean serve all of them.

    Example:
        >>> import numpy as np
        >>> reference = np.arange(8.0).reshape(1, 8) / 7
        >>> round(psnr(reference + 0.1, reference, 1.0), 3)
        20.0
    """
    error = float(np.mean((prediction - reference) ** 2))
    return math.inf if error == 0 else 20 * math.log10(span) - 10 * math.log10(error)


#: Standard deviation of the Gaussian window in voxels.
SIGMA = 1.5
#: Voxels from the window's centre to its edge: 11 in all.
RADIUS = 5
K1, K2 = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class Structure:
    """The reference's share of SSIM, kept to compare several predictions with it.

    The window is a Gaussian of σ = 1.5 voxels cut to 11 voxels along each axis; k1 = 0.01 and
    k2 = 0.03. Variances are those of the window's weights (divided by their sum, not by one less).

    Without a mask, the voxels whose whole window lies in the volume count: their mean is that of
    MONAI, and that of scikit-image with ``gaussian_weights=True, use_sample_covariance=False``.
    With a mask, every window is cut to the mask voxels in it and its weights are divided by their
    sum, so that nothing outside of the mask enters and every mask voxel counts; where the whole
    window lies in the mask, the local value is the same.

    Attributes:
        reference: Reference ``(C, …)`` in the bounding box of the mask, zero outside the mask,
            after its mean was subtracted: variances as E[x²] − E[x]² stay exact far from zero.
        offset: That mean, by channel.
        means: Window means of the reference where it counts, ``(C, N)``.
        weight: Sum of the window's weights in the mask, ``(N,)``.
        inside: Mask in the bounding box.
        chosen: Voxels of the bounding box that count.
        counted: Voxels of the volume that count.
        box: The bounding box.
        axes: Spatial axes of the window.

    References:
        Wang et al., Image quality assessment: from error visibility to structural similarity,
        IEEE TIP 2004.

    Example:
        >>> image = np.random.default_rng(0).random((1, 16, 16))
        >>> Structure.of(image, None).compare(image, span=1.0).mean()
        np.float64(1.0)
    """

    reference: Floats
    offset: Floats
    means: Floats
    weight: Floats
    inside: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    box: tuple[slice, ...]
    axes: tuple[int, ...]

    @classmethod
    def of(
        cls, reference: Array, mask: Array | None, axes: Sequence[int] | None = None
    ) -> "Structure":
        """Prepare a reference.

        Args:
            reference: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``.
            mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: whole windows only.
            axes: Spatial axes of the window, 0 for I; ``(0, 1)`` gives 2D windows within slices
                along K. Default: all.

        Raises:
            InputError: The mask is empty or of another shape, or there is none and the volume is
                smaller than the window.
        """
        y = as_array(reference)
        spatial = y.shape[1:]
        along = tuple(range(len(spatial))) if axes is None else tuple(axes)
        counted = inside = as_mask(mask, spatial)
        if mask is None:
            counted = _whole_windows(spatial, along)
        box = bounding_box(inside)
        window, chosen = inside[box], counted[box]
        y = y[(slice(None), *box)]
        offset = np.array([channel[window].mean() for channel in y])
        y = np.where(window, y - offset.reshape(-1, *[1] * len(spatial)), 0)
        weight = _blur(window.astype(np.float64), along)[chosen]
        means = np.stack([_blur(channel, along)[chosen] / weight for channel in y])
        return cls(y, offset, means, weight, window, chosen, counted, box, along)

    def compare(self, prediction: Array, span: float) -> Floats:
        """Structural similarity of each counted voxel, ``(C, N)``, for a data range."""
        x = as_array(prediction)[(slice(None), *self.box)]
        return np.stack([self._channel(c, channel, span) for c, channel in enumerate(x)])

    def _channel(self, c: int, x: Floats, span: float) -> Floats:
        y, offset, mean_y = self.reference[c], self.offset[c], self.means[c]
        x = np.where(self.inside, x - offset, 0)
        mean_x = self._local(x)
        variances = self._local(x * x + y * y) - mean_x**2 - mean_y**2
        covariance = self._local(x * y) - mean_x * mean_y
        mean_x, mean_y = mean_x + offset, mean_y + offset
        c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return np.asarray(luminance * (2 * covariance + c2) / (variances + c2))

    def _local(self, values: Floats) -> Floats:
        return np.asarray(_blur(values, self.axes)[self.chosen] / self.weight)


def _whole_windows(spatial: tuple[int, ...], axes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels whose window lies in the volume."""
    if any(spatial[axis] < 2 * RADIUS + 1 for axis in axes):
        raise InputError(
            f"SSIM without a mask needs {2 * RADIUS + 1} voxels along each axis, got {spatial}"
        )
    inner = [
        slice(RADIUS, -RADIUS) if axis in axes else slice(None) for axis in range(len(spatial))
    ]
    counted = np.zeros(spatial, dtype=bool)
    counted[tuple(inner)] = True
    return counted


def _blur(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Gaussian window sums, zero outside the array."""
    from scipy import ndimage  # not for those who only translate

    grid = np.arange(-RADIUS, RADIUS + 1)
    kernel = np.exp(-0.5 * (grid / SIGMA) ** 2)
    kernel /= kernel.sum()
    for axis in axes:
        values = ndimage.correlate1d(values, kernel, axis=axis, mode="constant")
    return values


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
