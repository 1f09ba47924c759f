import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.util import img_as_ubyte

from medrev.errors import InputError
from medrev.evaluation import evaluate_methods
from medrev.metrics import Key, Settings, to_eight_bit, wrapped_mae

#: Images of 0 to 255.
GREY_LEVELS = Settings(tensors=False, value_range=255.0, unit="grey levels")


def test_scores_of_colour_images_are_those_of_skimage():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (3, 32, 40), dtype=np.uint8)
    noise = rng.normal(0, 20, reference.shape)
    prediction = np.clip(reference + noise, 0, 255).astype(np.uint8)
    results = evaluate_methods(
        {"model": prediction}, reference, None, subject="A", settings=GREY_LEVELS
    )
    found = {m: results.record("A", "model", Key(m, "whole")) for m in ("mae", "psnr", "ssim")}
    expected = np.abs(prediction.astype(int) - reference.astype(int)).mean()
    assert found["mae"].value == pytest.approx(expected)
    assert found["mae"].unit == "grey levels"
    expected = peak_signal_noise_ratio(reference, prediction, data_range=255)
    assert found["psnr"].value == pytest.approx(expected, abs=1e-9)
    expected = structural_similarity(
        reference,
        prediction,
        channel_axis=0,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert found["ssim"].value == pytest.approx(expected, abs=1e-9)
    nmae = results.record("A", "model", Key("nmae", "whole")).value
    assert nmae == pytest.approx(found["mae"].value / 255)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_eight_bits_are_those_of_skimage_but_for_ties(values):
    image = np.array(values)[None, None]
    found = to_eight_bit(image, 0, 1).astype(int)
    assert np.abs(found - img_as_ubyte(image)).max() <= 1
    assert np.abs(found / 255 - image).max() <= 0.5 / 255 + 1e-9


def test_values_beyond_the_range_are_clipped():
    assert to_eight_bit(np.array([[[-7.0, 7.0]]])).tolist() == [[[0, 255]]]


@pytest.mark.parametrize(("value", "low", "high"), [(np.nan, -1, 1), (0, 1, 1), (0, 1, 0)])
def test_what_cannot_be_stored_is_refused(value, low, high):
    with pytest.raises(InputError):
        to_eight_bit(np.full((1, 2, 2), value), low, high)


def test_the_published_mae_is_that_of_wrapped_integers():
    """At the PSNR of RevGAN's Table 4, no MAE can be as large as the one printed beside it."""
    rng = np.random.default_rng(1)
    reference = np.where(rng.random((3, 64, 64)) < 0.5, 240, 235)
    prediction = np.clip(
        reference + rng.normal(0, 255 / 10 ** (26.25 / 20), reference.shape), 0, 255
    )
    one, two = prediction.astype(np.uint8), reference.astype(np.uint8)
    assert peak_signal_noise_ratio(two, one, data_range=255) > 25
    assert np.abs(one.astype(int) - two).mean() < 13
    assert 110 < wrapped_mae(one, two) < 160
    with pytest.raises(InputError, match="8 bits are needed"):
        wrapped_mae(prediction, two)
