"""Image files (PNG, JPEG, TIFF): read as volumes of one slice, for translation in 2D."""

from pathlib import Path

import numpy as np
import torch

from medrev.errors import InputError

__all__ = ["PICTURES", "read_picture"]

#: Endings of image files.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: What other modes of Pillow are brought to.
_MODES = dict.fromkeys(("P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"), "RGB") | {
    "1": "L",
    "LA": "L",
}


def read_picture(path: Path, *, indexed: bool = False) -> tuple[torch.Tensor, float]:
    """Read an image.

    Args:
        path: PNG, JPEG, TIFF or BMP; grey or colour, 8 or 16 bits. Transparency is dropped,
            palettes become colours.
        indexed: Leave the numbers of a palette as they are: label maps.

    Returns:
        ``(C, I, J, 1)``, float32, C 1 or 3, i to the right and j upwards, as stored (not scaled);
        and the largest value that its type holds, 255 or 65535.

    Raises:
        InputError: It is missing, damaged, or has values of another kind.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            mode = "L" if indexed and image.mode == "P" else _MODES.get(image.mode, image.mode)
            keep = image.mode == mode or (indexed and image.mode == "P")
            array = np.asarray(image if keep else image.convert(mode))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as an image: {text}") from None
    if array.dtype == np.uint8:
        largest = 255.0
    elif array.dtype in (np.uint16, np.int32) and 0 <= array.min() <= array.max() <= 65535:
        largest = 65535.0
    else:
        raise InputError(f"{path}: images have 8 or 16 bits without sign, got {array.dtype}")
    pixels = array[..., None] if array.ndim == 2 else array
    values = np.ascontiguousarray(pixels.transpose(2, 1, 0)[:, :, ::-1], dtype=np.float32)
    return torch.from_numpy(values)[..., None], largest
