"""Image files in network range: -1 is black, 1 the largest value of the file's type."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ImageData, SingleImageData
from medrev.domains.image.image_set import Picture
from medrev.domains.image.transforms import centre, pad, resize
from medrev.errors import InputError
from medrev.volumes import read_pixels

#: Weights of red, green and blue in the luminance (ITU-R BT.601), as of Pillow's conversion.
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


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


logger = logging.getLogger(__name__)

#: Bytes of decoded images that are kept.
CACHE_BYTES = 1 << 30


class Loader:
    """Reads pictures of a data set, with the channels and in the size that are wanted.

    What was decoded is kept in the type of its file (a byte per channel of most), until ``limit``
    is reached; what comes later is decoded each time.

    Args:
        data: Channels, sizes and resampling.
        limit: Bytes to keep.
        arrays: What idx files hold, ``(N, H, W)``.

    Attributes:
        held: Bytes that are kept.
        bad: Pictures that turned out to be damaged.
    """

    def __init__(
        self,
        data: ImageData | SingleImageData,
        limit: int = CACHE_BYTES,
        arrays: Mapping[Path, NDArray[Any]] | None = None,
    ) -> None:
        self.data, self.limit, self.arrays = data, limit, arrays or {}
        self.held = 0
        self.bad: set[Picture] = set()
        self._kept: dict[tuple[Path, str | int | None, int, int | None], NDArray[Any]] = {}
        self._last: tuple[Path, NDArray[Any]] | None = None

    def pixels(self, picture: Picture, channels: int, edge: int | None) -> NDArray[Any]:
        """The pixels ``(H, W, C)`` of a picture, resized to ``edge`` unless that is None.

        They are cut to their centre before and padded after that, as ``data`` says.

        Raises:
            InputError: The file is damaged.
        """
        key = picture.path, picture.half, channels, edge
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        pixels = with_channels(picture.of_file(self._decoded(picture.path)), channels)
        pixels = centre(pixels, self.data.centre)
        if edge is not None:
            pixels = resize(pixels, edge, self.data.resampling)
        pixels = pad(pixels, self.data.pad)
        if self.held + pixels.nbytes <= self.limit:
            pixels = pixels.copy() if pixels.base is not None else pixels  # not the whole file
            self._kept[key] = pixels
            self.held += pixels.nbytes
        return pixels

    def whole_pixels(self, picture: Picture, channels: int) -> NDArray[Any]:
        """A picture as it is validated and tested: all of it, ``(H, W, C)``.

        It is resized to ``crop_size``, the size of training samples, as in pix2pix; or left as it
        is where ``load_size`` is null.
        """
        return self.pixels(picture, channels, self.data.whole_edge)

    def damaged(self, picture: Picture, error: InputError) -> None:
        """Answer a damaged file as ``data.on_damage`` says: stop, or say so once and go on.

        Raises:
            InputError: ``on_damage`` is stop.
        """
        if self.data.on_damage == "stop":
            raise InputError(
                f"{error}; replace the file, or set data.on_damage=skip to go on without it"
            ) from error
        if picture not in self.bad:
            logger.warning("left out: %s", error)
        self.bad.add(picture)

    def _decoded(self, path: Path) -> NDArray[Any]:
        """The pixels of a file; both halves of one file are read at once."""
        if path in self.arrays:
            return self.arrays[path]
        if self._last is None or self._last[0] != path:
            self._last = None
            self._last = path, read_pixels(path)[0]
        return self._last[1]
