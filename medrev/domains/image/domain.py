"""Images as one side of a translation, pixels in and pixels out; and what they are made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ImageData, Pipeline, SingleImageData
from medrev.domains.domain import OF_FINER, OF_TENSORS, Domain, Side, data_of
from medrev.domains.image.reading import (
    from_network,
    pixels_of,
    resize,
    to_network,
    values_of,
    with_channels,
)
from medrev.domains.outputs import Output, is_own
from medrev.domains.results import ResultFiles
from medrev.domains.source import Entry, Source
from medrev.domains.values import Prediction, Scan
from medrev.errors import InputError
from medrev.metrics import Settings
from medrev.volumes import PICTURES, read_pixels, strip_suffix, write_pixels

#: How far from the size of the training's images, relatively, an image may be.
_TOLERANCE = 0.1
#: Options that models of volumes alone know.
_OF_VOLUMES = dict.fromkeys(
    (
        "--ensemble",
        "several --model",
        "--cycle-residual",
        "--format nrrd",
        "--slicer",
        "--mask",
        "--spacing auto",
        "--max-memory",
        "--bval",
        "--bvec",
    ),
    " is for volumes; {model} takes images",
)


class PixelFile:
    """An image that is to be written, ``(H, W, C)`` of uint8 or uint16."""

    def __init__(self, pixels: NDArray[Any], description: str) -> None:
        self.pixels, self.description = pixels, description

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of the sidecar."""
        return {"Description": self.description}

    def write(self, path: Path) -> None:
        """Write a PNG."""
        write_pixels(path, self.pixels, overwrite=True)


class ImageDomain(Domain):
    """Images: of a side, A or B, where x is ``data.source``; or each by itself, made as y.

    Physical values are what files store, 0 to 255 or 65535; they are whole numbers.

    Raises:
        ConfigError: The experiment is on other data.
    """

    accepts = "image"
    unit = ""
    always = ("image",)
    endings = (".png",)
    illustrated = False
    refuses: ClassVar = {**OF_TENSORS, **OF_FINER, **_OF_VOLUMES}

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        super().__init__(pipeline, side)
        self.data: ImageData | SingleImageData = data_of(pipeline, ImageData, SingleImageData)

    @property
    def name(self) -> str:
        """A or B; of single images what they are."""
        return self.data.sides[self.side == "y"]

    def single(self, path: Path) -> Path | None:
        """Files."""
        return None if path.is_dir() else path

    def members(self, root: Path) -> tuple[list[Entry], list[str]]:
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
        return [Entry(p.name, p, person=p.stem) for p in images if not is_own(p)], []

    def read(self, source: Source, **of_tensors: Any) -> Scan:
        """Read the pixels, and make them grey or coloured as the model takes them."""
        pixels, _ = read_pixels(source.path)
        given, wanted = pixels.shape[-1], self.channels
        notes = []
        if source.header.extra.get("transparent"):
            notes.append("the image has transparency, which is dropped")
        if given != wanted:
            words = "colour is made grey" if wanted == 1 else "grey is given as colour"
            notes.append(f"the model takes {wanted} channels, the image has {given}: {words}")
        return Scan(
            values=values_of(with_channels(pixels, wanted)),
            largest=int(np.iinfo(pixels.dtype).max),
            notes=tuple(notes),
        )

    def domain_warnings(
        self, scan: Scan, header: Mapping[str, Any], scale: float
    ) -> tuple[list[str], list[str]]:
        """The size beside that of the training's images."""
        data, (height, width) = self.data, scan.values.shape[1:]
        if data.load_size is None:
            return [], []
        low, high = data.crop_size * (1 - _TOLERANCE), data.load_size * (1 + _TOLERANCE)
        if low <= min(height, width) and max(height, width) <= high:
            return [], []
        return [
            f"the image has {width}×{height} pixels, those of the training were resized to "
            f"{data.load_size}×{data.load_size}: --spacing train resizes it, and its result back"
        ], []

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """The largest value that the file's type holds."""
        return float(scan.largest or 255)

    def result_scale(
        self, scan: Scan, header: Mapping[str, Any], *, model_scale: float, input_scale: float
    ) -> tuple[float, tuple[str, ...]]:
        """Results have as many bits as the input."""
        return float(scan.largest or 255), ()

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """0 becomes -1 and the scale 1."""
        return to_network(values, scale)

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """Undo :meth:`encode`: the nearest whole number from 0 to the scale."""
        return from_network(values, scale)

    def scored(self, scale: float) -> Settings:
        """In grey levels of the file."""
        return Settings(tensors=False, value_range=scale, unit="grey levels")

    def measured_exactly(self, values: Tensor, scale: float) -> Tensor:
        """0 is black, and the scale white."""
        return (values + 1) * (scale / 2)

    def resized(self, values: Tensor, size: tuple[int, ...], scale: float) -> Tensor:
        """Pixels ``(C, I, J)``, whole to the scale, in another size, resampled as in training."""
        return values_of(resize(pixels_of(values, scale), (size[0], size[1]), self.data.resampling))

    def training_size(self) -> tuple[int, int] | None:
        """Rows and columns to which whole images were resized; None where they were not."""
        edge = self.data.whole_edge
        return None if edge is None else (edge, edge)

    def base(self, path: Path) -> str:
        """The name of the file."""
        return strip_suffix(path)

    def place(self, entry: Entry) -> tuple[Path, str]:
        """All side by side."""
        return Path(), self.base(entry.path)

    def file_name(self, base: str, name: str, ending: str) -> str:
        """A PNG of this side; of several draws with their number."""
        return f"{base}_fake_{self.name}{name.removeprefix('image')}.png"

    def results(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles
    ) -> dict[str, Output]:
        """The image, with the bits of the input."""
        pixels = pixels_of(prediction.values, prediction.scale)
        return {"image": PixelFile(pixels, f"Image of side {self.name} as the model makes it")}

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Side and size."""
        channels, height, width = prediction.values.shape
        resized = prediction.resampled
        return {
            "Side": self.name,
            "Size": [width, height],
            "Channels": channels,
            "Bits": round(np.log2(prediction.scale + 1)),
            "ResizedTo": None if resized is None else [int(n) for n in resized],
        }


class LabelDomain(Domain):
    """Classes of images; the network is told them as one-hot vectors. No classes: nothing.

    Physical values are the number of the class, ``(1,)``, or ``(0,)`` where there are none.

    Raises:
        ConfigError: The experiment is on other data.
    """

    accepts = "image"

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        super().__init__(pipeline, side)
        self.data: SingleImageData = data_of(pipeline, SingleImageData)

    @property
    def name(self) -> str:
        """Label or nothing."""
        return self.data.given

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """One-hot: ``(1,)`` to ``(classes,)``."""
        if not self.channels:
            return values.float()
        return F.one_hot(values.long().squeeze(0), self.channels).float()

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """The class with the largest number: ``(classes,)`` to ``(1,)``."""
        return values.argmax(dim=0, keepdim=True).float() if self.channels else values

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """Classes have no scale."""
        return 1.0

    def scored(self, scale: float) -> Settings:
        """Classes are counted, not measured."""
        return Settings(tensors=False, value_range=1.0)

    def _refuse(self, *given: Any, **named: Any) -> NoReturn:
        """Stop: no file holds a class."""
        raise InputError(
            f"{self.pipeline.name} makes images from {self.name}, not from files: use medrev-sample"
        )

    check = single = members = read = base = file_name = results = sidecar = _refuse
