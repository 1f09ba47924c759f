"""Flicker of slice-wise volumes: 1 for the reference whatever its sharpness, above 1 for jumps."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medrev.errors import InputError
from medrev.metrics import slice_flicker


@pytest.fixture
def volume() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((16, 18, 20))
    return gaussian_filter(noise, 2)[None] * 20


def test_a_linear_change_and_blur_are_no_flicker(volume):
    for axis in range(3):
        assert slice_flicker(3 * volume - 5, volume, axis=axis) == pytest.approx(1)
    blurred = gaussian_filter(volume, (0, 1, 1, 1))
    assert slice_flicker(blurred, volume, axis=2) == pytest.approx(1, abs=0.15)


def test_offsets_of_slices_show_across_them_and_nowhere_else(volume):
    offsets = np.where(np.arange(20) % 2, 1.0, -1.0)
    flickering = volume + offsets
    steps = [np.abs(np.diff(volume[0], axis=a)) for a in range(3)]
    jumps = np.abs(np.diff(flickering[0], axis=2)).mean()
    expected = jumps / steps[2].mean()  # within the slices nothing has changed
    assert slice_flicker(flickering, volume, axis=2) == pytest.approx(expected)
    assert expected > 1.5
    assert slice_flicker(flickering, volume, axis=0) < 1


def test_what_lies_outside_of_the_mask_does_not_count(volume):
    mask = np.zeros(volume.shape)
    mask[:, 3:12, 4:15, 2:17] = 1
    strange = np.where(mask > 0, volume, np.nan)
    assert slice_flicker(strange, volume, mask, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("prediction", "reference", "message"),
    [
        ("flat", "volume", "does not change within its slices"),
        ("volume", "columns", "the reference does not change across slices"),
        ("short", "volume", "same shape"),
    ],
)
def test_where_it_is_undefined(volume, prediction, reference, message):
    volumes = {
        "volume": volume,
        "flat": np.zeros_like(volume),
        "columns": np.repeat(volume[..., :1], 20, axis=-1),
        "short": volume[:, 1:],
    }
    with pytest.raises(InputError, match=message):
        slice_flicker(volumes[prediction], volumes[reference], axis=2)


def test_changes_across_slices_count_in_units_of_those_within():
    """Slices of a ramp of 2 along i, 5 of them 3 apart: 3 / 2 is divided by the reference's."""
    i, j, k = np.meshgrid(range(4), range(4), range(5), indexing="ij")
    volume = 2.0 * i + 2.0 * j + 3.0 * k
    reference = 4.0 * i + 4.0 * j + 1.0 * k
    assert slice_flicker(volume[None], reference[None], axis=2) == pytest.approx(1.5 / 0.25)
    # Across i: 2 in units of the mean over 60 steps of 2 along j and 64 of 3 along k.
    within = (60 * 2 + 64 * 3) / 124, (60 * 4 + 64 * 1) / 124
    expected = (2 / within[0]) / (4 / within[1])
    assert slice_flicker(volume[None], reference[None], axis=0) == pytest.approx(expected)
