"""A canvas of classes and objects, and the textures that photographs are painted with."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

__all__ = ["Canvas", "finish", "texture"]

Points = Sequence[tuple[float, float]]


class Canvas:
    """Classes and object numbers per pixel; places are shares of the image, y downwards.

    Args:
        size: Edge in pixels.
        background: Class of what is not drawn on.
    """

    def __init__(self, size: int, background: int) -> None:
        self.size = size
        self._classes = Image.new("L", (size, size), background)
        self._objects = Image.new("I", (size, size), 0)
        self._count = 0

    @property
    def classes(self) -> np.ndarray:
        """Class of every pixel, `(size, size)`."""
        return np.asarray(self._classes)

    @property
    def objects(self) -> np.ndarray:
        """Number of the object at every pixel, from 1; 0 for the background."""
        return np.asarray(self._objects)

    def polygon(self, points: Points, kind: int, *, same: bool = False) -> int:
        """Draw a polygon; with `same` it belongs to the object before. Returns its number."""
        number = self._next(same)
        scaled = [(x * self.size, y * self.size) for x, y in points]
        for image, value in ((self._classes, kind), (self._objects, number)):
            ImageDraw.Draw(image).polygon(scaled, fill=value)
        return number

    def box(
        self, x: float, y: float, width: float, height: float, kind: int, *, same: bool = False
    ) -> int:
        """Draw a rectangle that stands on (x, y), centred."""
        left, right, top = x - width / 2, x + width / 2, y - height
        corners = [(left, top), (right, top), (right, y), (left, y)]
        return self.polygon(corners, kind, same=same)

    def ellipse(
        self, x: float, y: float, width: float, height: float, kind: int, *, same: bool = False
    ) -> int:
        """Draw an ellipse around (x, y)."""
        number = self._next(same)
        ends = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        scaled = [end * self.size for end in ends]
        for image, value in ((self._classes, kind), (self._objects, number)):
            ImageDraw.Draw(image).ellipse(scaled, fill=value)
        return number

    def line(self, points: Points, width: float, kind: int) -> int:
        """Draw a line of a width; at least one pixel."""
        number = self._next(False)
        scaled = [(x * self.size, y * self.size) for x, y in points]
        pixels = max(1, round(width * self.size))
        for image, value in ((self._classes, kind), (self._objects, number)):
            ImageDraw.Draw(image).line(scaled, fill=value, width=pixels, joint="curve")
        return number

    def _next(self, same: bool) -> int:
        self._count += 0 if same and self._count else 1
        return self._count


def texture(size: int, rng: np.random.Generator, widths: Sequence[float] = (1, 3, 9)) -> np.ndarray:
    """Noise with details of several widths in pixels; zero mean, unit deviation, `(size, size)`."""
    total = np.zeros((size, size))
    for width in widths:
        layer = gaussian_filter(rng.standard_normal((size, size)), width / 2, mode="wrap")
        total += layer / layer.std()
    return (total - total.mean()) / total.std()


def finish(image: np.ndarray, rng: np.random.Generator, *, blur: float, noise: float) -> np.ndarray:
    """What a camera adds: blur (pixels) and noise (grey levels); `(H, W, 3)`, uint8."""
    soft = gaussian_filter(image, (blur, blur, 0))
    noisy = soft + rng.normal(0, noise, image.shape)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)
