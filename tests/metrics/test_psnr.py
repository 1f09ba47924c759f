"""PSNR and intensity errors against MONAI, scikit-image and plain numpy."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio

from medrev.errors import InputError
from medrev.metrics import data_range

from .measured import measured

psnr = partial(measured, "psnr")
nmse = partial(measured, "nmse")


def deviation(prediction, reference, mask=None) -> dict[str, float]:
    """Mean absolute error, root mean squared error and bias."""
    return {m: measured(m, prediction, reference, mask) for m in ("mae", "rmse", "bias")}


SHAPE = (18, 16, 17)
FINITE = st.floats(-1e3, 1e3, width=32)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    reference = np.stack([np.sin(i / 3) + np.cos(j / 4), np.sin(k / 2 + i / 5)])
    return reference + 0.2 * rng.standard_normal(reference.shape), reference


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:-1, 1:-3, 3:-2] = True
    inside[4:7, 4:7, 4:7] = False
    return inside


def test_psnr_agrees_with_monai_and_skimage_on_the_masked_voxels(pair, mask):
    from monai.metrics import PSNRMetric

    prediction, reference = pair
    span = reference[:, mask].max() - reference[:, mask].min()
    assert data_range(reference, mask) == span
    voxels = [torch.from_numpy(v[:, mask].reshape(1, 1, -1)) for v in pair]
    expected = PSNRMetric(max_val=span)(*voxels).item()
    assert psnr(prediction, reference, mask) == pytest.approx(expected, abs=1e-6)
    expected = peak_signal_noise_ratio(reference[:, mask], prediction[:, mask], data_range=span)
    assert psnr(prediction, reference, mask) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [SHAPE, (20, 31)])
def test_psnr_of_images_and_volumes_without_mask_agrees_with_skimage(shape):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    prediction = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    expected = peak_signal_noise_ratio(reference, prediction, data_range=255)
    assert psnr(prediction, reference, value_range=255) == pytest.approx(expected, abs=1e-9)


def test_errors_are_those_of_numpy_and_skimage(pair, mask):
    prediction, reference = pair
    difference = prediction[:, mask] - reference[:, mask]
    found = deviation(prediction, reference, mask)
    assert found["mae"] == pytest.approx(np.mean(np.abs(difference)), rel=1e-12)
    assert found["rmse"] ** 2 == pytest.approx(np.var(difference) + np.mean(difference) ** 2)
    assert found["bias"] == pytest.approx(np.mean(difference), rel=1e-9)
    expected = normalized_root_mse(reference[:, mask], prediction[:, mask]) ** 2
    assert nmse(prediction, reference, mask) == pytest.approx(expected, rel=1e-9)


@given(arrays(np.float32, (2, 2, 3, 3, 3), elements=FINITE), st.floats(0.125, 8))
def test_errors_scale_with_the_volumes_and_ignore_the_sign(pair, scale):
    one, two = pair.astype(float)
    before, after = deviation(one, two), deviation(scale * one, scale * two)
    for name in ("mae", "rmse", "bias"):
        expected = scale * before[name]
        assert after[name] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    swapped = deviation(two, one)
    assert swapped == before | {"bias": -before["bias"]}
    assert before["mae"] <= before["rmse"] * (1 + 1e-12)
    assert abs(before["bias"]) <= before["mae"] * (1 + 1e-12)


@given(st.permutations(range(27)), st.integers(0, 9))
def test_the_order_of_voxels_has_no_influence(order, seed):
    one, two = np.random.default_rng(seed).random((2, 1, 27))
    mask = np.arange(27) < 20
    shape = (1, 3, 3, 3)
    before = [v.reshape(shape) for v in (one, two)]
    after = [v[:, order].reshape(shape) for v in (one, two)]
    masks = mask.reshape(shape[1:]), mask[order].reshape(shape[1:])
    assert psnr(*after, masks[1]) == pytest.approx(psnr(*before, masks[0]), rel=1e-12)
    assert nmse(*after, masks[1]) == pytest.approx(nmse(*before, masks[0]), rel=1e-12)


def test_psnr_of_equal_volumes_is_infinite(pair, mask):
    assert psnr(pair[1], pair[1], mask) == math.inf


def test_what_lies_outside_the_mask_never_counts(pair, mask):
    prediction, reference = pair
    outside = np.where(mask, prediction, np.nan)
    assert psnr(outside, reference, mask) == psnr(prediction, reference, mask)
    assert deviation(outside, reference, mask) == deviation(prediction, reference, mask)
    assert nmse(outside, reference, mask) == nmse(prediction, reference, mask)


def test_a_constant_reference_is_said(mask):
    constant = np.full((1, *SHAPE), 3.0)
    with pytest.raises(InputError, match="constant in the mask"):
        psnr(constant, constant, mask)
    assert psnr(constant + 1, constant, mask, value_range=10) == pytest.approx(20)
    with pytest.raises(InputError, match="zero throughout"):
        nmse(constant, 0 * constant, mask)


@pytest.mark.parametrize("value_range", [0, -1, math.nan, math.inf])
def test_a_range_that_is_none_is_refused(pair, value_range):
    with pytest.raises(InputError, match="must be a positive number"):
        psnr(*pair, value_range=value_range)
