"""What a model has to beat: interpolation of the same input onto the same grid."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluate_options import BASELINES, Baseline
from medrev.metrics.masked import Array, Floats, as_array
from medrev.volumes import upsample

#: The method name of the noise-free truth compared with the noisy reference.
NOISE_FLOOR = "noise floor"


def interpolate(low: Array, factor: int, mode: Baseline) -> torch.Tensor:
    """Interpolate a volume onto the ``factor`` times finer grid with the same field of view.

    Args:
        low: Volume of shape ``(C, i, j, k)`` or image of shape ``(C, i, j)``.
        factor: Fine voxels per coarse voxel along every axis.
        mode: nearest, trilinear, cubic (Keys' kernel, a = −0.5, no overshoot correction) or
            bspline (interpolating cubic B-spline, the strongest of the four).

    Returns:
        Volume of shape ``(C, I, J, K)``, I = factor·i, float32; voxel (0, 0, 0) lies
        (factor − 1)/2 fine voxels before the centre of the coarse one (``rescale_affine``).

    Raises:
        InputError: The mode is unknown.
    """
    return interpolate_to(low, [factor * n for n in low.shape[1:]], mode)


def interpolate_to(low: Array, shape: Sequence[int], mode: Baseline) -> torch.Tensor:
    """Interpolate ``(C, …)`` onto a finer grid ``shape`` of the same field of view, in float32.

    Sizes need not be multiples: slices of 5 mm become such of 1 mm with a factor of 5 along one
    axis and of 1 along the others, and voxels of 2.5 mm such of 1 mm. Fine voxel ``j`` lies at
    coarse coordinate ``(j + 0.5) · n/N − 0.5``; beyond the border the outermost voxels are
    repeated (mirrored by the B-spline).

    Raises:
        InputError: The mode is unknown, or the grid is coarser than the input's or has another
            number of axes.

    Example:
        >>> interpolate_to(torch.tensor([[[0.0, 5.0, 10.0]]]), (1, 6), "trilinear")
        tensor([[[ 0.0000,  1.2500,  3.7500,  6.2500,  8.7500, 10.0000]]])
    """
    if mode not in BASELINES:
        raise InputError(f"mode must be one of {', '.join(BASELINES)}, got {mode!r}")
    array, fine = as_array(low), tuple(shape)
    coarse = array.shape[1:]
    if len(fine) != len(coarse) or any(f < c for f, c in zip(fine, coarse, strict=True)):
        raise InputError(f"baselines interpolate onto a finer grid than {coarse}, got {fine}")
    ratios = [f / c for f, c in zip(fine, coarse, strict=True)]
    if mode != "bspline" and len(set(ratios)) == 1 and ratios[0].is_integer():
        # The same arithmetic as in front of a network that is fed the interpolated input.
        volume = torch.from_numpy(array.astype(np.float32))[None]
        return upsample(volume, int(ratios[0]), mode)[0]
    for axis, (c, f) in enumerate(zip(coarse, fine, strict=True), start=1):
        if c != f:
            array = np.moveaxis(np.tensordot(_weights(c, f, mode), array, (1, axis)), 0, axis)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _weights(coarse: int, fine: int, mode: Baseline) -> Floats:
    """What each coarse voxel of a line adds to each fine one, ``(fine, coarse)``."""
    place = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    if mode == "nearest":
        # A fine voxel between two coarse ones, to rounding, is given to the right one.
        return np.eye(coarse)[np.floor(place + 0.5 + 1e-9).astype(int).clip(0, coarse - 1)]
    first = np.floor(place).astype(int)
    weights = np.zeros((fine, coarse))
    for shift in range(-1, 3):
        source = first + shift
        source = _mirror(source, coarse) if mode == "bspline" else source.clip(0, coarse - 1)
        np.add.at(weights, (np.arange(fine), source), _kernel(place - first - shift, mode))
    if mode != "bspline":
        return weights
    # The coefficients of the spline that goes through the coarse values.
    at_voxels = np.zeros((coarse, coarse))
    for shift, weight in ((-1, 1 / 6), (0, 2 / 3), (1, 1 / 6)):
        np.add.at(
            at_voxels, (np.arange(coarse), _mirror(np.arange(coarse) + shift, coarse)), weight
        )
    return np.asarray(np.linalg.solve(at_voxels.T, weights.T).T)


def _mirror(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Indices of a line that is mirrored at its border, 1 0 | 0 1 … n−1 | n−1 n−2."""
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def _kernel(t: Floats, mode: Baseline) -> Floats:
    """Interpolation kernel (of the B-spline, its basis function) at distances in coarse voxels."""
    t = np.abs(t)
    if mode == "trilinear":
        return np.maximum(0, 1 - t)
    if mode == "bspline":
        near, far = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    else:
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
