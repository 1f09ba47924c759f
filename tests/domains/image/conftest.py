"""Small image data sets in every layout: 12 x 16 pixels, A dark and B bright."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medrev.config.schema import ImageData


class Maker:
    """Writes images and data sets below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pixels(self, seed: int, side: str = "A", *, size: tuple[int, ...] = (12, 16, 3)) -> Any:
        """Random pixels, below 128 of A, above of B."""
        values = np.random.default_rng(seed).integers(0, 128, size, dtype=np.uint8)
        return values + np.uint8(128) if side == "B" else values

    def save(self, name: str, pixels: np.ndarray) -> Path:
        """Write an image and its folder."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    def aligned(self, *, train: int = 6, val: int = 0, test: int = 2) -> Path:
        """Files with A on the left and B on the right."""
        for part, count in (("train", train), ("val", val), ("test", test)):
            for n in range(count):
                pair = [self.pixels(n, side) for side in "AB"]
                self.save(f"{part}/{n}.png", np.concatenate(pair, axis=1))
        return self.root

    def folders(self, order: str = "{part}/{side}", **counts: int) -> Path:
        """A and B in folders of their own."""
        for part, count in ({"train": 6, "test": 2} | counts).items():
            for side in "AB":
                for n in range(count):
                    name = order.format(part=part, side=side) + f"/{n}.png"
                    self.save(name, self.pixels(n, side))
        return self.root

    def unaligned(self, a: int = 6, b: int = 4, name: str = "{side}{n}") -> Path:
        """Images of other names and counts on either side."""
        for side, count in (("A", a), ("B", b)):
            for part, number in (("train", count), ("test", 2)):
                for n in range(number):
                    file = f"{part}{side}/" + name.format(side=side, n=n) + ".png"
                    self.save(file, self.pixels(n, side))
        return self.root

    def data(self, **changes: Any) -> ImageData:
        """The section of a pipeline for what was made."""
        given = {"root": self.root, "load_size": 12, "crop_size": 8, "validation": 0.2}
        return ImageData.model_validate(given | changes)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "set")
