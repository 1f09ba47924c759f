"""Sharpness: gradient energy and power spectrum of an output beside its reference's; and noise."""

import itertools
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, as_array, as_mask, bounding_box

#: Edges of the frequency bands as fractions of the Nyquist frequency (0.5 cycles per voxel).
BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Names of the bands.
BAND_NAMES = tuple(f"{low:g}–{high:g} Nyquist" for low, high in pairwise(BANDS))
#: Width in voxels over which the spectrum's window rises from the mask's edge.
TAPER = 4


def gradient_energy(
    volume: Array, mask: Array | None = None, spacing: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Mean squared difference of neighbouring voxels along each axis, over all channels.

    Only pairs of voxels that both lie in the mask count. Spacing is in mm (None: 1).

    Returns:
        One value per axis, in squared units of the volume per mm²; 0 along an axis without pairs.
    """
    array = as_array(volume)
    inside = as_mask(mask, array.shape[1:])
    box = bounding_box(inside)
    array, inside = array[(slice(None), *box)], inside[box]
    edges = spacing or (1.0,) * inside.ndim
    return tuple(_energy(array, inside, axis) / edges[axis] ** 2 for axis in range(inside.ndim))


def gradient_ratio(
    prediction: tuple[float, ...], reference: tuple[float, ...], axis: int | None = None
) -> float:
    """Gradient energy of a prediction divided by that of its reference (:func:`gradient_energy`).

    Below 1 the prediction is smoother than the reference, above 1 rougher (sharper or noisier).

    Args:
        prediction: Energy by axis.
        reference: The same of the reference.
        axis: Spatial axis along which the gradient is taken, 0 for I: the through-plane gradient
            of volumes that were made slice by slice. Default: all together.

    Raises:
        InputError: The reference has no gradient.
    """
    one, two = (sum(e) if axis is None else e[axis] for e in (prediction, reference))
    if two == 0:
        raise InputError("the gradient ratio is undefined: the reference has no gradient")
    return one / two


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The reference's share of the spectral metrics, kept to compare several predictions with it.

    The mean of the mask is subtracted, then the volume is multiplied by a window that is 0 outside
    the mask and rises to 1 over four voxels (half a cosine), so that the mask's edge adds little
    power; then the power is summed over all frequencies of a band, whatever their direction.

    Attributes:
        amplitudes: Fourier transform of the windowed reference, ``(C, …)``.
        power: Its power by band, summed over channels.
        window: The window in the bounding box of the mask.
        box: The bounding box.
        size: Size of the transform.
        band: Number of the band of each frequency, the number of bands where it is in none.
    """

    amplitudes: NDArray[np.complex128]
    power: Floats
    window: Floats
    box: tuple[slice, ...]
    size: tuple[int, ...]
    band: NDArray[np.intp]

    @classmethod
    def of(cls, reference: Array, mask: Array | None) -> "Spectrum":
        """Prepare a reference ``(C, I, J, K)`` or ``(C, I, J)`` in a mask (None: everywhere)."""
        from scipy import fft, ndimage  # not for those who only translate

        array = as_array(reference)
        inside = as_mask(mask, array.shape[1:])
        box = bounding_box(inside)
        depth = ndimage.distance_transform_edt(np.pad(inside[box], 1))
        depth = depth[(slice(1, -1),) * inside.ndim]
        window = 0.5 - 0.5 * np.cos(np.pi * np.minimum(depth / (TAPER + 1), 1))
        size = tuple(fft.next_fast_len(n, real=True) for n in window.shape)
        band = _bands(size)
        amplitudes = _transform(array[(slice(None), *box)], window, size)
        power = _sums(np.abs(amplitudes) ** 2, band, size)
        return cls(amplitudes, power, window, box, size, band)

    def compare(self, prediction: Array) -> tuple[Floats, Floats]:
        """Power ratio and coherence by band.

        The power ratio is 1 where both have the same power, below 1 where the prediction is
        blurred.
        The coherence (Fourier shell correlation) ``Re Σ P·R* / √(Σ|P|² Σ|R|²)`` is 1 where the
        prediction has the reference's detail, and 0 where its detail has nothing to do with it.

        Raises:
            InputError: The reference has no power in a band.
        """
        if not (self.power > 0).all():
            raise InputError("the power ratio is undefined: the reference has no power in a band")
        values = as_array(prediction)[(slice(None), *self.box)]
        amplitudes = _transform(values, self.window, self.size)
        power = _sums(np.abs(amplitudes) ** 2, self.band, self.size)
        cross = _sums((amplitudes * self.amplitudes.conj()).real, self.band, self.size)
        norm = np.sqrt(power * self.power)
        coherence = np.divide(cross, norm, out=np.zeros_like(cross), where=norm > 0)
        return power / self.power, coherence


def _bands(size: tuple[int, ...]) -> NDArray[np.intp]:
    """The band ``]low, high]`` of each frequency of a real transform."""
    from scipy import fft  # not for those who only translate

    axes = [fft.fftfreq(n, 0.5) for n in size[:-1]] + [fft.rfftfreq(size[-1], 0.5)]
    squares = np.meshgrid(*(axis**2 for axis in axes), indexing="ij", sparse=True)
    band = np.digitize(np.sqrt(sum(squares)), BANDS, right=True) - 1
    band[band < 0] = len(BANDS) - 1  # the mean
    return np.asarray(band)


def _transform(values: Floats, window: Floats, size: tuple[int, ...]) -> NDArray[np.complex128]:
    from scipy import fft  # not for those who only translate

    inside = window > 0
    windowed = [window * np.where(inside, v - v[inside].mean(), 0) for v in values]
    return np.stack([fft.rfftn(channel, s=size) for channel in windowed])


def _sums(values: Floats, band: NDArray[np.intp], size: tuple[int, ...]) -> Floats:
    """Sums over channels and the frequencies of each band."""
    # A real transform keeps one of each frequency and its mirror image along the last axis.
    twice = np.full(band.shape[-1], 2.0)
    twice[0] = 1
    if size[-1] % 2 == 0:
        twice[-1] = 1
    weights = (values.sum(axis=0) * twice).ravel()
    return np.asarray(np.bincount(band.ravel(), weights)[: band.max()], dtype=np.float64)


def differences(array: Floats, inside: NDArray[np.bool_], axis: int) -> Floats:
    """Differences ``(C, N)`` of neighbours along a spatial axis that both lie in the mask."""
    n = inside.shape[axis]
    pairs = np.take(inside, range(1, n), axis) & np.take(inside, range(n - 1), axis)
    with np.errstate(invalid="ignore", over="ignore"):  # outside of the mask
        steps = np.diff(array, axis=axis + 1)
    return np.asarray(steps[:, pairs])


def _energy(array: Floats, inside: NDArray[np.bool_], axis: int) -> float:
    steps = differences(array, inside, axis)
    return float(np.mean(steps**2)) if steps.size else 0.0


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
