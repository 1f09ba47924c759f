"""Sharpness and noise: filters of known response, plain loops, white noise."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from medrev.errors import InputError
from medrev.metrics import BAND_NAMES, Spectrum, gradient_energy, noise_level

from .measured import measured

gradient_ratio = partial(measured, "gradient_ratio")


def spectrum_ratio(prediction, reference, mask=None) -> list[float]:
    """Power ratio by band."""
    return [measured("power_ratio", prediction, reference, mask, band) for band in BAND_NAMES]


SHAPE = (20, 18, 16)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, *SHAPE))


@pytest.fixture
def mask() -> np.ndarray:
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    return (i - 9) ** 2 + (j - 9) ** 2 + (k - 8) ** 2 < 60


def test_gradient_energy_is_the_mean_over_pairs_within_the_mask(noise, mask):
    voxels = [tuple(voxel) for voxel in np.argwhere(mask)]
    inside, spacing = set(voxels), (1.0, 2.0, 2.5)
    for axis, step in enumerate(np.eye(3, dtype=int)):
        pairs = [(voxel, tuple(voxel + step)) for voxel in voxels]
        pairs = [(a, b) for a, b in pairs if b in inside]
        squares = [(noise[c][b] - noise[c][a]) ** 2 for c in range(2) for a, b in pairs]
        expected = np.mean(squares) / spacing[axis] ** 2
        assert gradient_energy(noise, mask, spacing)[axis] == pytest.approx(expected, rel=1e-12)


def test_blur_lowers_the_gradient_and_a_factor_enters_squared(noise, mask):
    assert gradient_ratio(3 * noise, noise, mask) == pytest.approx(9)
    assert gradient_ratio(ndimage.gaussian_filter(noise, (0, 1, 1, 1)), noise, mask) < 0.2
    assert gradient_ratio(noise + 5, noise, mask) == pytest.approx(1)


def test_through_plane_gradient_sees_jumps_between_slices_only(mask):
    k = np.arange(SHAPE[2])
    i = np.arange(SHAPE[0])[:, None, None]
    smooth = np.broadcast_to(i + k, SHAPE)[None].astype(float)
    jumping = smooth + 2.0 * (k % 2)
    assert gradient_ratio(jumping, smooth, mask, "i") == pytest.approx(1)
    assert gradient_ratio(jumping, smooth, mask, "k") == pytest.approx(5)  # (3² + 1²) / 2


def test_the_outside_never_counts(noise, mask):
    outside = np.where(mask, noise, np.nan)
    assert gradient_ratio(outside, noise, mask) == 1
    assert spectrum_ratio(outside, noise, mask) == pytest.approx([1] * 4)


def test_a_filter_of_known_response_shows_in_each_band():
    """White noise through a filter: the power ratio is the response, averaged over the band."""
    shape = (48, 48, 48)
    noise = np.random.default_rng(1).standard_normal(shape)
    frequencies = [np.fft.fftfreq(n, 0.5) for n in shape]
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*frequencies, indexing="ij")))
    gains = [0.9, 0.6, 0.3, 0.1]
    gain = np.select([radius <= 0.25, radius <= 0.5, radius <= 0.75, radius <= 1], gains, 0)
    filtered = np.fft.ifftn(np.fft.fftn(noise) * gain).real
    found = spectrum_ratio(filtered[None], noise[None])
    # The window that fades to the border mixes neighbouring bands a little.
    assert found == pytest.approx([g**2 for g in gains], abs=0.03)


@pytest.mark.parametrize("shape", [(16, 15, 14), (15, 16, 15), (21, 20)])
def test_power_is_that_of_the_full_transform(shape):
    volume = np.random.default_rng(2).standard_normal((2, *shape))
    spectrum = Spectrum.of(volume, np.ones(shape))
    windowed = (volume - volume.mean(axis=tuple(range(1, volume.ndim)), keepdims=True)) * (
        spectrum.window
    )
    axes = tuple(range(1, volume.ndim))
    power = (np.abs(np.fft.fftn(windowed, s=spectrum.size, axes=axes)) ** 2).sum(axis=0)
    frequencies = [np.fft.fftfreq(n, 0.5) for n in spectrum.size]
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*frequencies, indexing="ij")))
    edges = [0, 0.25, 0.5, 0.75, 1]
    expected = [power[(radius > low) & (radius <= high)].sum() for low, high in pairwise(edges)]
    np.testing.assert_allclose(spectrum.power, expected, rtol=1e-9)


def test_coherence_tells_right_detail_from_invented_detail(noise):
    invented = np.random.default_rng(9).standard_normal(noise.shape)
    spectrum = Spectrum.of(noise, None)
    ratio, coherence = spectrum.compare(-2 * noise)
    assert ratio == pytest.approx(4)
    assert coherence == pytest.approx(-1)
    ratio, coherence = spectrum.compare(invented)
    assert ratio[1:] == pytest.approx(1, abs=0.2)
    assert np.abs(coherence[1:]).max() < 0.1


def test_flat_references_are_said(mask):
    flat = np.ones((1, *SHAPE))
    with pytest.raises(InputError, match="no gradient"):
        gradient_ratio(flat, flat, mask)
    with pytest.raises(InputError, match="no power"):
        spectrum_ratio(flat, flat, mask)


def test_the_window_rises_over_four_voxels_from_the_edge_of_the_mask():
    """Half a period of a cosine: 0 outside, 1 from the fifth voxel on."""
    inside = np.zeros((24, 24, 24))
    inside[3:21, 2:22, 2:22] = 1
    window = Spectrum.of(np.random.default_rng(0).normal(size=(1, 24, 24, 24)), inside).window
    line = window[:, 10, 10]
    rise = [(1 - np.cos(np.pi * n / 5)) / 2 for n in (1, 2, 3, 4)]
    np.testing.assert_allclose(line, [*rise, *[1] * 10, *rise[::-1]])


@pytest.mark.parametrize("shape", [(1, 64, 64), (6, 20, 21, 22)])
def test_white_noise_has_its_deviation_in_2d_and_3d(shape):
    noise = np.random.default_rng(0).normal(0, 3.0, shape)
    assert noise_level(noise) == pytest.approx(3.0, rel=0.05)


def test_anatomy_counts_little():
    i, j, k = np.meshgrid(*[np.linspace(0, 6, 32)] * 3, indexing="ij")
    anatomy = 100 * np.sin(i) * np.cos(j + k) + 200 * (i > 3)
    noise = np.random.default_rng(0).normal(0, 2.0, anatomy.shape)
    assert noise_level(anatomy[None]) < 0.5
    assert noise_level((anatomy + noise)[None]) == pytest.approx(2.0, rel=0.1)


def test_only_blocks_in_the_mask_count():
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 50.0, (1, 24, 24, 24))
    volume[:, 6:18, 6:18, 6:18] = rng.normal(0, 1.0, (1, 12, 12, 12))
    mask = np.zeros((1, 24, 24, 24))
    mask[:, 5:19, 5:19, 5:19] = 1  # its rim cuts blocks, which do not count
    assert noise_level(volume, mask) == pytest.approx(1.0, rel=0.15)


def test_of_few_blocks_nothing_is_said():
    assert noise_level(np.zeros((1, 6, 6, 6))) is None
    assert noise_level(np.zeros((1, 8, 8, 8))) == 0.0
