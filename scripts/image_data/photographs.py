"""Crops of the photographs that scikit-image and matplotlib carry with them."""

from functools import cache

import numpy as np
from PIL import Image

__all__ = ["PHOTOGRAPHS", "Photographs"]

#: Which photographs each part is cut from: never two parts from one.
PHOTOGRAPHS = {
    "train": ("astronaut", "coffee", "motorcycle_left", "retina"),
    "val": ("grace_hopper",),
    "test": ("chelsea", "rocket"),
}


class Photographs:
    """Cuts squares of random place and size out of the photographs of a part.

    Args:
        part: train, val or test.
        size: Edge of the crops in pixels.
    """

    def __init__(self, part: str, size: int) -> None:
        self.names = PHOTOGRAPHS[part]
        self.size = size

    def crop(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """A crop, and the photograph's name.

        Returns:
            `(size, size, 3)`, uint8. Of the photograph it covers between `size` pixels and most of
            its height, and is mirrored or not.
        """
        name = self.names[rng.integers(len(self.names))]
        photograph = _photograph(name)
        most = min(photograph.size) * 0.8
        edge = int(self.size * (max(1.0, most / self.size)) ** rng.uniform(0.3, 1))
        left = int(rng.integers(photograph.width - edge + 1))
        top = int(rng.integers(photograph.height - edge + 1))
        box = (left, top, left + edge, top + edge)
        crop = photograph.resize((self.size, self.size), Image.Resampling.BICUBIC, box)
        pixels = np.asarray(crop)
        return name, pixels[:, ::-1] if rng.random() < 0.5 else pixels


def grey(pixels: np.ndarray) -> np.ndarray:
    """The luminance of `(H, W, 3)`, uint8."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


@cache
def _photograph(name: str) -> Image.Image:
    """A photograph in colour, from the installed packages; nothing is downloaded."""
    if name == "grace_hopper":
        from matplotlib.cbook import get_sample_data

        with get_sample_data("grace_hopper.jpg") as stream:
            return Image.open(stream).convert("RGB")
    from importlib.resources import files

    folder = files("skimage.data")
    found = next(p for p in (folder / f"{name}.png", folder / f"{name}.jpg") if p.is_file())
    with found.open("rb") as stream:
        return Image.open(stream).convert("RGB")
