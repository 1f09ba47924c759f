import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medrev.evaluation import evaluate_methods
from medrev.metrics import Key, Settings

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
    assert 110 < (one - two).mean() < 160
