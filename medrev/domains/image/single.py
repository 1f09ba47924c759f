"""Data sets of single images: made from their class, their lightness, or nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import SingleImageData
from medrev.data.cohort import some_names
from medrev.data.epochs import Triple
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts
from medrev.domains.domain import Domain, data_of
from medrev.domains.image.batches import CropBatches
from medrev.domains.image.colours import lab_of_pixels, pixels_of_lab
from medrev.domains.image.dataset import PictureDataset
from medrev.domains.image.find import find_single_images
from medrev.domains.image.image_set import Picture
from medrev.domains.image.reading import Loader, centre, random_crop, to_pixels, values_of
from medrev.domains.sample import Sample, Translated
from medrev.volumes import Panel, block_mean

#: Digits of a file's hash.
_KEY = 12


class SingleImageDataset(PictureDataset[Picture]):
    """Images each by itself: y is the image, or its colours."""

    picture = (
        "Images (of the validation part, else of training): what is given, what is made of it, and "
        "the image itself."
    )
    columns = "x, F(x) and y"
    validation = ("bits_per_dim", "inversion", "label_accuracy", "nmae_forward")
    scores_inverse = False
    shown = 8

    def look(self) -> None:
        """Find the images, and look at their headers."""
        self.data: SingleImageData = data_of(self.pipeline, SingleImageData)
        self.images = find_single_images(self.data, show=self.show)
        self.loader = Loader(self.data, arrays=self.images.arrays)
        self._numbers = {name: number for number, name in enumerate(self.images.classes)}

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """Generation."""
        return f"to make the {y.name} of images from {x.name}"

    def members(self, part: str) -> Sequence[Picture]:
        """The images of a part."""
        return self.images.parts[part].y

    def name(self, member: Picture) -> str:
        """That of the image, without folders."""
        return member.name.replace("/", "_")

    def files(self, member: Picture) -> Mapping[str, Path]:
        """The file of the image; of many in one that one."""
        return {"image": member.path}

    def sample(self, ready: Picture) -> Sample:
        """The whole image: resized to ``crop_size``, or its centre where nothing is resized."""
        with self.leaving_out(ready):
            pixels = self.loader.whole_pixels(ready, self.data.image_channels)
        x, y, scale = self.both(ready, centre(pixels, self.data.crop_size))
        return Sample(
            id=ready.name,
            x=x,
            y=y,
            scales=(1.0, scale),
            facts={} if ready.label is None else {"label": ready.label},
        )

    def both(self, image: Picture, pixels: NDArray[Any]) -> tuple[Tensor, Tensor, float]:
        """X and y of an image in physical values, and the scale of y."""
        if self.data.given == "lightness":
            lightness, colours = lab_of_pixels(pixels)
            return lightness, block_mean(colours[None], self.data.colour_factor)[0], 1.0
        number = self._numbers.get(str(image.label))
        x = torch.zeros(0) if number is None else torch.tensor([float(number)])
        return x, values_of(pixels), float(np.iinfo(pixels.dtype).max)

    def batches(self, *, rank: int = 0, world: int = 1) -> "SingleImageBatches":
        """Crops of the training images."""
        return SingleImageBatches(self, rank=rank, world=world)

    def scores_cycles(self, part: str) -> bool:
        """There is one way."""
        return False

    @property
    def variants(self) -> int:
        """8 colourings of a lightness."""
        return 8 if self.data.given == "lightness" else 0

    def error(self, values: Mapping[str, float]) -> float | None:
        """Bits per dimension, or the share of classes told wrongly, or L1."""
        if "label_accuracy" in values:
            return 1 - values["label_accuracy"]
        return values.get("bits_per_dim", super().error(values))

    def written(self, values: Tensor) -> Tensor:
        """A result in network range as its file holds it; colours have no bounds."""
        return values if self.data.given == "lightness" else values.clamp(-1, 1)

    def panels(self, done: Translated) -> list[list[Panel]]:
        """A row: what is given, what was made of it, and the image."""
        assert done.y is not None
        label = done.sample.facts.get("label")
        name = done.sample.id[-28:]
        row = []
        if self.data.given == "lightness" and done.x is not None:
            row.append(Panel(done.x[0].numpy()[::-1], low=-1.9, high=2.1, heading="x (lightness)"))
        for heading, values in (("F(x)", done.fake_y), ("y", done.y)):
            if values is not None:
                row.append(Panel(self.view(done.x, values)[::-1], low=-1, high=1, heading=heading))
        words = name if label is None else f"{label}: {name}"
        row[0] = replace(row[0], label=words)
        return [row]

    def view(self, x: Tensor | None, y: Tensor) -> NDArray[Any]:
        """An image to look at: bytes ``(H, W, 3)``, or grey ``(H, W)`` from -1 to 1."""
        if self.data.given == "lightness":
            assert x is not None
            pixels: NDArray[Any] = pixels_of_lab(self.x.decode(x, 1.0), self.y.decode(y, 1.0))
            return pixels
        return y[0].clamp(-1, 1).numpy() if y.shape[0] == 1 else to_pixels(y)

    def header(self) -> dict[str, Any]:
        """What is given, classes and sizes of the training images."""
        edges = [edge for image in self.members("train") for edge in image.size]
        return {
            "images": {
                "given": self.data.given,
                "classes": list(self.images.classes),
                "load_size": self.data.load_size,
                "crop_size": self.data.crop_size,
                "edges": [min(edges), max(edges)],
            }
        }

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Files of each part with their hashes; of idx files the file, not every image."""
        described: dict[str, list[dict[str, Any]]] = {}
        for part in PARTS:
            files = Counter(image.path for image in self.members(part))
            keys = self.hashes(self.members(part))
            described[part] = [
                {
                    "id": path.name,
                    "key": keys[path][:_KEY],
                    **({"images": count} if count > 1 else {}),
                }
                for path, count in files.items()
            ]
        return described

    def card(self) -> CardFacts:
        """Generation of images."""
        data = self.data
        resized = f"resized to {data.load_size}², " if data.load_size else ""
        cut = "their centre square, " if data.centre == "square" else ""
        if isinstance(data.centre, int):
            cut = f"their centre of {data.centre}², "
        classes = f" Classes: {some_names(self.images.classes)}." if self.images.classes else ""
        return CardFacts(
            task=f"generation, {self.y.name} of images from {self.x.name}",
            data=(
                f"{self.images.describe()}.{classes}",
                f"Samples: {cut}{resized}crops of {data.crop_size}²"
                f"{', mirrored at random' if data.flip else ''}.",
            ),
            limits=(
                "What is made is drawn from what was learnt: it may show what is not there.",
                "Images of other kinds than those of the training data are untested.",
            ),
        )


