"""Data sets of images: aligned pairs, or two sets without pairs."""

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from medrev.config.schema import ImageData
from medrev.data.cohort import common, some_names
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts, Dataset, LeftOutError, M, Processes
from medrev.domains.domain import Domain, data_of
from medrev.domains.image.batches import ImageBatches, image_keys
from medrev.domains.image.find import find_images
from medrev.domains.image.image_set import ImagePart, ImageSet, Picture
from medrev.domains.image.reading import Loader, to_pixels, values_of
from medrev.domains.sample import Sample, Translated, two_ways
from medrev.errors import InputError, counted
from medrev.volumes import Panel

logger = logging.getLogger(__name__)

#: Digits of a file's hash.
_KEY = 12
#: x and y of a pair; of images without pairs one of them.
Sides = tuple[Picture | None, Picture | None]


class PictureDataset(Dataset[M, M]):
    """Images, which are read when they are needed.

    Attributes:
        images: What was found, by part.
        loader: Reads them.
    """

    noun = "image"
    images: ImageSet
    loader: Loader

    @functools.cached_property
    def _keys(self) -> dict[Path, str]:
        """Hashes of files that were asked for."""
        return {}

    def found(self) -> Iterator[str]:
        """Layout, pairs or counts of each part, classes, sizes, and what was decided."""
        images = self.images
        yield images.describe()
        for name in PARTS:
            part = images.parts[name]
            pictures = some_names([p.name for p in part.x or part.y])
            yield f"{name + ':':<12}{self._counted(part)} ({pictures})"
        if images.classes:
            yield f"classes:    {some_names(images.classes)}"
        sizes = Counter(
            f"{picture.size[1]}x{picture.size[0]} pixels"
            for part in images.parts.values()
            for picture in part.x + part.y
        )
        yield f"sizes:      {common(sizes)}"
        for note in images.notes:
            yield f"note:       {note}"

    def _counted(self, part: ImagePart) -> str:
        """How many images a part has, in words."""
        return str(len(part))

    def prepare(
        self, members: Sequence[M], world: Processes | None = None, *, show: bool = False
    ) -> list[M]:
        """Nothing."""
        return list(members)

    def hashes(self, pictures: Iterable[Picture]) -> dict[Path, str]:
        """Hashes of files, those of others that were asked for among them; each is read once."""
        new = [picture for picture in pictures if picture.path not in self._keys]
        self._keys |= image_keys(new, show=self.show)
        return self._keys

    @contextmanager
    def leaving_out(self, picture: Picture) -> Iterator[None]:
        """Answer a damaged picture as ``data.on_damage`` says."""
        try:
            yield
        except InputError as error:
            self.loader.damaged(picture, error)
            raise LeftOutError(str(error)) from None


