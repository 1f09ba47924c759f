"""Image files (PNG, JPEG, TIFF, BMP): the pixels as every viewer shows them, in all their bits.

What is in a file and what is read of it: an orientation (EXIF, TIFF) is applied; transparency is
dropped; palettes, CMYK, YCbCr and Lab become red, green and blue as Pillow converts them; zero is
black in TIFF files where it means white; a colour profile (ICC) is not applied. Files of several
pages are refused, previews are no pages.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError, OutputError
from medrev.files import atomic_path, check_file
from medrev.volumes.itk import load_pixels, save_pixels

#: What other modes of Pillow are brought to.
_COLOUR = ("P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_MODES = dict.fromkeys(_COLOUR, "RGB") | {"1": "L", "LA": "L", "La": "L"}
_ORIENTATION, _PHOTOMETRIC, _SUBFILE, _BITS = 0x0112, 262, 254, 258  # tags of EXIF and TIFF
#: What brings an image of each orientation upright.
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@dataclass(frozen=True)
class PictureHeader:
    """What an image file says of itself.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 grey, 3 colour; transparency is not counted.
        format: PNG, JPEG, TIFF, BMP.
        transparent: Whether it has transparency.
    """

    height: int
    width: int
    channels: int
    format: str = ""
    transparent: bool = False


def picture_header(path: Path) -> PictureHeader:
    """Size and kind of an image, without its pixels.

    Raises:
        InputError: It is missing, or its header is damaged.
    """
    with _opened(path) as image:
        width, height = image.size
        if _orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        return PictureHeader(
            height,
            width,
            channels=3 if _plain_mode(image) == "RGB" else 1,
            format=str(image.format),
            transparent=image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info,
        )


def read_pixels(path: Path, *, indexed: bool = False) -> tuple[NDArray[Any], float]:
    """Read an image.

    Args:
        path: PNG, JPEG, TIFF or BMP; grey or colour, 8 or 16 bits. Transparency is dropped (of
            16-bit grey with transparency 8 bits are read), palettes become colours.
        indexed: Leave the numbers of a palette as they are: label maps.

    Returns:
        ``(H, W, C)``, uint8 or uint16, C 1 or 3, rows from the top of the upright image; and the
        largest value that its type holds, 255 or 65535.

    Raises:
        InputError: It is missing, damaged, has several pages, or values of another kind.
    """
    with _opened(path) as image:
        tags = getattr(image, "tag_v2", {})
        turn = _TURNS.get(_orientation(image))
        if _deep_colour(image):
            array = _deep_pixels(path)
        else:
            mode = "P" if indexed and image.mode == "P" else _plain_mode(image)
            array = np.asarray(image if image.mode == mode else image.convert(mode))
            if array.dtype == np.uint16 and tags.get(_PHOTOMETRIC) == 0:
                array = 65535 - array
    if turn is not None:
        array = np.ascontiguousarray(turn(array))
    kind = array.dtype.newbyteorder("=")
    if kind == np.uint8:
        largest = 255.0
    elif kind in (np.uint16, np.int32) and 0 <= array.min() <= array.max() <= 65535:
        array, largest = array.astype(np.uint16), 65535.0
    else:
        raise InputError(
            f"{path}: images have 8 or 16 bits without sign, got {array.dtype}: save it as one"
        )
    return (array[..., None] if array.ndim == 2 else array), largest


def write_pixels(path: str | Path, pixels: NDArray[Any], *, overwrite: bool = False) -> Path:
    """Write an image ``(H, W, C)``, uint8 or uint16, as PNG, whole or not at all, without loss.

    C is 1 or 3, rows come from the top, the path ends in ``.png``.

    Raises:
        OutputError: The file exists, cannot be written or has another suffix.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path}: the name of an image must end in .png")
    with atomic_path(path, overwrite) as temporary:
        if pixels.dtype == np.uint16 and pixels.shape[-1] == 3:  # Pillow writes 8 bits only
            save_pixels(temporary, pixels)
        else:
            plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            Image.fromarray(np.ascontiguousarray(plain)).save(temporary, format="PNG")
    return path


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An image, its errors turned into one line."""
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    damage = (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        KeyError,
        TypeError,
        OverflowError,
    )
    try:
        # Of an open file: Pillow maps others into memory, and then turns grey TIFF files wrongly.
        with open(path, "rb") as stream, Image.open(stream) as image:
            _refuse_pages(path, image)
            yield image
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: cannot be read as an image: it is none of PNG, JPEG, TIFF or BMP, or damaged"
        ) from None
    except Image.DecompressionBombError as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: too large for an image: {text}") from None
    except damage as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as an image: {text}: copy it again") from None


def _refuse_pages(path: Path, image: Any) -> None:
    """One file, one image. The further pictures of a camera's JPEG and of a TIFF are previews."""
    frames = getattr(image, "n_frames", 1)
    if frames == 1 or image.format == "MPO":
        return
    pages = frames
    if image.format == "TIFF":
        pages = 0
        for number in range(min(frames, 100)):
            image.seek(number)
            pages += not image.tag_v2.get(_SUBFILE, 0) & 1
        image.seek(0)
    if pages > 1:
        raise InputError(f"{path}: has {pages} pages or frames: save each as an image of its own")


def _orientation(image: Any) -> int:
    """How the image lies, 1 upright, before its pixels are read; Pillow turns TIFF files itself."""
    from PIL import Image

    if image.format == "TIFF":
        return 1
    if image.format != "PNG":
        return int(image.getexif().get(_ORIENTATION, 1))
    exif = Image.Exif()  # image.getexif would read all pixels of a PNG
    exif.load(image.info.get("exif", b""))
    return int(exif.get(_ORIENTATION, 1))


def _deep_pixels(path: Path) -> NDArray[Any]:
    """Colours of 16 bits, by ITK."""
    array = load_pixels(path)
    if array.dtype != np.uint16 or array.ndim != 3 or array.shape[-1] < 3:
        raise InputError(f"{path}: colours of 16 bits are not read from this kind of TIFF: use PNG")
    return array[..., :3]


def _deep_colour(image: Any) -> bool:
    """Whether colours have more than 8 bits, of which Pillow would read 8."""
    bits = np.max(getattr(image, "tag_v2", {}).get(_BITS, 0))
    deep = bits > 8 or any(";16" in str(tile[3]) for tile in image.tile)
    return _plain_mode(image) == "RGB" and bool(deep)


def _plain_mode(image: Any) -> str:
    """The mode without transparency and palette; grey with transparency in 16 bits is grey."""
    if any(str(tile[3]).startswith("LA;16") for tile in image.tile):
        return "L"
    return _MODES.get(image.mode, str(image.mode))
