"""Image files in network range: 8 and 16 bits, grey and colour; resizing as Pillow, crops."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
import torch.nn.functional as F
from PIL import Image

from medrev.domains.image import from_pixels, to_pixels, with_channels
from medrev.domains.image.reading import from_network, pixels_of, random_crop, resize
from medrev.errors import InputError
from medrev.volumes import picture_header, read_pixels

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)


def read_image(path: Path, channels: int) -> torch.Tensor:
    return from_pixels(with_channels(read_pixels(path)[0], channels))


def write_itk(pixels: np.ndarray, path: Path) -> None:
    """Pillow writes no colours of 16 bits."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(path))


def test_black_is_minus_one_and_the_largest_value_of_the_type_is_one(tmp_path):
    for kind, top in ((np.uint8, 255), (np.uint16, 65535)):
        Image.fromarray(np.array([[0, top]], dtype=kind)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png", 1).tolist() == [[[-1.0, 1.0]]]


def test_rows_come_from_the_top_and_channels_first(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 3)
    assert image.shape == (3, 6, 9)
    assert image.dtype == torch.float32
    assert image[1, 4, 7].item() == pytest.approx(COLOUR[4, 7, 1] / 127.5 - 1, abs=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_every_grey_level_survives(bits):
    kind = np.uint8 if bits == 8 else np.uint16
    levels = np.arange(2**bits, dtype=kind).reshape(1, -1, 1)
    largest = float(np.iinfo(kind).max)
    assert np.array_equal(pixels_of(from_network(from_pixels(levels), largest), largest), levels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK"])
def test_transparency_is_dropped_and_palettes_become_colours(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    path = next(tmp_path.iterdir())
    expected = image.convert("L" if mode in ("LA", "1") else "RGB")
    pixels, _ = read_pixels(path)
    assert np.array_equal(pixels.squeeze(), np.asarray(expected))
    header = picture_header(path)
    assert (header.height, header.width, header.channels) == pixels.shape


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_colours_of_16_bits_keep_all_their_bits(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_itk(DEEP, path)
    pixels, largest = read_pixels(path)
    assert largest == 65535
    assert np.array_equal(pixels, DEEP)
    assert picture_header(path).channels == 3


def test_grey_of_16_bits_with_transparency_is_read_in_8(tmp_path):
    write_itk(DEEP[..., :2].copy(), tmp_path / "a.png")
    pixels, _ = read_pixels(tmp_path / "a.png")
    assert np.array_equal(pixels, DEEP[..., :1] >> 8)
    assert picture_header(tmp_path / "a.png").channels == 1


def test_colour_becomes_grey_by_luminance_as_pillow_does_and_grey_three_equal_channels(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    grey = to_pixels(read_image(tmp_path / "a.png", 1))[..., 0]
    assert np.abs(grey.astype(int) - np.asarray(Image.fromarray(COLOUR).convert("L"))).max() <= 1
    Image.fromarray(COLOUR[..., 0]).save(tmp_path / "b.png")
    colour = read_image(tmp_path / "b.png", 3)
    assert torch.equal(colour[0], colour[2])
    assert np.array_equal(to_pixels(colour)[..., 1], COLOUR[..., 0])


def test_what_cannot_be_read_names_the_file(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty.png: the file is empty"):
        read_image(tmp_path / "empty.png", 3)
    with pytest.raises(InputError, match=r"none.png: no such file"):
        read_image(tmp_path / "none.png", 3)
    noise = np.frombuffer(hashlib.sha256(b"x").digest() * 300, np.uint8).reshape(80, -1)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert picture_header(tmp_path / "cut.png").width == 120
    with pytest.raises(InputError, match=r"cut.png: cannot be read as an image: .*truncated"):
        read_image(tmp_path / "cut.png", 3)


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
