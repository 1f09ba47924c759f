import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from medrev.report.page import data_uri, encode_picture

PICTURE = np.linspace(-1, 3, 35).reshape(5, 7)


def read(png: bytes) -> np.ndarray:
    """Pixels 0 to 1."""
    return imread(io.BytesIO(png), format="png")


def test_grey_levels_span_the_window():
    pixels = read(encode_picture(PICTURE, 0, 2))
    assert pixels.shape == (5, 7)
    assert np.allclose(pixels, np.clip(PICTURE / 2, 0, 1), atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_colours_are_those_of_the_map(name):
    pixels = read(encode_picture(PICTURE, 0, 2, colours=name))[..., :3]
    levels = (np.clip(PICTURE / 2, 0, 1) * 255 + 0.5).astype(int)
    assert np.array_equal(np.rint(pixels * 255), colormaps[name](levels, bytes=True)[..., :3])


def test_channels_are_kept():
    picture = np.random.default_rng(0).random((4, 3, 3))
    assert np.allclose(read(encode_picture(picture)), picture, atol=0.5 / 255 + 1e-6)


def test_what_is_not_finite_is_dark():
    picture = np.array([[np.nan, np.inf, -np.inf, 1.0]])
    assert read(encode_picture(picture)).ravel().tolist() == [0, 0, 0, 1]


def test_a_window_without_width_does_not_divide_by_zero():
    with np.errstate(all="raise"):
        assert read(encode_picture(np.ones((2, 2)), 1, 1)).tolist() == [[0, 0], [0, 0]]


def test_the_address_of_an_image():
    assert data_uri(b"\x89PNG").startswith("data:image/png;base64,iVBORw")


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_sizes(shape):
    assert read(encode_picture(np.zeros(shape))).shape == shape
