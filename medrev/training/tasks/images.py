"""Translation of images: aligned pairs, or two sets without pairs."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from medrev.config.schema import ImageData, Pipeline
from medrev.domains.image import ImageBatches, ImagePart, Loader, Picture, find_images, image_keys
from medrev.evaluation import HELDOUT, HeldoutTable, Results, score_translated
from medrev.prediction import Model
from medrev.progress import progress
from medrev.training.image_samples import save_image_samples
from medrev.training.image_scores import translate_part
from medrev.training.tasks.task import CardFacts, Score, Task

__all__ = ["ImageTask"]

logger = logging.getLogger(__name__)

#: Images in a sample picture.
_SHOWN = 4
#: Scores of a validation, in the order of their columns.
_SCORES = ("nmae_forward", "nmae_inverse", "cycle_x", "cycle_y")
#: Digits of a file's hash.
_KEY = 12


class ImageTask(Task):
    """Images of two sides, A and B, one of which is x and the other y.

    Args:
        pipeline: The experiment; its data is of the kind images.
        show: Show progress.

    Attributes:
        images: What was found, by part.
    """

    def __init__(self, pipeline: Pipeline, *, show: bool) -> None:
        data = pipeline.data
        assert isinstance(data, ImageData)
        self.pipeline, self.data, self.show = pipeline, data, show
        self.images = find_images(data, show=show)
        if show:
            for note in self.images.notes:
                logger.info("%s", note)
        self.loader = Loader(data)
        self.scale = data.scale
        self.counts = {
            name: len(self.images.part(name)) for name in ("train", "validation", "test")
        }
        self._keys: dict[Path, str] = {}

    def batches(self, *, rank: int = 0, world: int = 1) -> ImageBatches:
        """Crops of the training images."""
        part = self.images.train
        return ImageBatches(
            part,
            self.data,
            self.pipeline.seed,
            unpaired=self.pipeline.method.kind == "unpaired",
            rank=rank,
            world=world,
            loader=self.loader,
            keys=lambda: self._hashes(part),
        )

    def validate(self, model: Model) -> Score:
        """L1 of both directions on pairs; without pairs, or trained without, the cycle errors.

        Without pairs nothing tells which translation is better: a model that leaves images as they
        are has no cycle error at all.
        """
        part = self.images.validation
        cycles = not part.paired or self.pipeline.method.kind == "unpaired"
        translated = translate_part(model, part, self.loader, cycles=cycles)
        scores = [
            score_translated(done, _written, baselines=False, columns=_SCORES)
            for done in translated
        ]
        values = HeldoutTable(Results.join(scores)).means()
        errors = [value for name, value in values.items() if name.startswith("nmae")]
        return Score(
            error=sum(errors) / len(errors) if errors else None,
            values=values,
            message=", ".join(f"{HELDOUT[n].title} {value:.4f}" for n, value in values.items()),
            sample=True,
        )

    def heldout(self, model: Model, *, show_progress: bool) -> HeldoutTable:
        """The model and, where it makes sense, the unchanged input."""
        part = self.images.test
        scores = []
        with progress("Held-out images", len(part), enabled=show_progress) as bar:
            for done in translate_part(model, part, self.loader, cycles=True):
                scores.append(score_translated(done, _written))
                bar.advance(1, text=done.names[0] or done.names[1])
        return HeldoutTable(Results.join(scores))

    def picture(self, path: Path, model: Model, title: str, sample: Any = None) -> None:
        """The first validation images, else the first training images."""
        part = self.images.train if sample is None else self.images.validation
        shown = translate_part(model, part, self.loader, cycles=True, first=_SHOWN)
        which = "training" if sample is None else "validation"
        save_image_samples(path, list(shown), f"{title}, {which} images")

    def header(self) -> dict[str, Any]:
        """Sides, channels and sizes of the training images."""
        pictures = self.images.train.x + self.images.train.y
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
        for name in self.counts:
            part = self.images.part(name)
            keys = self._hashes(part)
            if part.paired:
                described[name] = [_described(x.name, (x, y), keys) for x, y in part]
            else:
                sides = [("x", picture) for picture in part.x] + [("y", p) for p in part.y]
                described[name] = [_described(f"{s}: {p.name}", (p,), keys) for s, p in sides]
        return described

    def card(self) -> CardFacts:
        """Translation of images."""
        data = self.data
        x, y = ("A", "B") if data.source == "A" else ("B", "A")
        kinds = {1: "grey", 3: "in colour"}
        sides = ", ".join(
            f"{name} ({side}) {kinds[count]}"
            for name, side, count in zip("xy", (x, y), data.channels, strict=True)
        )
        resized = f"resized to {data.load_size}², " if data.load_size else ""
        way = f"; in reverse, {y} to {x}" if self.pipeline.method.trains_inverse else ""
        return CardFacts(
            task=f"translation of images, {x} to {y}{way}",
            subject="image",
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

    def _hashes(self, part: ImagePart) -> dict[Path, str]:
        """Hashes of the files of a part; each file is read once."""
        new = [p for p in part.x + part.y if p.path not in self._keys]
        self._keys |= image_keys(new, show=self.show)
        return self._keys


def _written(image: Tensor) -> Tensor:
    """A result as its file holds it: cut off at black and white."""
    return image.clamp(-1, 1)


def _described(name: str, pictures: tuple[Picture, ...], keys: dict[Path, str]) -> dict[str, Any]:
    found = dict.fromkeys(keys[picture.path][:_KEY] for picture in pictures)
    height, width = pictures[0].size
    return {"id": name, "key": " ".join(found), "shape": [height, width]}
