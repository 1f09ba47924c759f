"""Resizing as Pillow does it, and crops that are the same for both sides."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from medrev.domains.image.reading import random_crop, resize


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(101, 157), (20, 24), (48, 48)])
@pytest.mark.parametrize(
    ("resampling", "filter_", "tolerance"),
    [("bicubic", Image.Resampling.BICUBIC, 1), ("nearest", Image.Resampling.NEAREST, 0)],
)
def test_resizing_is_that_of_pillow(channels, size, resampling, filter_, tolerance):
    # Far from black and white, where Pillow cuts off overshoots after each axis.
    pixels = np.random.default_rng(0).integers(80, 176, (*size, channels), dtype=np.uint8)
    ours = resize(pixels, 48, resampling)
    whole = Image.fromarray(pixels.squeeze()).resize((48, 48), filter_)
    theirs = np.asarray(whole).reshape(48, 48, channels)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= tolerance


def test_bicubic_resizing_agrees_with_that_of_pytorch():
    pixels = np.random.default_rng(0).integers(80, 176, (101, 157, 3), dtype=np.uint8)
    values = torch.from_numpy(pixels.transpose(2, 0, 1)).float()[None]
    theirs = F.interpolate(values, size=(48, 60), mode="bicubic", antialias=True)[0]
    ours = torch.tensor(resize(pixels, (48, 60)).transpose(2, 0, 1).astype(np.float32))
    assert (ours - theirs).abs().max() < 1.1


def test_16_bits_stay_16_bits_and_do_not_wrap_around():
    pixels = np.zeros((40, 40, 1), dtype=np.uint16)
    pixels[:, 20:] = 65535  # a step, at which bicubic overshoots
    smaller = resize(pixels, 24)
    assert smaller.dtype == np.uint16
    assert smaller[:, :10].max() < 3000
    assert smaller[:, 14:].min() > 62000


def test_crops_of_a_pair_are_the_same_place_and_turned_the_same_way():
    place = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40, 1)
    rng = np.random.default_rng(0)
    flipped = 0
    corners = set()
    for _ in range(200):
        one, two = random_crop([place, place + 7], 16, rng, flip=True)
        assert one.shape == (16, 16, 1)
        assert np.array_equal(one + 7, two)
        flipped += int(one[0, 0, 0] > one[0, 1, 0])
        corners.add(int(one.min()))
    assert 70 < flipped < 130
    assert max(corners) // 40 == 14
    assert max(corner % 40 for corner in corners) == 24
    assert min(corners) // 40 == min(corner % 40 for corner in corners) == 0


def test_without_flip_nothing_is_mirrored():
    place = np.arange(20, dtype=np.uint8).reshape(1, 20, 1).repeat(20, axis=0)
    rng = np.random.default_rng(0)
    crops = [random_crop([place], 8, rng, flip=False)[0] for _ in range(50)]
    assert all((np.diff(crop[0, :, 0].astype(int)) == 1).all() for crop in crops)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_are_rounded_to_the_nearest_of_their_type(kind):
    """A ramp of quarters made finer: on the average nothing is lost, at most half a level each."""
    pixels = np.arange(0, 80, 2, dtype=kind)[None, :, None].repeat(40, axis=0)
    exact = np.asarray(
        Image.fromarray(pixels[..., 0].astype(np.float32)).resize(
            (90, 90), Image.Resampling.BICUBIC
        )
    )
    ours = resize(pixels, 90)[..., 0].astype(float)
    inner = (slice(8, -8),) * 2
    assert np.abs(ours - exact)[inner].max() <= 0.5 + 1e-4
    assert abs((ours - exact)[inner].mean()) < 0.05
