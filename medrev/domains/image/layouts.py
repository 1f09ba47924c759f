"""The layouts of image data sets: which files are which side of which part."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medrev.domains.image.image_set import Half
from medrev.errors import InputError
from medrev.files import files_below
from medrev.volumes import PICTURES

#: Names of the folder of each part.
PARTS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
#: What each layout looks like.
EXPECTED = {
    "aligned": "train/NAME.png (A is its left half, B its right half), and so in val/, test/",
    "folders": "train/A/NAME.png and train/B/NAME.png, or A/train/NAME.png and B/train/NAME.png, "
    "and so for val, test",
    "unaligned": "trainA/*.png and trainB/*.png, and so valA, valB, testA, testB",
}


@dataclass(frozen=True)
class Found:
    """A picture of which the name alone was looked at.

    Attributes:
        key: Its name, by which it finds its partner.
        path: The file.
        half: Which half of it, or which image of an idx file; None: all.
    """

    key: str
    path: Path
    half: Half | int | None = None


#: Pictures by part, then by side (A, B).
Listing = dict[str, dict[str, list[Found]]]


def recognise(root: Path) -> str | None:
    """The layout of a folder; None where it is none of them."""
    for layout in ("unaligned", "folders"):
        sides = _places(root, layout)["train"]
        if all(_first(sides[side]) for side in "AB"):
            return layout
    train = _first(_places(root, "aligned")["train"]["A"])
    return "aligned" if train and _pictures(train) else None


def list_images(root: Path, layout: str) -> Listing:
    """The pictures of every part and side, sorted by name.

    Raises:
        InputError: Two files of a side have one name.
    """
    listing: Listing = {}
    for part, sides in _places(root, layout).items():
        listing[part] = {}
        for side, places in sides.items():
            folder = _first(places)
            half: Half | None = None
            if layout == "aligned":
                half = "left" if side == "A" else "right"
            paths = _pictures(folder) if folder else []
            found = [Found(_key(path, folder or root, side, layout), path, half) for path in paths]
            _check_unique(found, folder)
            listing[part][side] = sorted(found, key=lambda one: one.key)
    return listing


def _places(root: Path, layout: str) -> dict[str, dict[str, list[Path]]]:
    """Folders in which the pictures of each part and side may lie."""
    found: dict[str, dict[str, list[Path]]] = {}
    for part, names in PARTS.items():
        found[part] = {}
        for side in "AB":
            places = {
                "aligned": [root / name for name in names],
                "folders": [
                    root / a / b for name in names for a, b in ((name, side), (side, name))
                ],
                "unaligned": [root / f"{name}{side}" for name in names],
            }
            found[part][side] = places[layout]
    return found


def _first(places: Iterable[Path]) -> Path | None:
    return next((place for place in places if place.is_dir()), None)


def _pictures(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if path.suffix.lower() in PICTURES]


def _key(path: Path, folder: Path, side: str, layout: str) -> str:
    """The name below a folder, without suffix; in unaligned sets without ``_A`` or ``_B``."""
    key = path.relative_to(folder).with_suffix("").as_posix()
    return key.removesuffix(f"_{side}") if layout == "unaligned" else key


def _check_unique(found: list[Found], folder: Path | None) -> None:
    double = [key for key, count in Counter(one.key for one in found).items() if count > 1]
    if double:
        raise InputError(
            f"{folder}: several files are called {double[0]} (with different endings); "
            "names must be unique"
        )
