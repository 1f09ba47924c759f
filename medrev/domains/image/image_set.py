"""What an image data set is: pictures of two sides, pairs or not, in three parts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.volumes import PictureHeader, read_pixels

Half = Literal["left", "right"]


@dataclass(frozen=True)
class Picture:
    """One image: a file, or one half of a file that holds A on the left and B on the right.

    Attributes:
        name: Of the image among those of its side and part, such as ``aachen/000019``.
        path: The file.
        header: Of the file.
        half: Which half of the file it is, or which image of an idx file; None: all of it.
    """

    name: str
    path: Path
    header: PictureHeader
    half: Half | int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.header.height, self.header.width // (2 if isinstance(self.half, str) else 1)

    def read(self) -> NDArray[Any]:
        """The pixels, ``(H, W, C)``, uint8 or uint16.

        Raises:
            InputError: The file is damaged, or is another one than when it was found.
        """
        return self.of_file(read_pixels(self.path)[0])

    def of_file(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """This image of the pixels of its file; of an idx file ``(N, H, W)``."""
        if isinstance(self.half, int):
            return pixels[self.half][..., None]
        if pixels.shape[:2] != (self.header.height, self.header.width):
            raise InputError(
                f"{self.path}: has {pixels.shape[1]}x{pixels.shape[0]} pixels now and had "
                f"{self.header.width}x{self.header.height} before: it was changed meanwhile"
            )
        if self.half is None:
            return pixels
        middle = self.size[1]
        return pixels[:, :middle] if self.half == "left" else pixels[:, middle:]


@dataclass(frozen=True)
class ImagePart:
    """The images of a part of the data set.

    Attributes:
        x: Images of the side that is the input.
        y: Images of the other side.
        paired: Whether ``x[n]`` and ``y[n]`` show the same, for all n.
    """

    x: tuple[Picture, ...] = ()
    y: tuple[Picture, ...] = ()
    paired: bool = True

    def __len__(self) -> int:
        """Pairs, or images of the larger side where there are no pairs."""
        return max(len(self.x), len(self.y))

    def __iter__(self) -> Iterator[tuple[Picture, Picture]]:
        """The pairs, where there are any."""
        return iter(zip(self.x, self.y, strict=True)) if self.paired else iter(())

    def __str__(self) -> str:
        if self.paired:
            return f"{len(self.x)} pair{'' if len(self.x) == 1 else 's'}"
        return f"{len(self.x)} images of x, {len(self.y)} of y, no pairs"


@dataclass(frozen=True)
class ImageSet:
    """The images of a data set.

    Attributes:
        root: Its folder.
        layout: aligned, folders or unaligned.
        train: For training.
        validation: For choosing among checkpoints; may be empty.
        test: What training never sees; may be empty.
        notes: What was decided on the way, one line each.
    """

    root: Path
    layout: str
    train: ImagePart
    validation: ImagePart
    test: ImagePart
    notes: tuple[str, ...] = field(default=())

    def part(self, name: str) -> ImagePart:
        """A part by its name: train, validation or test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def describe(self) -> str:
        """One line for people: how many images, of which layout, where."""
        parts = (self.train, self.validation, self.test)
        images = sum(len(part.x) + len(part.y) for part in parts)
        return f"{images} images, {self.layout} layout, in {self.root}"
