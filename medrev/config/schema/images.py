"""The ``data`` section of image translation: aligned pairs, or two unaligned sets of images."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.data import OneGrid, Sampling
from medrev.config.schema.section import BatchSize, PipelinePath, Probability

Size = Annotated[int, Field(ge=8, le=16384)]


class ImageData(OneGrid):
    """Photographs, maps, label images: 2D images of 8 or 16 bits, grey or in colour."""

    domains: ClassVar[tuple[str, str]] = ("image", "image")
    chosen_by: ClassVar[tuple[str, ...]] = ("root", "layout", "source", "validation")
    made_by: ClassVar[tuple[str, ...]] = (
        "channels_a",
        "channels_b",
        "load_size",
        "crop_size",
        "resampling",
    )
    may_be_labels: ClassVar[bool] = True
    scale: ClassVar[float] = 1.0
    #: Images are not cut before they are resized, nor padded.
    centre: ClassVar[None] = None
    pad: ClassVar[int] = 0

    kind: Literal["images"] = "images"
    root: PipelinePath
    """Folder of the data set."""
    layout: Literal["auto", "aligned", "folders", "unaligned"] = "auto"
    """aligned: one file holds A on the left and B on the right, in train, val, test. folders: A and
    B hold files of the same names in train, val, test. unaligned: trainA, trainB, testA, testB."""
    source: Literal["A", "B"] = "A"
    """Which side is x; the other one is y."""
    channels_a: Literal[1, 3] = 3
    """1: grey; 3: colour. Files are converted if need be: colour to grey by luminance."""
    channels_b: Literal[1, 3] = 3
    load_size: Size | None = 286
    """Edge to which images are resized before cropping; null: not resized."""
    crop_size: Size = 256
    """Edge of a training sample."""
    flip: bool = True
    """Mirror left and right at random."""
    resampling: Literal["bicubic", "nearest"] = "bicubic"
    """nearest keeps the colours of label images; then for both sides."""
    validation: Probability = 0.1
    """Share of the training images for validation where there is no folder val."""
    on_damage: Literal["stop", "skip"] = "stop"
    """What a damaged file in the middle of an epoch does; skip: named, and replaced by the next."""
    batch_size: BatchSize = 1

    @property
    def decisive(self) -> dict[str, Any]:
        """Sizes only where images are resized, and then that of the crops alone."""
        found = super().decisive | {"load_size": self.load_size is not None}
        if self.load_size is None:
            del found["crop_size"], found["resampling"]
        return found

    @property
    def sampling(self) -> Sampling:
        """Crops."""
        return "crops"

    @property
    def sides(self) -> tuple[str, str]:
        """What x and y are called: A and B."""
        return ("A", "B") if self.source == "A" else ("B", "A")

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of x and of y."""
        if self.source == "A":
            return self.channels_a, self.channels_b
        return self.channels_b, self.channels_a

    @property
    def sample_shape(self) -> tuple[int, int]:
        """Sizes of a training sample."""
        return self.crop_size, self.crop_size

    @property
    def whole_edge(self) -> int | None:
        """Edge to which whole images are resized to be tested; None: they stay as they are."""
        return None if self.load_size is None else self.crop_size

    @model_validator(mode="after")
    def _crops_fit(self) -> "ImageData":
        if self.load_size is not None and self.load_size < self.crop_size:
            raise ValueError(
                f"load_size must be at least crop_size ({self.crop_size}), got {self.load_size}"
            )
        return self
