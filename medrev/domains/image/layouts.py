"""The layouts of image data sets: which files are which side of which part, and of which class.

The idx files of MNIST and of data sets like it hold many small images, or their labels, in one.

References:
    LeCun, *The MNIST database*: "The IDX file format".
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.files import check_file, files_below, named_in
from medrev.texts import read_table
from medrev.volumes import PICTURES

#: Files of images and of labels by part, as MNIST calls them.
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_BYTES = 8  # the code of unsigned bytes
_MOST = 2**31


def find_idx(root: Path, name: str) -> Path | None:
    """A file of MNIST as it is, with a point before ``idx``, or packed by gzip."""
    dotted = name.replace("-idx", ".idx")
    names = [f"{each}{ending}" for each in (name, dotted) for ending in ("", ".gz")]
    return next((root / each for each in names if (root / each).is_file()), None)


def read_idx(path: Path) -> NDArray[Any]:
    """Read an idx file of bytes, packed or not.

    Returns:
        Array of uint8; of images ``(N, H, W)``, of labels ``(N,)``.

    Raises:
        InputError: It is missing, no idx file, of other numbers than bytes, or of another length
            than it says.
    """
    check_file(path)
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}; copy it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or not 1 <= content[3] <= 4:
        raise InputError(f"{path} is not an idx file (its first bytes are {content[:4].hex()})")
    if content[2] != _BYTES:
        raise InputError(
            f"{path}: idx files must hold unsigned bytes (type 08), got type {content[2]:02x}"
        )
    axes, start = content[3], 4 + 4 * content[3]
    if len(content) < start:
        raise InputError(f"{path} is truncated: its header is not complete; copy it again")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if math.prod(shape) > _MOST or len(content) - start != math.prod(shape):
        size = "x".join(map(str, shape))
        raise InputError(
            f"{path} should hold {size} bytes, got {len(content) - start}; copy it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


#: Names of the folder of each part.
FOLDERS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
#: What each layout of images of two sides looks like.
PAIRS = {
    "aligned": "train/NAME.png (A is its left half, B its right half), and so in val/, test/",
    "folders": "train/A/NAME.png and train/B/NAME.png, or A/train/NAME.png and B/train/NAME.png, "
    "and so for val, test",
    "unaligned": "trainA/*.png and trainB/*.png, and so valA, valB, testA, testB",
}
#: What each layout of images by themselves looks like.
SINGLE = {
    "idx": "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte (.gz too)",
    "classes": "train/CLASS/*.png, and so in val, test; or CLASS/*.png",
    "table": "images.csv with the columns file, label and, where there are parts, split",
    "alone": "train/*.png, and so in val, test; or *.png",
}
_TABLES = ("images.csv", "images.tsv", "labels.csv", "labels.tsv")
_PACK = 5  # digits of a number within an idx file
#: Where an image is in a file of two.
Half = Literal["left", "right"]
#: What idx files hold.
Arrays = dict[Path, NDArray[Any]]


@dataclass(frozen=True)
class Found:
    """A picture of which the name alone was looked at.

    Attributes:
        key: Its name, by which it finds its partner.
        path: The file.
        half: Which half of it, or which image of an idx file; None: all.
        part: The part it belongs to, where the data set says so.
        side: A or B; empty where images stand by themselves.
        label: Name of its class; None where it has none.
    """

    key: str
    path: Path
    half: Half | int | None = None
    part: str | None = None
    side: str = ""
    label: str | None = None


def recognise_pairs(root: Path) -> str | None:
    """The layout of a folder of images of two sides; None where it is none of them."""
    for layout in ("unaligned", "folders"):
        if all(_first(_places(root, layout, "train", side)) for side in "AB"):
            return layout
    train = _first(_places(root, "aligned", "train", "A"))
    return "aligned" if train and any(_pictures(train)) else None


def recognise_single(root: Path) -> str | None:
    """The layout of a folder of images by themselves; None where it is none of them."""
    if find_idx(root, IDX_FILES["train"][0]):
        return "idx"
    if root.is_file() or any((root / name).is_file() for name in _TABLES):
        return "table"
    if not root.is_dir():
        return None
    top = _first(root / name for name in FOLDERS["train"]) or root
    if any(_pictures(top, deep=False)):
        return "alone"
    inner = (folder for folder in top.iterdir() if folder.is_dir())
    return "classes" if any(any(_pictures(folder)) for folder in inner) else None


def list_images(root: Path, layout: str, arrays: Arrays) -> list[Found]:
    """The pictures of a layout (a key of :data:`PAIRS` or :data:`SINGLE`), by part and side.

    They are sorted by name; ``arrays`` takes up what idx files hold.

    Raises:
        InputError: A file that says which images there are cannot be used.
    """
    if layout in PAIRS:
        return list(_of_pairs(root, layout))
    if layout == "idx":
        return list(_of_idx(root, arrays))
    if layout == "table":
        return list(_of_table(root))
    return list(_of_folders(root, labelled=layout == "classes"))


def _of_pairs(root: Path, layout: str) -> Iterator[Found]:
    for part in FOLDERS:
        for side in "AB":
            folder = _first(_places(root, layout, part, side))
            if folder is None:
                continue
            half: Half | None = None
            if layout == "aligned":
                half = "left" if side == "A" else "right"
            found = []
            for path in _pictures(folder):
                key = path.relative_to(folder).with_suffix("").as_posix()
                if layout == "unaligned":
                    key = key.removesuffix(f"_{side}")
                found.append(Found(key, path, half, part, side))
            yield from sorted(found, key=lambda one: one.key)


def _places(root: Path, layout: str, part: str, side: str) -> list[Path]:
    """Folders in which the pictures of a part and a side may lie."""
    names = FOLDERS[part]
    return {
        "aligned": [root / name for name in names],
        "folders": [root / a / b for name in names for a, b in ((name, side), (side, name))],
        "unaligned": [root / f"{name}{side}" for name in names],
    }[layout]


def _of_idx(root: Path, arrays: Arrays) -> Iterator[Found]:
    for part, names in IDX_FILES.items():
        files = [find_idx(root, name) for name in names]
        if files[0] is None:
            continue
        arrays[files[0]] = images = read_idx(files[0])
        labels = None if files[1] is None else read_idx(files[1])
        if images.ndim != 3:
            raise InputError(f"{files[0]}: images must have 3 axes, got {images.ndim}")
        if labels is not None and labels.shape != images.shape[:1]:
            raise InputError(
                f"{files[1]}: a label for each of {len(images)} images is needed, got "
                f"{labels.shape[0]}"
            )
        for row in range(len(images)):
            label = None if labels is None else str(labels[row])
            yield Found(f"{part}-{row:0{_PACK}d}", files[0], row, part, label=label)


def _of_folders(root: Path, *, labelled: bool) -> Iterator[Found]:
    places: list[tuple[str | None, Path]] = [
        (part, root / name)
        for part, names in FOLDERS.items()
        for name in names
        if (root / name).is_dir()
    ]
    if not any(part == "train" for part, _ in places):
        places = [(None, root)]
    for part, folder in places:
        for path in _pictures(folder):
            inside = path.relative_to(folder)
            label = inside.parts[0] if labelled and len(inside.parts) > 1 else None
            name = path.relative_to(root).with_suffix("").as_posix()
            yield Found(name, path, part=part, label=label)


def _of_table(root: Path) -> Iterator[Found]:
    file = root
    if root.is_dir():
        file = next((root / n for n in _TABLES if (root / n).is_file()), root / _TABLES[0])
    table = read_table(file)
    if "file" not in table.columns:
        raise InputError(f"{file} needs a column file, got {', '.join(table.columns)}")
    parts = {name: part for part, names in FOLDERS.items() for name in (*names, part)}
    for row, line in zip(table.rows, table.lines, strict=True):
        split = row.get("split") or None
        if split is not None and split not in parts:
            raise InputError(
                f"{file}, line {line}: split must be train, validation or test, got {split!r}"
            )
        if not row["file"]:
            raise InputError(f"{file}, line {line}: names no file")
        path = named_in(file.parent, row["file"])
        name = PureWindowsPath(row["file"]).with_suffix("").as_posix()
        part = None if split is None else parts[split]
        label = row.get("label") or None
        yield Found(name, path, part=part, label=label)


def _first(places: Iterable[Path]) -> Path | None:
    return next((place for place in places if place.is_dir()), None)


def _pictures(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    paths = files_below(folder) if deep else sorted(folder.iterdir())
    return (p for p in paths if p.suffix.lower() in PICTURES and not p.name.startswith("."))
