"""SSIM against scikit-image, MONAI, and the formula voxel by voxel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from medrev.errors import InputError
from medrev.metrics import Structure, data_range

from .measured import measured

SHAPE = (18, 16, 17)
SKIMAGE = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def volumes(shape: tuple[int, ...], channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    wave = sum(np.sin(axis / (2 + n)) for n, axis in enumerate(grid))
    reference = wave + 0.3 * rng.standard_normal((channels, *shape))
    return reference + 0.3 * rng.standard_normal(reference.shape), reference


def ssim(prediction, reference, mask=None, value_range: float | None = None) -> float:
    return measured("ssim", prediction, reference, mask, value_range=value_range)


def ssim_map(prediction, reference, mask=None, span: float | None = None, axes=None) -> np.ndarray:
    """The value of every voxel that counts, NaN elsewhere."""
    structure = Structure.of(reference, mask, axes)
    values = np.full(reference.shape, np.nan)
    values[:, structure.counted] = structure.compare(
        prediction, data_range(reference, mask) if span is None else span
    )
    return values


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    return volumes(SHAPE)


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:-1, 1:-3, 3:-2] = True
    inside[4:7, 4:7, 4:7] = False
    return inside


@pytest.mark.parametrize("shape", [SHAPE, (25, 31)])
def test_without_mask_it_is_that_of_skimage(shape):
    prediction, reference = volumes(shape)
    span = float(np.ptp(reference))
    expected = structural_similarity(
        reference, prediction, channel_axis=0, data_range=span, **SKIMAGE
    )
    assert ssim(prediction, reference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [SHAPE, (25, 31)])
def test_without_mask_it_is_that_of_monai(shape):
    from monai.metrics import SSIMMetric

    prediction, reference = volumes(shape)
    metric = SSIMMetric(spatial_dims=len(shape), data_range=5.0)
    expected = metric(torch.from_numpy(prediction)[None], torch.from_numpy(reference)[None]).item()
    # MONAI computes in float32
    assert ssim(prediction, reference, value_range=5.0) == pytest.approx(expected, abs=1e-6)


def test_eight_bit_images_agree_with_skimage():
    rng = np.random.default_rng(5)
    reference = rng.integers(0, 256, (3, 40, 50), dtype=np.uint8)
    prediction = np.clip(reference + rng.normal(0, 30, reference.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(
        reference, prediction, channel_axis=0, data_range=255, **SKIMAGE
    )
    assert ssim(prediction, reference, value_range=255) == pytest.approx(expected, abs=1e-9)


def test_within_a_mask_it_is_that_of_skimage_where_whole_windows_lie_in_it(pair):
    prediction, reference = pair
    mask = np.zeros(SHAPE, bool)
    mask[2:, 1:-2, :-1] = True
    crop = (slice(None), slice(2, None), slice(1, -2), slice(-1))
    span = data_range(reference, mask)
    _, expected = structural_similarity(
        reference[crop],
        prediction[crop],
        channel_axis=0,
        data_range=span,
        full=True,
        **SKIMAGE,
    )
    found = ssim_map(prediction, reference, mask)[crop]
    inner = (slice(None), *[slice(5, -5)] * 3)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-12)


def test_the_mask_of_a_box_is_a_crop(pair):
    mask = np.zeros(SHAPE, bool)
    mask[2:-1, 3:-3, 1:-2] = True
    crop = (slice(None), slice(2, -1), slice(3, -3), slice(1, -2))
    one, two = (v[crop] for v in pair)
    assert ssim(*pair, mask) == pytest.approx(ssim(one, two, np.ones(one.shape[1:])), abs=1e-12)


def test_it_is_the_formula_voxel_by_voxel(pair, mask):
    """An independent computation: explicit windows, weights of mask voxels only."""
    prediction, reference = (v[:1] for v in pair)
    span = data_range(reference, mask)
    grid = np.arange(-5, 6)
    line = np.exp(-0.5 * (grid / 1.5) ** 2)
    window = np.einsum("i,j,k->ijk", line, line, line)
    x, y, m = (np.pad(v, 5) for v in (prediction[0], reference[0], mask.astype(float)))
    values = []
    for i, j, k in zip(*np.nonzero(mask), strict=True):
        cut = (slice(i, i + 11), slice(j, j + 11), slice(k, k + 11))
        w = window * m[cut]
        w = w / w.sum()
        mx, my = (w * x[cut]).sum(), (w * y[cut]).sum()
        vx, vy = (w * (x[cut] - mx) ** 2).sum(), (w * (y[cut] - my) ** 2).sum()
        vxy = (w * (x[cut] - mx) * (y[cut] - my)).sum()
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(prediction, reference, mask) == pytest.approx(np.mean(values), abs=1e-9)


def test_windows_within_slices_are_those_of_images(pair, mask):
    prediction, reference = pair
    span = data_range(reference, mask)
    found = ssim_map(prediction, reference, mask, axes=(0, 1))
    for k in range(SHAPE[2]):
        if mask[..., k].any():
            image = ssim_map(prediction[..., k], reference[..., k], mask[..., k], span)
            np.testing.assert_allclose(found[..., k], image, atol=1e-12)


def test_the_map_is_defined_where_voxels_count(pair, mask):
    found = ssim_map(*pair, mask)
    assert np.array_equal(np.isfinite(found), np.broadcast_to(mask, found.shape))
    assert ssim(*pair, mask) == pytest.approx(np.nanmean(found), abs=1e-12)
    whole = ssim_map(*pair)
    assert np.isfinite(whole[:, 5:-5, 5:-5, 5:-5]).all()
    assert np.isfinite(whole).sum() == whole[:, 5:-5, 5:-5, 5:-5].size


def test_equal_volumes_give_one_and_the_outside_is_ignored(pair, mask):
    prediction, reference = pair
    assert ssim(reference, reference, mask) == pytest.approx(1, abs=1e-12)
    for outside in (1e6, np.nan):
        other = np.where(mask, prediction, outside)
        assert ssim(other, reference, mask) == ssim(prediction, reference, mask)


def test_it_stays_exact_far_from_zero(pair, mask):
    prediction, reference = pair
    near = ssim(prediction + 1e3, reference + 1e3, mask)
    exact = ssim((prediction + 1e3) * 1e-5, (reference + 1e3) * 1e-5, mask)
    assert near == pytest.approx(exact, abs=1e-6)


@given(st.integers(0, 999), st.floats(0.01, 100), st.permutations(range(3)))
def test_it_is_symmetric_and_turns_and_scales_with_the_volumes(seed, scale, axes):
    rng = np.random.default_rng(seed)
    one, two = rng.random((2, 1, 7, 6, 8))
    mask = rng.random((7, 6, 8)) < 0.7
    value = ssim(one, two, mask, 1.0)
    assert -1 <= value <= 1
    assert ssim(two, one, mask, 1.0) == pytest.approx(value, abs=1e-12)
    assert ssim(scale * one, scale * two, mask, scale) == pytest.approx(value, abs=1e-9)
    order = [0, *(a + 1 for a in axes)]
    turned = (one.transpose(order), two.transpose(order), mask.transpose(axes))
    assert ssim(*turned, 1.0) == pytest.approx(value, abs=1e-12)


def test_a_constant_reference_is_said(mask):
    constant = np.full((1, *SHAPE), 3.0)
    with pytest.raises(InputError, match="constant in the mask"):
        ssim(constant, constant, mask)
    assert ssim(constant, constant, mask, value_range=1) == pytest.approx(1)


def test_a_volume_smaller_than_the_window_needs_a_mask():
    small = np.random.default_rng(0).random((1, 20, 10))
    with pytest.raises(InputError, match=r"11 voxels along each axis, got \(20, 10\)"):
        ssim(small, small)
    assert ssim(small, small, np.ones((20, 10))) == pytest.approx(1)
