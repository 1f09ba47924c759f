"""Image files in network range: -1 is black, 1 the largest value of the file's type."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.volumes import read_pixels

__all__ = ["from_pixels", "read_image", "to_pixels", "with_channels"]

#: Weights of red, green and blue in the luminance (ITU-R BT.601), as of Pillow's conversion.
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_image(path: str | Path, channels: int) -> torch.Tensor:
    """Read an image in network range.

    Args:
        path: PNG, JPEG, TIFF or BMP; grey or colour, 8 or 16 bits. Transparency is dropped.
        channels: 1 or 3; files of another kind are converted: colour to grey by luminance.

    Returns:
        ``(C, H, W)``, float32 in -1 to 1, rows from the top.

    Raises:
        InputError: It is missing, damaged, or has values of another kind.
    """
    pixels, _ = read_pixels(Path(path))
    return from_pixels(with_channels(pixels, channels))


def with_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Convert ``(H, W, C)`` between grey and colour, in the same type.

    Example:
        >>> with_channels(np.array([[[255, 0, 0]]], dtype=np.uint8), 1).item()
        76
    """
    given = pixels.shape[-1]
    if given == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    grey = pixels.astype(np.float32) @ _LUMINANCE
    return np.rint(grey).astype(pixels.dtype)[..., None]


def from_pixels(pixels: NDArray[Any]) -> torch.Tensor:
    """``(H, W, C)`` of uint8 or uint16 as ``(C, H, W)`` in -1 to 1.

    Example:
        >>> from_pixels(np.array([[[0], [255]]], dtype=np.uint8)).tolist()
        [[[-1.0, 1.0]]]
    """
    largest = np.float32(np.iinfo(pixels.dtype).max)
    values = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(values / (largest / 2) - 1)


def to_pixels(image: torch.Tensor, *, bits: int = 8) -> NDArray[Any]:
    """Undo :func:`from_pixels`: rounded to the nearest value, what lies outside is cut off.

    Args:
        image: ``(C, H, W)`` in -1 to 1.
        bits: 8 or 16.

    Returns:
        ``(H, W, C)``, uint8 or uint16.

    Example:
        >>> to_pixels(torch.tensor([[[-1.2, 0.0, 1.0]]]))[..., 0].tolist()
        [[0, 128, 255]]
    """
    largest = 2**bits - 1
    values = (image.detach().double().cpu().numpy() + 1) * (largest / 2)
    pixels: NDArray[Any] = np.rint(values.clip(0, largest)).astype(f"uint{bits}")
    return pixels.transpose(1, 2, 0)
