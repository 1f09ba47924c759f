"""A 2D image of one side in, an image of the other side out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.config.schema import ImageData, Pipeline
from medrev.domains.entry import Entry
from medrev.domains.image import from_pixels, to_pixels, with_channels
from medrev.domains.image.transforms import resize
from medrev.domains.outputs import Result, is_own
from medrev.domains.source import Source
from medrev.errors import InputError
from medrev.prediction.images import translate_images
from medrev.prediction.kinds.kind import Kind, Member
from medrev.prediction.kinds.task import Task
from medrev.prediction.model import Model
from medrev.prediction.request import Direction, Request
from medrev.volumes import PICTURES, read_pixels, strip_suffix, write_pixels

__all__ = ["ImageKind", "ImageTask"]

logger = logging.getLogger(__name__)

#: How far from the size of the training's images, relatively, an image may be.
_TOLERANCE = 0.1


class ImageKind(Kind):
    """Images of two sides, A and B."""

    accepts = "image"

    def __init__(self, pipeline: Pipeline, direction: Direction = "forward") -> None:
        super().__init__(pipeline, direction)
        data = _images(pipeline)
        self.made = {"A": "B", "B": "A"}[data.source] if direction == "forward" else data.source

    def check(self, request: Request, models: tuple[Model, ...]) -> None:
        """Refuse what is of volumes only."""
        super().check(request, models)
        self.refuse_tensor_options(request)
        options = request.options
        for option, given in (
            ("--ensemble", options.ensemble > 1),
            ("several --model", request.members > 0),
            ("--cycle-residual", options.cycle_residual),
            ("--format nrrd", request.format == "nrrd"),
        ):
            if given:
                raise InputError(f"{option} is for volumes; {self.model} takes images")

    def single(self, path: Path) -> Path | None:
        """Files."""
        return None if path.is_dir() else path

    def is_member(self, path: Path) -> bool:
        """Images have no folders of their own."""
        return False

    def members(self, root: Path) -> tuple[list[Member], list[str]]:
        """The images in a folder, but those that medrev wrote."""
        images = [
            path
            for path in sorted(root.iterdir())
            if path.suffix.lower() in PICTURES and not path.name.startswith(".")
        ]
        if not images:
            inner = sorted(path.name for path in root.iterdir() if path.is_dir())
            hint = f"; it has the folders {', '.join(inner[:6])}" if inner else ""
            raise InputError(f"{root}: no image ({', '.join(PICTURES)}) in this folder{hint}")
        return [Member(path.name, path.stem, path) for path in images if not is_own(path)], []

    def base(self, path: Path) -> str:
        """The name of the file."""
        return strip_suffix(path)

    def place(self, member: Member) -> tuple[Path, str]:
        """All side by side."""
        return Path(), self.base(member.path)

    def task(self, entry: Entry) -> Task[Any]:
        """Look into an image."""
        for option, given in (
            ("--mask", entry.mask),
            ("--bval", entry.bval),
            ("--bvec", entry.bvec),
        ):
            if given is not None:
                raise InputError(f"{option} is for volumes; {self.model} takes images")
        return super().task(entry)

    def work_on(self, source: Source, folder: Path, base: str) -> "ImageTask":
        """Translation to the other side."""
        return ImageTask(source, folder, base, self.made)

    def scene_path(self, base: str, folder: Path) -> Path:
        """There are none."""
        raise InputError(f"--slicer is for volumes; {self.model} takes images")

    def describe(self, folder: Path, request: Request) -> None:
        """Images are no dataset of BIDS."""


def _images(pipeline: Pipeline) -> ImageData:
    assert isinstance(pipeline.data, ImageData)
    return pipeline.data


@dataclass(frozen=True, eq=False)
class _Read:
    """Pixels ``(H, W, C)`` as stored, with the hashes of their file."""

    pixels: NDArray[Any]
    hashes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Image:
    """What is written: pixels ``(H, W, C)``."""

    pixels: NDArray[Any]
    side: str

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of the sidecar."""
        return {"Description": f"Image of side {self.side} as the model makes it"}

    def write(self, path: Path) -> None:
        """Write a PNG."""
        write_pixels(path, self.pixels, overwrite=True)


@dataclass(frozen=True)
class ImageTask(Task[_Read]):
    """One image of the other side.

    Attributes:
        made: The side that is made: A or B.
    """

    made: str

    def paths(self, request: Request) -> dict[str, Path]:
        """The image; it is its own picture."""
        return {"image": self.folder / f"{self.base}_fake_{self.made}.png"}

    def read(
        self,
        request: Request,
        models: tuple[Model, ...],
        *,
        hashes: tuple[str, ...] | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> _Read:
        """Read the pixels."""
        logger.info("%s", self.source)
        pixels, _ = read_pixels(self.source.path)
        return _Read(pixels, self.hashes() if hashes is None else hashes)

    def translate(
        self,
        read: _Read,
        request: Request,
        models: tuple[Model, ...],
        *,
        show_progress: bool = False,
    ) -> Result:
        """Translate to the other side, in the size and with the bits of the input."""
        model, inverse, data = models[0], request.inverse, _images(models[0].pipeline)
        size, bits = read.pixels.shape[:2], 8 * read.pixels.itemsize
        channels = data.channels[inverse]
        pixels = with_channels(read.pixels, channels)
        edge = data.whole_edge if request.options.spacing == "train" else None
        if edge is not None:
            pixels = resize(pixels, edge, data.resampling)
        result = translate_images(model, from_pixels(pixels)[None], inverse=inverse)[0]
        if not bool(torch.isfinite(result).all()):
            raise InputError(
                f"{self.source.path}: the network's result has NaN or Inf; nothing written"
            )
        made = resize(to_pixels(result, bits=bits), (size[0], size[1]), data.resampling)
        warnings = [] if edge is not None else _size_doubts(data, (size[0], size[1]))
        if inverse and not model.inverse_is_trained:
            warnings.append("the model's inverse direction was not trained: its result is noise")
        said = self.say(warnings, self._notes(channels))
        return Result(
            paths=self.paths(request),
            outputs={"image": _Image(made, self.made)},
            sidecar={
                **self.about_input(read.hashes, request, models),
                "Side": self.made,
                "Size": [size[1], size[0]],
                "Channels": made.shape[-1],
                "Bits": bits,
                "ResizedTo": None if edge is None else [edge, edge],
                **said,
            },
        )

    def _notes(self, channels: int) -> list[str]:
        """What of the file did not reach the network."""
        notes = []
        if self.source.header.extra.get("transparent"):
            notes.append("the image has transparency, which is dropped")
        given = self.source.shape[0]
        if given != channels:
            words = "colour is made grey" if channels == 1 else "grey is given as colour"
            notes.append(f"the model takes {channels} channels, the image has {given}: {words}")
        return notes


def _size_doubts(data: ImageData, size: tuple[int, int]) -> list[str]:
    """Say so where an image is of another size than those that the network saw."""
    if data.load_size is None:
        return []
    low, high = data.crop_size * (1 - _TOLERANCE), data.load_size * (1 + _TOLERANCE)
    if low <= min(size) and max(size) <= high:
        return []
    return [
        f"the image has {size[1]}×{size[0]} pixels, those of the training were resized to "
        f"{data.load_size}×{data.load_size}: --spacing train resizes it, and its result back"
    ]
