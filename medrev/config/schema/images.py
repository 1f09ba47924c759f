"""The ``data`` sections of images: pairs, two unaligned sets, or single ones with x of a kind."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.data import OneGrid, Sampling, Split
from medrev.config.schema.section import BatchSize, Count, PipelinePath, Probability

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


class SingleImageData(OneGrid):
    """Images each by itself: y is the image or its colours; x its class, its lightness, nothing."""

    chosen_by: ClassVar[tuple[str, ...]] = ("root", "layout", "split")
    made_by: ClassVar[tuple[str, ...]] = (
        "given",
        "image_channels",
        "colour_factor",
        "centre",
        "pad",
        "load_size",
        "crop_size",
    )
    resampling: ClassVar[Literal["bicubic"]] = "bicubic"
    scale: ClassVar[float] = 1.0

    kind: Literal["single_images"] = "single_images"
    root: PipelinePath
    """Folder of the data set."""
    layout: Literal["auto", "idx", "classes", "table", "alone"] = "auto"
    """idx: the four files of MNIST (train-images-idx3-ubyte, …). classes: a folder for each class,
    in train, val and test or without them. table: images.csv with the columns file, label and,
    where there are parts, split. alone: images without labels, in train, val, test or without."""
    given: Literal["label", "lightness", "nothing"] = "nothing"
    """What x is. label: the class of the image. lightness: L of CIE Lab, and y its colours a and b.
    nothing: y is made from nothing."""
    classes: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Number of classes, where x is the label; else 0."""
    image_channels: Literal[1, 3] = 3
    """1: grey; 3: colour; of lightness 3. Files are converted if need be."""
    colour_factor: Count = 1
    """Pixels of the lightness per pixel of the colours, along each axis."""
    centre: Count | Literal["square"] | None = None
    """Square in the centre to which images are cut first: its edge (faces of CelebA: 140), or the
    largest one; null: not cut."""
    pad: Annotated[int, Field(ge=0, le=1024)] = 0
    """Black pixels put around an image (digits of 28² become 32² by 2)."""
    load_size: Size | None = None
    """Edge to which images are resized before cropping; null: not resized."""
    crop_size: Size = 64
    """Edge of a sample; of lightness that of the lightness."""
    flip: bool = False
    """Mirror left and right at random."""
    split: Split = Split(validation=0.1, test=0.1)
    """How images are divided where the data set does not say so itself."""
    on_damage: Literal["stop", "skip"] = "stop"
    """What a damaged or grey file among coloured ones does; skip: named, and left out."""
    batch_size: BatchSize = 32

    @property
    def domains(self) -> tuple[str, str]:
        """Class or nothing and image, or lightness and colours."""
        return ("lightness", "colours") if self.given == "lightness" else ("label", "image")

    @property
    def sides(self) -> tuple[str, str]:
        """What x and y are called."""
        return self.given, "colours" if self.given == "lightness" else "image"

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of x (the number of classes, or 0) and of y."""
        if self.given == "lightness":
            return 1, 2
        return self.classes, self.image_channels

    @property
    def sampling(self) -> Sampling:
        """Crops."""
        return "crops"

    @property
    def sample_shape(self) -> tuple[int, int]:
        """Sizes of y of a training sample."""
        edge = self.crop_size // self.colour_factor
        return edge, edge

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of x of a training sample."""
        edge = self.crop_size
        return (1, edge, edge) if self.given == "lightness" else (self.channels[0],)

    @property
    def whole_edge(self) -> int | None:
        """Edge to which whole images are resized to be tested; None: they stay as they are."""
        return None if self.load_size is None else self.crop_size

    @model_validator(mode="after")
    def _belongs_together(self) -> "SingleImageData":
        if self.load_size is not None and self.load_size < self.crop_size:
            raise ValueError(
                f"load_size must be at least crop_size ({self.crop_size}), got {self.load_size}"
            )
        if self.pad and self.load_size is not None:
            raise ValueError(
                f"pad is for images that are not resized, got pad {self.pad} with load_size "
                f"{self.load_size}"
            )
        if (self.given == "label") != (self.classes > 0):
            raise ValueError(
                "classes must be the number of classes where given is label, and 0 elsewhere, got "
                f"classes {self.classes} with given {self.given}"
            )
        if self.given != "lightness" and self.colour_factor != 1:
            raise ValueError(
                f"colour_factor is for given lightness, got {self.colour_factor} with {self.given}"
            )
        if self.given == "lightness" and self.image_channels != 3:
            raise ValueError("image_channels must be 3 where given is lightness, got 1")
        if self.crop_size % self.colour_factor:
            raise ValueError(
                f"crop_size must be a multiple of colour_factor ({self.colour_factor}), "
                f"got {self.crop_size}"
            )
        return self
