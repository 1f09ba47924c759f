import math

import numpy as np
import pytest

from medrev.errors import InputError
from medrev.metrics import data_range, slice_scores

from .measured import measured

SHAPE = (14, 13, 12)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    reference = rng.random((2, *SHAPE))
    return reference + 0.1 * rng.standard_normal(reference.shape), reference


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.random.default_rng(1).random(SHAPE) < 0.6
    inside[:, :, 3] = False
    inside[:, 5] = False
    return inside


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("masked", [True, False])
def test_scores_are_means_over_the_scores_of_single_images(pair, mask, axis, masked):
    prediction, reference = (np.moveaxis(v, axis + 1, -1) for v in pair)
    inside = np.moveaxis(mask, axis, -1) if masked else np.ones(prediction.shape[1:], bool)
    span = data_range(pair[1], mask if masked else None)
    values = []
    for n in range(prediction.shape[-1]):
        one, two, window = prediction[..., n], reference[..., n], inside[..., n]
        if window.any():
            images = one, two, window if masked else None
            names = ("mae", "psnr", "ssim")
            values.append([measured(name, *images, value_range=span) for name in names])
    found = slice_scores(*pair, mask if masked else None, axis=axis)
    assert found.count == len(values)
    expected = np.mean(values, axis=0)
    assert [found.mae, found.psnr, found.ssim] == pytest.approx(expected.tolist(), rel=1e-9)


def test_slices_that_equal_the_reference_are_counted_and_left_out_of_the_mean_psnr(pair, mask):
    prediction, reference = pair
    before = slice_scores(prediction, reference, mask)
    prediction[..., 4] = reference[..., 4]
    found = slice_scores(prediction, reference, mask)
    assert (before.equal, found.equal) == (0, 1)
    place = int(np.flatnonzero(np.isinf(found.psnrs))[0])
    assert found.psnr == pytest.approx(np.delete(before.psnrs, place).mean())
    assert found.ssim > before.ssim
    assert slice_scores(reference, reference, mask).psnr == math.inf


def test_an_axis_that_is_none_is_refused(pair):
    with pytest.raises(InputError, match="0 to 2, got 3"):
        slice_scores(*pair, axis=3)