class SingleImageBatches(CropBatches):
    """Iterate over batches of random crops, epoch after epoch.

    ``x`` is one-hot classes (B, K), (B, 0) for nothing, or lightness (B, 1, s, s); ``y`` images
    (B, C, s, s) or colours (B, 2, s, s), all in network range; ``mask`` ones.

    A damaged file stops the run, or (``on_damage: skip``) is named and replaced by the next one.

    Raises:
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(self, dataset: SingleImageDataset, *, rank: int = 0, world: int = 1) -> None:
        data = dataset.data
        super().__init__(data.batch_size, dataset.pipeline.seed, rank=rank, world=world)
        self.dataset, self.loader = dataset, dataset.loader
        self.pictures = dataset.members("train")
        self._start("", len(self.pictures))

    def _lines(self) -> Iterable[str]:
        keys = self.dataset.hashes(self.pictures)
        return (f"{p.name} {p.label} {p.half or 0} {keys[p.path]}" for p in self.pictures)

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        data, dataset = self.dataset.data, self.dataset
        sides = [(self.pictures, data.image_channels)]
        number, images = self._good(sides, first, data.load_size)
        (crop,) = random_crop(images, data.crop_size, rng, flip=data.flip)
        x, y, scale = dataset.both(self.pictures[number], crop)
        target = dataset.y.encode(y, scale)
        return dataset.x.encode(x, 1.0), target, torch.ones(1, *target.shape[1:])
