"""The noise of a volume, from the volume alone."""

import numpy as np
import pytest

from medrev.metrics import noise_level


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
