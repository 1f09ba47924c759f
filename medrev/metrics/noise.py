"""How noisy a volume is, from the volume alone."""

import itertools

import numpy as np

from medrev.metrics.masked import Array, Floats, as_array

#: Blocks that a level is taken from, at least.
_FEWEST = 50
#: Deviations of a normal distribution in its median absolute value, inverted.
_ROBUST = 1 / 0.6745


def noise_level(volume: Array, mask: Array | None = None) -> float | None:
    """The standard deviation of white noise, from the finest details of a volume.

    Of every block of two voxels along each axis the difference of neighbours along all axes at
    once is taken (the orthonormal Haar wavelet's last band), in which anatomy has the least share;
    the median of its absolute values is not moved by the edges that remain.

    Args:
        volume: ``(C, *spatial)``; channels count alike.
        mask: ``(1, *spatial)``; only blocks that lie wholly in it count.

    Returns:
        It, in the volume's unit; None where fewer than fifty blocks lie in the mask.

    References:
        Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 1994: the
        median absolute deviation of the finest wavelet coefficients.

    Example:
        >>> level = noise_level(np.random.default_rng(0).normal(0, 2.0, (1, 32, 32, 32)))
        >>> round(level, 1)
        2.0
    """
    values = as_array(volume)
    axes = values.ndim - 1
    inside = as_array(np.ones_like(values[:1]) if mask is None else mask > 0)
    signs = [(-1) ** sum(corner) for corner in itertools.product((0, 1), repeat=axes)]
    details: Floats = sum(
        sign * part for sign, part in zip(signs, _corners(values), strict=True)
    ) / 2 ** (axes / 2)
    whole = np.logical_and.reduce(_corners(inside))[0]
    if whole.sum() < _FEWEST:
        return None
    return float(np.median(np.abs(details[:, whole]))) * _ROBUST


def _corners(values: Floats) -> list[Floats]:
    """The voxels of all blocks of two along each axis, one of a block at a time."""
    even = [n // 2 * 2 for n in values.shape[1:]]
    return [
        values[:, *(slice(at, n, 2) for at, n in zip(corner, even, strict=True))]
        for corner in itertools.product((0, 1), repeat=len(even))
    ]
