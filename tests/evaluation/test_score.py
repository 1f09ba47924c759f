"""Scores of translations: in network range those of image files, of slices with their flicker."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from medrev.domains.sample import Outcome
from medrev.evaluation import Results, evaluate_methods, heldout_columns, heldout_means, score
from medrev.metrics import NETWORK_RANGE, Settings

#: Images of 0 to 255.
GREY_LEVELS = Settings(tensors=False, value_range=255.0, unit="grey levels")


def test_scores_in_network_range_are_those_of_the_same_images_with_8_bits():
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (2, 3, 24, 20)).astype(float)
    output, reference = pair / 127.5 - 1
    made = Outcome(outputs={"model": output}, reference=reference, component="y→x")
    found = heldout_means(score("a", [made]))
    records = evaluate_methods({"m": pair[0]}, pair[1], None, subject="a", settings=GREY_LEVELS)
    files = {r.metric: r.value for r in records if r.region == "whole"}
    for metric in ("nmae", "psnr", "ssim"):
        assert found[f"{metric}_inverse"] == pytest.approx(files[metric], rel=1e-9)
    expected = structural_similarity(
        pair[1],
        pair[0],
        data_range=255,
        channel_axis=0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert found["ssim_inverse"] == pytest.approx(expected, abs=1e-9)


def test_slice_wise_volumes_have_a_flicker_and_masks_hold_for_round_trips():
    noise = np.random.default_rng(0).standard_normal((16, 18, 20))
    volume = gaussian_filter(noise, 2)[None] * 20
    mask = np.zeros(volume.shape)
    mask[:, 3:12, 4:15, 2:17] = 1
    spoilt = np.where(mask > 0, volume + 0.1, 9)
    results = {"x→y": volume, "y→x": 0 * volume, "x→y→x": spoilt, "y→x→y": volume}

    def table(settings: Settings) -> Results:
        made = [
            Outcome(
                outputs={"model": result},
                reference=volume,
                mask=mask,
                settings=settings,
                component=component,
            )
            for component, result in results.items()
        ]
        return score("a", made)

    found = table(replace(NETWORK_RANGE, slice_axis=2))
    means = heldout_means(found)
    assert means["flicker_forward"] == pytest.approx(1)
    assert "flicker_inverse" in heldout_columns(found)
    assert "flicker_inverse" not in means
    assert means["cycle_x"] == pytest.approx(0.05)
    assert means["cycle_y"] == 0
    reason = "the flicker is undefined: a volume does not change within its slices"
    assert found.reasons == (f"a (model): {reason}",)
    assert "flicker_forward" not in heldout_columns(table(NETWORK_RANGE))


def test_only_the_columns_that_are_asked_for_are_measured():
    volume = np.random.default_rng(0).random((6, 12, 12, 12)) * 1e-3
    made = Outcome(
        outputs={"model": volume, "cubic": 2 * volume},
        reference=0 * volume,
        mask=np.ones((12, 12, 12)),
        settings=Settings(tensors=True),
    )
    quick = score("a", [made], columns=("rmse_interior", "ratio"))
    assert list(heldout_columns(quick)) == ["rmse_interior"]  # a ratio needs its error
    both = score("a", [made], columns=("rmse", "ratio"))
    assert heldout_means(both, "cubic")["ratio"] == 1
    assert heldout_means(both)["ratio"] == pytest.approx(0.5, rel=1e-12)
