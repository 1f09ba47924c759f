"""Image files that are written: pixels and bits as given, whole or not at all."""

import numpy as np
import pytest

from medrev.errors import OutputError
from medrev.volumes import picture_header, read_pixels, write_pixels


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_back(tmp_path, bits, channels):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (5, 7, channels)).astype(f"uint{bits}")
    path = write_pixels(tmp_path / "a.png", pixels)
    found, largest = read_pixels(path)
    assert np.array_equal(found, pixels)
    assert largest == 2**bits - 1
    header = picture_header(path)
    assert (header.height, header.width, header.channels) == (5, 7, channels)
    assert (header.format, header.transparent) == ("PNG", False)


def test_nothing_is_replaced_and_other_formats_are_refused(tmp_path):
    pixels = np.zeros((4, 4, 1), np.uint8)
    path = write_pixels(tmp_path / "a.png", pixels)
    with pytest.raises(OutputError, match="exists already"):
        write_pixels(path, pixels)
    with pytest.raises(OutputError, match=r"must end in \.png"):
        write_pixels(tmp_path / "a.jpg", pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
