"""Image files: pixels and bits as given, upright, one page; written whole or not at all."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from medrev.errors import InputError, OutputError
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


GREY16 = np.random.default_rng(1).integers(0, 65536, (6, 8)).astype(np.uint16)
COLOUR = np.random.default_rng(2).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def write_tiff16(path, pixels, *, order=">", photometric=1, further=()):
    """Grey of 16 bits as ImageJ writes it: big-endian."""
    height, width = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    tags = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(data)), *further]
    mark = b"MM" if order == ">" else b"II"
    text = mark + struct.pack(f"{order}HI", 42, 8 + len(data)) + data
    text += struct.pack(f"{order}H", len(tags))
    for tag, kind, value in sorted(tags):
        text += struct.pack(f"{order}HHI", tag, kind, 1)
        text += (
            struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        )
    path.write_bytes(text + bytes(4))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_of_either_byte_order(tmp_path, order):
    pixels, largest = read_pixels(write_tiff16(tmp_path / "a.tif", GREY16, order=order))
    np.testing.assert_array_equal(pixels[..., 0], GREY16)
    assert (pixels.dtype, largest) == (np.uint16, 65535)


def test_white_is_zero(tmp_path):
    path = write_tiff16(tmp_path / "a.tif", GREY16, order="<", photometric=0)
    np.testing.assert_array_equal(read_pixels(path)[0][..., 0], 65535 - GREY16)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_images_are_upright(tmp_path, orientation, suffix):
    """As viewers show them, whatever the camera was held like."""
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOUR).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    pixels, _ = read_pixels(path)
    np.testing.assert_array_equal(pixels, upright)
    assert pixels.shape == ((30, 40, 3) if orientation < 5 else (40, 30, 3))
    header = picture_header(path)
    assert (header.height, header.width, header.channels) == pixels.shape


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiff_files_are_upright_too(tmp_path, orientation, order):
    """Pillow garbles those whose rows are columns, where it maps the file into memory."""
    turned = {
        1: GREY16,
        2: GREY16[:, ::-1],
        3: GREY16[::-1, ::-1],
        4: GREY16[::-1],
        5: GREY16.T,
        6: np.rot90(GREY16, -1),
        7: GREY16[::-1, ::-1].T,
        8: np.rot90(GREY16),
    }[orientation]
    path = write_tiff16(tmp_path / "a.tif", GREY16, order=order, further=[(274, 3, orientation)])
    np.testing.assert_array_equal(read_pixels(path)[0][..., 0], turned)
    header = picture_header(path)
    assert (header.height, header.width) == turned.shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colours_of_16_bits_are_upright_too(tmp_path, orientation):
    deep = COLOUR.astype(np.uint16) * 257
    path = write_pixels(tmp_path / "a.png", deep)
    content = path.read_bytes()
    exif = Image.Exif()
    exif[0x112] = orientation
    with Image.fromarray(COLOUR) as small:
        small.save(tmp_path / "small.png", exif=exif)
    found = (tmp_path / "small.png").read_bytes()
    start = found.index(b"eXIf") - 4
    length = struct.unpack(">I", found[start : start + 4])[0] + 12
    place = content.index(b"IDAT") - 4
    path.write_bytes(content[:place] + found[start : start + length] + content[place:])
    pixels, largest = read_pixels(path)
    assert largest == 65535
    np.testing.assert_array_equal(pixels, read_pixels(tmp_path / "small.png")[0] * np.uint16(257))


@pytest.mark.parametrize("planes", [1, 2])
def test_colours_of_16_bits_in_tiff_files_pixel_by_pixel_or_plane_by_plane(tmp_path, planes):
    pixels = np.random.default_rng(3).integers(0, 65536, (6, 8, 3)).astype("<u2")
    stored = pixels if planes == 1 else pixels.transpose(2, 0, 1)
    size, parts = stored.nbytes, 1 if planes == 1 else 3
    bits, places, counts = 8 + size, 14 + size, 26 + size
    tags = [(256, 3, 1, 8), (257, 3, 1, 6), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, parts, places if parts > 1 else 8), (277, 3, 1, 3), (278, 3, 1, 6)]
    tags += [(279, 4, parts, counts if parts > 1 else size), (284, 3, 1, planes)]
    content = struct.pack("<2sHI", b"II", 42, 38 + size) + stored.tobytes()
    content += struct.pack("<3H3I3I", 16, 16, 16, *(8 + 96 * n for n in range(3)), 96, 96, 96)
    content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    (tmp_path / "a.tif").write_bytes(content + bytes(4))
    if planes == 2:  # Pillow reads 8 bits of them, ITK none
        with pytest.raises(InputError, match="16 bits are not read from this kind of TIFF"):
            read_pixels(tmp_path / "a.tif")
        return
    found, largest = read_pixels(tmp_path / "a.tif")
    assert np.array_equal(found, pixels)
    assert largest == 65535


def test_several_pages_are_refused_but_previews_are_none(tmp_path):
    pages = [Image.fromarray(COLOUR[..., n]) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "b.png", save_all=True, append_images=pages[1:])
    for name in ("a.tif", "b.png"):
        for read in (read_pixels, picture_header):
            with pytest.raises(InputError, match="has 3 pages or frames") as caught:
                read(tmp_path / name)
            assert "\n" not in str(caught.value)
    small = pages[0].resize((20, 15))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "c.tif", save_all=True, append_images=[small])
    assert read_pixels(tmp_path / "c.tif")[0].shape == (30, 40, 1)


def test_a_colour_profile_is_not_applied(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOUR).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png")[0], COLOUR)


def test_numbers_that_are_no_grey_levels_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="8 or 16 bits without sign"):
        read_pixels(tmp_path / "a.tif")