class ImageDataset(PictureDataset[Sides]):
    """Images of two sides, A and B, one of which is x and the other y.

    Images without pairs are samples of one side each.
    """

    picture = (
        "Validation images (training images where there are none): x, its translation F(x), y, "
        "its translation G(y), and the way there and back."
    )
    shown = 4

    def look(self) -> None:
        """Find the images, and look at their headers."""
        self.data: ImageData = data_of(self.pipeline, ImageData)
        self.images = find_images(self.data, show=self.show)
        if self.show:
            for note in self.images.notes:
                logger.info("%s", note)
        self.loader = Loader(self.data)

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """Translation of images."""
        return f"to translate images, {x.name} to {y.name} and back"

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of pairs, or of images of the larger side, by part."""
        return {part: len(self.images.parts[part]) for part in PARTS}

    def members(self, part: str) -> Sequence[Sides]:
        """Pairs; without them images of x and of y in turns."""
        images = self.images.parts[part]
        if images.paired:
            return list(images)
        sides = zip_longest(((p, None) for p in images.x), ((None, p) for p in images.y))
        return [one for one in chain.from_iterable(sides) if one is not None]

    def name(self, member: Sides) -> str:
        """That of x, or of the only side; without folders."""
        return next(p.name for p in member if p is not None).replace("/", "_")

    def complete(self, member: Sides) -> bool:
        """Whether it is a pair."""
        return None not in member

    def files(self, member: Sides) -> Mapping[str, Path]:
        """The images by side; a file that holds both is the pair."""
        x, y = member
        if x is not None and y is not None and x.path == y.path:
            return {"pair": x.path}
        return {side: p.path for side, p in zip("xy", member, strict=True) if p is not None}

    def _counted(self, part: ImagePart) -> str:
        """Pairs, or images of both sides."""
        if part.paired:
            return counted(len(part), "pair")
        return f"{counted(len(part.x), 'image')} of x, {len(part.y)} of y, no pairs"

    def sample(self, ready: Sides) -> Sample:
        """Whole images, resized as they are tested."""
        x, y = (self._pixels(p, n) for p, n in zip(ready, self.data.channels, strict=True))
        names = [f"{side}: {p.name}" for side, p in zip("xy", ready, strict=True) if p is not None]
        paired = ready[0] is not None and ready[1] is not None
        scales = [255.0 if v is None else float(np.iinfo(v.dtype).max) for v in (x, y)]
        return Sample(
            id=names[0].removeprefix("x: ") if paired else names[0],
            x=None if x is None else values_of(x),
            y=None if y is None else values_of(y),
            scales=(scales[0], scales[1]),
        )

    def batches(self, *, rank: int = 0, world: int = 1) -> ImageBatches:
        """Crops of the training images."""
        part = self.images.parts["train"]
        return ImageBatches(
            part,
            self.data,
            self.pipeline.seed,
            **self.order(rank, world),
            loader=self.loader,
            keys=lambda: self.hashes(part.x + part.y),
        )

    def scores_cycles(self, part: str) -> bool:
        """Of pairs that are trained as pairs only in the end."""
        paired = self.images.parts[part].paired and not self.unpaired
        return part == "test" or not paired

    def panels(self, done: Translated) -> list[list[Panel]]:
        """A row for each direction."""
        name = done.sample.id.removeprefix("x: ").removeprefix("y: ")
        return two_ways(done, (self.x.name, self.y.name), _view, label=name[-28:])

    def header(self) -> dict[str, Any]:
        """Sides, channels and sizes of the training images."""
        pictures = self.images.parts["train"].x + self.images.parts["train"].y
        edges = [edge for picture in pictures for edge in picture.size]
        return {
            "images": {
                "x": self.data.source,
                "channels": list(self.data.channels),
                "load_size": self.data.load_size,
                "crop_size": self.data.crop_size,
                "edges": [min(edges), max(edges)],
            }
        }

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The images of each part: pairs in one line, else each image in its own."""
        described = {}
        for name in PARTS:
            part = self.images.parts[name]
            keys = self.hashes(part.x + part.y)
            if part.paired:
                described[name] = [_described(x.name, (x, y), keys) for x, y in part]
            else:
                sides = [("x", picture) for picture in part.x] + [("y", p) for p in part.y]
                described[name] = [_described(f"{s}: {p.name}", (p,), keys) for s, p in sides]
        return described

    def card(self) -> CardFacts:
        """Translation of images."""
        data = self.data
        x, y = self.x.name, self.y.name
        kinds = {1: "grey", 3: "in colour"}
        sides = ", ".join(
            f"{name} ({side}) {kinds[count]}"
            for name, side, count in zip("xy", (x, y), data.channels, strict=True)
        )
        resized = f"resized to {data.load_size}², " if data.load_size else ""
        way = f"; in reverse, {y} to {x}" if self.pipeline.method.trains_inverse else ""
        return CardFacts(
            task=f"translation of images, {x} to {y}{way}",
            data=(
                f"{self.images.describe()}: {sides}.",
                *(f"{note[0].upper()}{note[1:]}." for note in self.images.notes),
                f"Training samples: {resized}crops of {data.crop_size}²"
                f"{', mirrored at random' if data.flip else ''}; images are tested whole"
                f"{f', resized to {data.crop_size}²' if data.load_size else ''}.",
                "Numbers inside: -1 is black, 1 the largest value of the file's type. L1 and cycle "
                "errors are shares of that range.",
            ),
            limits=(
                "The output is an estimate: what the input does not show is made up after the "
                "training images.",
                "Images of other scenes, cameras or sizes of detail than those of the training "
                "data are untested.",
            ),
        )

    def _pixels(self, picture: Picture | None, channels: int) -> Any:
        if picture is None:
            return None
        with self.leaving_out(picture):
            return self.loader.whole_pixels(picture, channels)


def _view(image: Tensor) -> Any:
    """Bytes ``(H, W, 3)``, or grey from -1 to 1, the lowest row first."""
    if image.shape[0] == 1:
        return image[0].clamp(-1, 1).numpy()[::-1]
    return to_pixels(image)[::-1]


def _described(name: str, pictures: tuple[Picture, ...], keys: dict[Path, str]) -> dict[str, Any]:
    found = dict.fromkeys(keys[picture.path][:_KEY] for picture in pictures)
    height, width = pictures[0].size
    return {"id": name, "key": " ".join(found), "shape": [height, width]}
