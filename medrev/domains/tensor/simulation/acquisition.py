"""The scan: gradient table, point spread, noise and brain mask."""

import numpy as np
from scipy.fft import irfft, irfft2, rfft, rfft2
from scipy.ndimage import (
    binary_closing,
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    gaussian_filter1d,
    label,
    shift,
)

from medrev.domains.tensor.simulation.anatomy import RandomFields, normalise
from medrev.domains.tensor.simulation.spec import SubjectSpec

NOISE = 1.5
"""Noise standard deviation in stored integer units: rounding adds 2 % to it."""


def gradient_table(spec: SubjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """b-values (V,) and unit gradients in scanner axes (V, 3), spread by electric repulsion."""
    g = normalise(rng.standard_normal((spec.directions, 3)))
    for _ in range(300):
        both = np.concatenate([g, -g])
        away = g[:, None] - both
        distance = np.linalg.norm(away, axis=-1, keepdims=True)
        force = np.divide(away, distance**3, out=np.zeros_like(away), where=distance > 1e-9)
        g = normalise(g + 0.02 * normalise(force.sum(axis=1)))
    b = np.full(spec.directions, spec.b)
    if spec.b_spread:
        b = np.round(b + rng.normal(0, spec.b_spread, spec.directions))
    bvals = np.concatenate([np.zeros(spec.b0), b])
    return bvals, np.concatenate([np.zeros((spec.b0, 3)), g])


def fsl_bvecs(gradients: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Gradients (V, 3) from scanner axes to image axes, x mirrored when det(affine) > 0."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    vectors = gradients @ axes
    if np.linalg.det(affine[:3, :3]) > 0:
        vectors = vectors * [-1.0, 1.0, 1.0]
    return vectors


def block_mean(volume: np.ndarray, fine: int) -> np.ndarray:
    """Mean over blocks of fine³ voxels, shape (I·fine, J·fine, K·fine) to (I, J, K)."""
    i, j, k = (n // fine for n in volume.shape)
    return volume.reshape(i, fine, j, fine, k, fine).mean(axis=(1, 3, 5))


def point_spread(
    volume: np.ndarray, fine: int, spec: SubjectSpec, offset: np.ndarray | None = None
) -> np.ndarray:
    """Bring one fine volume to the scan grid: optional shift, blur or k-space cut, block mean."""
    if offset is not None:
        volume = shift(volume, offset * fine, order=1, mode="nearest")
    if spec.psf == "fourier":
        spectrum = rfft2(volume, axes=(0, 1))
        for axis, freq in enumerate(
            (np.fft.fftfreq(volume.shape[0]), np.fft.rfftfreq(volume.shape[1]))
        ):
            k = np.abs(freq) * 2 * fine  # 1 at the Nyquist frequency of the scan
            window = (1 - spec.psf_width * 0.5 * (1 - np.cos(np.pi * np.minimum(k, 1)))) * (k <= 1)
            spectrum *= np.expand_dims(window.astype(np.float32), (1 - axis, 2))
        volume = np.maximum(irfft2(spectrum, s=volume.shape[:2], axes=(0, 1)), 0)
    elif spec.psf == "window":
        for axis, (share, apodisation) in enumerate(spec.window):
            if share:
                volume = _windowed(volume, axis, fine, share, apodisation)
            elif spec.psf_width:
                volume = gaussian_filter1d(volume, spec.psf_width * fine, axis)
        volume = np.maximum(volume, 0)
    elif spec.psf_width:
        volume = gaussian_filter(volume, spec.psf_width * fine)
    return block_mean(volume, fine)


def _windowed(
    volume: np.ndarray, axis: int, fine: int, share: float, apodisation: float
) -> np.ndarray:
    """Keep the measured share of one axis of k-space, weighted by a raised cosine."""
    k = np.fft.rfftfreq(volume.shape[axis]) * 2 * fine / share  # 1 at the edge of what is measured
    weights = (1 - apodisation * 0.5 * (1 - np.cos(np.pi * np.minimum(k, 1)))) * (k <= 1)
    spectrum = rfft(volume, axis=axis)
    spectrum *= np.expand_dims(
        weights.astype(np.float32), tuple(a for a in range(volume.ndim) if a != axis)
    )
    return irfft(spectrum, n=volume.shape[axis], axis=axis)


def add_noise(
    signal: np.ndarray, spec: SubjectSpec, rng: np.random.Generator, level: np.ndarray
) -> np.ndarray:
    """Mean of Rician magnitude images; that mean has noise of deviation `level` (I, J, K)."""
    total = np.zeros(signal.shape, np.float32)
    for _ in range(spec.averages):
        noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
        if spec.noise_blur:
            noise = gaussian_filter(noise, (0, *[spec.noise_blur] * 3))
            noise /= noise.std()
        if spec.psf == "window":  # noise passes through the same reconstruction
            for axis, (share, apodisation) in enumerate(spec.window):
                if share:
                    noise = _windowed(noise, axis + 1, 1, share, apodisation)
            noise /= noise.std()
        noise *= level * np.sqrt(spec.averages)
        total += np.hypot(signal + noise[0], noise[1])
    return total / spec.averages


def brain_mask(
    depth: np.ndarray, b0: np.ndarray, spec: SubjectSpec, fields: RandomFields
) -> np.ndarray:
    """Mask as a tool would draw it: irregular, loose or tight, empty where there is no signal.

    ``depth`` is the signed distance in mm to the brain surface on the scan grid; white matter of
    ``b0`` is about 1.
    """
    edge = depth + spec.mask_offset + spec.mask_jitter * (0.8 * fields(12.0) + 0.5 * fields(5.0))
    bright = gaussian_filter(b0, 0.7) > 0.35
    # padded: a brain that leaves the field of view is not eroded from there
    mask = np.pad((edge > 0) & bright, 2, mode="edge")
    mask = binary_fill_holes(binary_closing(binary_opening(mask)))[2:-2, 2:-2, 2:-2]
    parts, count = label(mask)
    if count > 1:
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return mask.astype(np.uint8)
