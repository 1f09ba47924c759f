"""What an image data set is: pictures of two sides or by themselves, in three parts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from medrev.errors import InputError, counted
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
        label: Name of its class; None where it has none.
    """

    name: str
    path: Path
    header: PictureHeader
    half: Half | int | None = None
    label: str | None = None

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
        x: Images of the side that is the input; none where images stand by themselves.
        y: Images of the other side, or images by themselves.
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


@dataclass(frozen=True)
class ImageSet:
    """The images of a data set.

    Attributes:
        root: Its folder.
        layout: Of images of two sides aligned, folders or unaligned; of others idx, classes, table
            or alone.
        parts: For training (train), for choosing among checkpoints (validation; may be empty), and
            what training never sees (test; may be empty).
        classes: Names of their classes, in the order of the network's; empty where none are given.
        arrays: What idx files hold, ``(N, H, W)``.
        notes: What was decided on the way, one line each.
    """

    root: Path
    layout: str
    parts: Mapping[str, ImagePart]
    classes: tuple[str, ...] = ()
    arrays: Mapping[Path, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people: how many images, of which layout, where."""
        count = sum(len(part.x) + len(part.y) for part in self.parts.values())
        classes = f" of {counted(len(self.classes), 'class', 'classes')}" if self.classes else ""
        return f"{counted(count, 'image')}{classes}, {self.layout} layout, in {self.root}"
