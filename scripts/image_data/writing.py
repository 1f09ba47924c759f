"""Writing the images of a data set under the names of its layout."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from image_data.maps import map_pair
from image_data.photographs import Photographs, grey
from image_data.shapes import shape_image
from image_data.street import street_pair
from medrev.files import atomic_folder
from medrev.progress import progress

__all__ = ["KINDS", "MARK", "Counts", "write_set"]

#: The file by which a data set of this script is known.
MARK = "made_by_medrev.json"


@dataclass(frozen=True)
class Counts:
    """How many images (of each side) a part has."""

    train: int
    test: int

    @property
    def validation(self) -> int:
        """Half as many as for the test."""
        return max(1, self.test // 2)


Images = Iterator[tuple[str, np.ndarray]]


def _shapes(counts: Counts, size: int, seed: int) -> Images:
    """Circles and squares, which are no pairs."""
    for part, count in (("train", counts.train), ("test", counts.test)):
        for side, kind in (("A", "circle"), ("B", "square")):
            for n in range(count):
                rng = _generator(seed, part, side, n)
                yield f"{part}{side}/{kind}_{n:04}.png", shape_image(kind, size, rng)


def _grey_colour(counts: Counts, size: int, seed: int) -> Images:
    """Grey crops and other crops in colour; pairs of the same crops for validation and test."""
    for part, count in (("train", counts.train), ("val", counts.validation), ("test", counts.test)):
        photographs = Photographs(part, size)
        for n in range(count):
            name, pixels = photographs.crop(_generator(seed, part, "A", n))
            other = photographs.crop(_generator(seed, part, "B", n)) if part == "train" else None
            key = f"{name}_{n:04}" if other is None else f"grey_{n:04}"
            yield f"{part}A/{key}.png", grey(pixels)
            if other is not None:
                key, pixels = f"colour_{n:04}", other[1]
            yield f"{part}B/{key}.png", pixels


def _aligned(
    pair: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]],
) -> Callable[[Counts, int, int], Images]:
    def images(counts: Counts, size: int, seed: int) -> Images:
        """A on the left, B on the right."""
        for part, count in (("train", counts.train), ("test", counts.test)):
            for n in range(count):
                both = pair(size, _generator(seed, part, "", n))
                yield f"{part}/{n:04}.png", np.concatenate(both, axis=1)

    return images


#: What makes the images of a kind, and how many there are by default.
KINDS: dict[str, tuple[Callable[[Counts, int, int], Images], Counts]] = {
    "shapes": (_shapes, Counts(1000, 100)),
    "grey-colour": (_grey_colour, Counts(500, 60)),
    "labels": (_aligned(street_pair), Counts(120, 30)),
    "maps": (_aligned(map_pair), Counts(120, 30)),
}


def write_set(
    kind: str, output: Path, counts: Counts, *, size: int, seed: int, overwrite: bool = False
) -> int:
    """Write a data set, whole or not at all.

    Args:
        kind: One of `KINDS`.
        output: Its folder.
        counts: Images of each side by part.
        size: Edge of the images in pixels.
        seed: The same one gives the same bytes.
        overwrite: Replace the folder.

    Returns:
        The number of files.
    """
    make, _ = KINDS[kind]
    total = _files(kind, counts)
    with atomic_folder(output, overwrite) as folder, progress("Making images", total) as bar:
        for name, pixels in make(counts, size, seed):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            bar.advance(1)
        record = {"kind": kind, "size": size, "seed": seed, **vars(counts)}
        (folder / MARK).write_text(json.dumps(record, indent=2) + "\n")
    return total


def _files(kind: str, counts: Counts) -> int:
    """How many files there will be."""
    if kind == "grey-colour":
        return 2 * (counts.train + counts.validation + counts.test)
    return (counts.train + counts.test) * (2 if kind == "shapes" else 1)


def _generator(seed: int, part: str, side: str, number: int) -> np.random.Generator:
    """One generator per image: more of them leave the others as they are."""
    parts = ("train", "val", "test")
    return np.random.default_rng((seed, parts.index(part), "AB".find(side) + 1, number))
