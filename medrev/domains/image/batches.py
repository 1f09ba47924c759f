"""Batches of crops of images."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ImageData
from medrev.data.epochs import EpochBatches, Order, Triple
from medrev.domains.image.image_set import ImagePart, Picture
from medrev.domains.image.reading import Loader, from_pixels, random_crop
from medrev.errors import InputError
from medrev.files import as_bytes, content_hash
from medrev.progress import progress


class CropBatches(EpochBatches):
    """Batches of crops of pictures, of which a damaged one stops the run or is passed over.

    Subclasses set :attr:`loader`, and say what the data are, once they are asked.
    """

    loader: Loader

    @abstractmethod
    def _lines(self) -> Iterable[str]:
        """Names and contents of all images."""

    def _identity(self) -> dict[str, Any]:
        if not self._content:
            self._content = content_hash(as_bytes("\n".join(self._lines())))[:12]
        return super()._identity()

    def _good(
        self, sides: Sequence[tuple[Sequence[Picture], int]], index: int, edge: int | None
    ) -> tuple[int, list[NDArray[np.uint8]]]:
        """Number and pixels of image number ``index`` of sides, or of the next that is undamaged.

        Sides are pictures and their channels; an edge of None leaves their size.
        """
        count = len(sides[0][0])
        for step in range(count):
            number = (index + step) % count
            chosen = [(pictures[number], channels) for pictures, channels in sides]
            if any(picture in self.loader.bad for picture, _ in chosen):
                continue
            images = []
            for picture, channels in chosen:
                try:
                    images.append(self.loader.pixels(picture, channels, edge))
                except InputError as error:
                    self.loader.damaged(picture, error)
                    break
            else:
                return number, images
        raise InputError("every training image is damaged")


class ImageBatches(CropBatches):
    """Iterate over batches of random crops, epoch after epoch, in the order of `EpochBatches`.

    ``keys`` gives the hashes of the files (default: `image_keys`) when the state is asked for, not
    before: with them another run is known to go on with this data.

    Every batch is a dict: ``x`` with shape (B, C_x, s, s), ``y`` with shape (B, C_y, s, s), both in
    -1 to 1, s being ``crop_size``; ``mask``, ones with shape (B, 1, s, s). Images are resized to
    ``load_size``, cut at random and mirrored; pairs in the same way.

    A damaged file stops the run, or (``on_damage: skip``) is named and replaced by the next good
    one, every time.

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

    def _lines(self) -> Iterable[str]:
        pictures = [("x", picture) for picture in self.part.x]
        pictures += [("y", picture) for picture in self.part.y]
        keys = self._keys()
        return (f"{side} {p.name} {p.half} {keys[p.path]}" for side, p in pictures)

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        data = self.data
        sides = list(zip((self.part.x, self.part.y), data.channels, strict=True))
        drawn = [(sides[:1], first), (sides[1:], second)] if self.unpaired else [(sides, first)]
        images: list[NDArray[np.uint8]] = []
        for some, index in drawn:
            _, found = self._good(some, index, data.load_size)
            images += random_crop(found, data.crop_size, rng, flip=data.flip)
        x_image, y_image = (from_pixels(image) for image in images)
        return x_image, y_image, torch.ones(1, data.crop_size, data.crop_size)


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
