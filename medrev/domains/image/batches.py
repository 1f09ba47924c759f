"""Batches of crops of images."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ImageData
from medrev.data.epochs import EpochBatches, Order, Triple
from medrev.domains.image.image_set import ImagePart, Picture
from medrev.domains.image.reading import Loader, from_pixels
from medrev.domains.image.transforms import random_crop
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.progress import progress


class ImageBatches(EpochBatches):
    """Iterate over batches of random crops, epoch after epoch.

    Every batch is a dict: ``x`` with shape (B, C_x, s, s), ``y`` with shape (B, C_y, s, s), both in
    -1 to 1, s being ``crop_size``; ``mask``, ones with shape (B, 1, s, s). Images are resized to
    ``load_size``, cut at random and mirrored; pairs in the same way.

    A damaged file stops the run, or (``on_damage: skip``) is named and replaced by the next good
    one, every time.

    Args:
        part: The training images.
        data: Sizes, channels, batch size, and what a damaged file does.
        seed: Of order, crops and mirroring.
        loader: Reads the images (default: one of its own).
        keys: Gives the hashes of the files of the part (default: `image_keys`). They are asked for
            when the state is, not before: with them another run is known to go on with this data.
        order: As of `EpochBatches`.

    Raises:
        InputError: Pairs are needed and there are none, or a file cannot be read.
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(
        self,
        part: ImagePart,
        data: ImageData,
        seed: int,
        *,
        loader: Loader | None = None,
        keys: Callable[[], Mapping[Path, str]] | None = None,
        **order: Unpack[Order],
    ) -> None:
        super().__init__(data.batch_size, seed, **order)
        if not self.unpaired and not part.paired:
            raise InputError(
                f"this method needs pairs, the data has none: {len(part.x)} images of x and "
                f"{len(part.y)} of y whose names do not match; use method.kind=unpaired, or the "
                "layout aligned or folders"
            )
        self.part, self.data = part, data
        self.loader = Loader(data) if loader is None else loader
        self._keys = keys or (lambda: image_keys(part.x + part.y))
        self._start("", len(part.x), len(part.y))

    def _identity(self) -> dict[str, Any]:
        if not self._content:
            self._content = _content(self.part, self._keys())
        return super()._identity()

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        data, (cx, cy) = self.data, self.data.channels
        if self.unpaired:
            x = self._crop(self._good([(self.part.x, cx)], first), rng)
            y = self._crop(self._good([(self.part.y, cy)], second), rng)
            images = x + y
        else:
            images = self._crop(self._good([(self.part.x, cx), (self.part.y, cy)], first), rng)
        x_image, y_image = (from_pixels(image) for image in images)
        return x_image, y_image, torch.ones(1, data.crop_size, data.crop_size)

    def _crop(
        self, images: list[NDArray[np.uint8]], rng: np.random.Generator
    ) -> list[NDArray[np.uint8]]:
        return random_crop(images, self.data.crop_size, rng, flip=self.data.flip)

    def _good(
        self, sides: list[tuple[tuple[Picture, ...], int]], index: int
    ) -> list[NDArray[np.uint8]]:
        """The pixels of images number ``index`` of some sides, or of the next undamaged ones."""
        count = len(sides[0][0])
        for step in range(count):
            chosen = [(pictures[(index + step) % count], channels) for pictures, channels in sides]
            if any(picture in self.loader.bad for picture, _ in chosen):
                continue
            images = []
            for picture, channels in chosen:
                try:
                    images.append(self.loader.pixels(picture, channels, self.data.load_size))
                except InputError as error:
                    self.loader.damaged(picture, error)
                    break
            else:
                return images
        raise InputError("every training image is damaged")


def image_keys(pictures: Iterable[Picture], *, show: bool = False) -> dict[Path, str]:
    """Hash of the content of every file, by its path.

    Raises:
        InputError: A file cannot be read.
    """
    paths = list(dict.fromkeys(picture.path for picture in pictures))
    keys = {}
    with progress("Hashing images", len(paths), enabled=show) as bar:
        for path in paths:
            keys[path] = content_hash(path)
            bar.advance(1)
    return keys


def _content(part: ImagePart, keys: Mapping[Path, str]) -> str:
    """Hash of the names, sides and contents of all images."""
    pictures = [("x", picture) for picture in part.x] + [("y", picture) for picture in part.y]
    lines = [f"{side} {p.name} {p.half} {keys[p.path]}" for side, p in pictures]
    return content_hash("\n".join(lines).encode())[:12]
