import math

import numpy as np
import pytest
import torch

from medrev.errors import InputError
from medrev.evaluation import data_range, psnr, ssim

SHAPE = (18, 16, 17)


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


def test_psnr_agrees_with_monai_on_the_masked_voxels(pair, mask):
    from monai.metrics import PSNRMetric

    prediction, reference = pair
    span = reference[:, mask].max() - reference[:, mask].min()
    assert data_range(reference, mask) == span
    voxels = [torch.from_numpy(v[:, mask].reshape(1, 1, -1)) for v in pair]
    expected = PSNRMetric(max_val=span)(*voxels).item()
    assert psnr(prediction, reference, mask) == pytest.approx(expected, abs=1e-6)


def test_psnr_of_equal_volumes_is_infinite(pair, mask):
    assert psnr(pair[1], pair[1], mask) == math.inf


def test_ssim_is_the_formula_voxel_by_voxel(pair, mask):
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


def test_ssim_agrees_with_monai_where_windows_are_whole(pair):
    from monai.metrics.regression import compute_ssim_and_cs

    prediction, reference = pair
    everywhere = np.ones(SHAPE)
    span = data_range(reference, everywhere)
    full, _ = compute_ssim_and_cs(
        torch.from_numpy(prediction)[None],
        torch.from_numpy(reference)[None],
        spatial_dims=3,
        data_range=torch.tensor(span),
        kernel_type="gaussian",
        kernel_size=[11] * 3,
        kernel_sigma=[1.5] * 3,
    )
    # MONAI's map has whole windows only, which end 5 voxels inside, and is computed in float32.
    from medrev.evaluation.images import _ssim_values

    ours = [
        _ssim_values(x, y, everywhere > 0, span).reshape(SHAPE)[5:-5, 5:-5, 5:-5]
        for x, y in zip(prediction, reference, strict=True)
    ]
    np.testing.assert_allclose(np.stack(ours), full[0].numpy(), atol=1e-4)


def test_ssim_of_equal_volumes_is_one_and_ignores_the_outside(pair, mask):
    prediction, reference = pair
    assert ssim(reference, reference, mask) == pytest.approx(1, abs=1e-12)
    outside = np.where(mask, prediction, 1e6)
    assert ssim(outside, reference, mask) == ssim(prediction, reference, mask)


def test_ssim_stays_exact_far_from_zero(pair, mask):
    prediction, reference = pair
    near = ssim(prediction + 1e3, reference + 1e3, mask)
    exact = ssim((prediction + 1e3) * 1e-5, (reference + 1e3) * 1e-5, mask)
    assert near == pytest.approx(exact, abs=1e-6)


def test_constant_reference_is_said(mask):
    constant = np.full((1, *SHAPE), 3.0)
    for metric in (psnr, ssim):
        with pytest.raises(InputError, match="constant in the mask"):
            metric(constant, constant, mask)
