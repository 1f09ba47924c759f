"""Decoding images once: what is resized stays in memory as long as there is room."""

import logging
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medrev.config.schema import ImageData, SingleImageData
from medrev.domains.image.image_set import Picture
from medrev.domains.image.reading import with_channels
from medrev.domains.image.transforms import centre, pad, resize
from medrev.errors import InputError
from medrev.volumes import read_pixels

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

    Attributes:
        held: Bytes that are kept.
        bad: Pictures that turned out to be damaged.
    """

    def __init__(self, data: ImageData | SingleImageData, limit: int = CACHE_BYTES) -> None:
        self.data, self.limit = data, limit
        self.held = 0
        self.bad: set[Picture] = set()
        self._kept: dict[tuple[Path, str | None, int, int | None], NDArray[Any]] = {}
        self._last: tuple[Path, NDArray[Any]] | None = None

    def pixels(self, picture: Picture, channels: int, edge: int | None) -> NDArray[Any]:
        """The pixels ``(H, W, C)`` of a picture, resized to ``edge`` unless that is None.

        Raises:
            InputError: The file is damaged.
        """
        key = picture.path, picture.half, channels, edge
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        pixels = with_channels(picture.of_file(self._decoded(picture.path)), channels)
        pixels = self.shaped(pixels, edge)
        if self.held + pixels.nbytes <= self.limit:
            pixels = pixels.copy() if pixels.base is not None else pixels  # not the whole file
            self._kept[key] = pixels
            self.held += pixels.nbytes
        return pixels

    def shaped(self, pixels: NDArray[Any], edge: int | None) -> NDArray[Any]:
        """Pixels ``(H, W, C)`` cut to their centre, resized and padded, as ``data`` says."""
        pixels = centre(pixels, self.data.centre)
        if edge is not None:
            pixels = resize(pixels, edge, self.data.resampling)
        return pad(pixels, self.data.pad)

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
        if self._last is None or self._last[0] != path:
            self._last = None
            self._last = path, read_pixels(path)[0]
        return self._last[1]
