"""Image files in network range: -1 is black, 1 the largest value of the file's type."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.volumes import read_pixels

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
    return to_network(values_of(pixels), float(np.iinfo(pixels.dtype).max))


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
    largest = float(2**bits - 1)
    return pixels_of(from_network(image, largest), largest)


def values_of(pixels: NDArray[Any]) -> torch.Tensor:
    """``(H, W, C)`` as ``(C, H, W)`` of float32, the numbers as they are."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))


def pixels_of(values: torch.Tensor, largest: float) -> NDArray[Any]:
    """Undo :func:`values_of`, in the type whose largest number is ``largest``."""
    kind = np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16
    return values.numpy().transpose(1, 2, 0).astype(kind)


def to_network(values: torch.Tensor, largest: float) -> torch.Tensor:
    """Numbers of a file in network range: 0 becomes -1 and ``largest`` 1."""
    return values.float() / (largest / 2) - 1


def from_network(values: torch.Tensor, largest: float) -> torch.Tensor:
    """Undo :func:`to_network`: the nearest whole number from 0 to ``largest``, float32."""
    numbers = (values.detach().double().cpu() + 1) * (largest / 2)
    return numbers.clamp(0, largest).round().float()
