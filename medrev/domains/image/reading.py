"""Image files in network range (-1 black, 1 the largest value of the type), resized and cut."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ImageData, SingleImageData
from medrev.domains.image.image_set import Picture
from medrev.errors import InputError
from medrev.volumes import read_pixels

logger = logging.getLogger(__name__)


def centre(pixels: NDArray[Any], edge: int | Literal["square"] | None) -> NDArray[Any]:
    """Cut a square out of the centre of ``(H, W, C)``.

    It is the largest, or one of an edge where there is room.
    """
    if edge is None:
        return pixels
    height, width = pixels.shape[:2]
    rows = columns = min(height, width)
    if edge != "square":
        rows, columns = min(edge, height), min(edge, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def pad(pixels: NDArray[Any], width: int) -> NDArray[Any]:
    """Put black pixels around ``(H, W, C)``."""
    return np.pad(pixels, ((width, width), (width, width), (0, 0))) if width else pixels


def resize(
    pixels: NDArray[Any],
    size: int | tuple[int, int],
    resampling: Literal["bicubic", "nearest"] = "bicubic",
) -> NDArray[Any]:
    """Resize, to a square whatever the aspect ratio, as pix2pix does, or to any size.

    Args:
        pixels: ``(H, W, C)``, uint8 or uint16.
        size: Rows and columns of the result; of a square one number.
        resampling: bicubic (Keys' kernel with a = −0.5, as wide as it must be where the image
            shrinks, so that nothing aliases) or nearest, which makes no new values.

    Returns:
        ``(rows, columns, C)`` of the same type, rounded and cut off at its ends.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if pixels.shape[:2] == wanted:
        return pixels
    if resampling == "nearest":
        rows, columns = (
            (2 * np.arange(new) + 1) * old // (2 * new)
            for new, old in zip(wanted, pixels.shape[:2], strict=True)
        )
        chosen: NDArray[Any] = pixels[rows[:, None], columns]
        return chosen
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return np.asarray(_bicubic(pixels, wanted))
    channels = np.moveaxis(pixels, -1, 0).astype(np.float32)
    values = np.stack([np.asarray(_bicubic(channel, wanted)) for channel in channels], axis=-1)
    rounded: NDArray[Any] = np.rint(values).clip(0, np.iinfo(pixels.dtype).max)
    return rounded.astype(pixels.dtype)


def _bicubic(pixels: NDArray[Any], size: tuple[int, int]) -> Any:
    """An image of Pillow, resized; ``(H, W, 3)`` of uint8 or ``(H, W)`` of float32."""
    from PIL import Image

    return Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def random_crop(
    images: list[NDArray[Any]], edge: int, rng: np.random.Generator, *, flip: bool
) -> list[NDArray[Any]]:
    """Cut the same square out of images ``(H, W, C)`` of one size, as views.

    With ``flip`` all are mirrored, left and right, with probability ½.
    """
    height, width = images[0].shape[:2]
    top = int(rng.integers(height - edge + 1))
    left = int(rng.integers(width - edge + 1))
    step = -1 if flip and rng.random() < 0.5 else 1
    return [image[top : top + edge, left : left + edge][:, ::step] for image in images]


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


def to_pixels(image: torch.Tensor) -> NDArray[Any]:
    """An image ``(C, H, W)`` in network range as bytes ``(H, W, C)``; what lies outside is cut off.

    Example:
        >>> to_pixels(torch.tensor([[[-1.2, 0.0, 1.0]]]))[..., 0].tolist()
        [[0, 128, 255]]
    """
    return pixels_of(from_network(image, 255.0), 255.0)


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
