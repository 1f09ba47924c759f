"""The row of a translation: scores in network range are those of image files."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medrev.evaluation import EIGHT_BIT, Results, evaluate_methods, translation_row


def test_scores_in_network_range_are_those_of_the_same_images_with_8_bits():
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (2, 3, 24, 20)).astype(float)
    output, reference = pair / 127.5 - 1
    row = translation_row("a", "model", translations={"inverse": (output, reference)})
    records = evaluate_methods({"m": pair[0]}, pair[1], None, subject="a", settings=EIGHT_BIT)
    files = {r.metric: r.value for r in Results(tuple(records)) if r.region == "whole"}
    for metric in ("nmae", "psnr", "ssim"):
        assert row.scores[f"{metric}_inverse"] == pytest.approx(files[metric], rel=1e-9)
    expected = structural_similarity(
        pair[1],
        pair[0],
        data_range=255,
        channel_axis=0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert row.scores["ssim_inverse"] == pytest.approx(expected, abs=1e-9)
