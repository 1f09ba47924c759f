"""A photograph of a street, painted after its labels: colours, textures, light, fog, shadows."""

import numpy as np
from scipy.ndimage import gaussian_filter

from image_data.canvas import Canvas, finish, texture

__all__ = ["photograph"]

#: Colours that an object of a class may have, by the number of the class (order of Cityscapes).
_PALETTES: dict[int, list[tuple[int, int, int]]] = {
    0: [(92, 92, 97)],
    1: [(150, 142, 136)],
    2: [(150, 96, 78), (196, 180, 150), (140, 140, 145), (176, 150, 120), (112, 104, 100)],
    3: [(140, 132, 124)],
    4: [(120, 104, 84), (70, 76, 74)],
    5: [(96, 98, 100)],
    6: [(36, 40, 38)],
    7: [(40, 80, 170), (210, 50, 40), (230, 230, 225), (235, 200, 40)],
    8: [(58, 88, 44), (76, 100, 48), (48, 76, 50)],
    9: [(112, 116, 66)],
    10: [(176, 200, 228)],
    11: [(54, 58, 80), (150, 50, 50), (190, 186, 178), (60, 90, 70), (34, 34, 36)],
    12: [(200, 90, 50), (50, 60, 90), (170, 170, 60)],
    13: [
        (26, 28, 32),
        (190, 192, 196),
        (150, 28, 30),
        (40, 60, 120),
        (232, 232, 230),
        (96, 98, 102),
    ],
    14: [(210, 210, 200), (60, 80, 130)],
    15: [(200, 170, 40), (190, 50, 50)],
    16: [(190, 190, 180), (60, 130, 110)],
    17: [(40, 40, 44)],
    18: [(50, 54, 60)],
}
#: Strength of the texture in grey levels; 6 elsewhere.
_ROUGH = {8: 20.0, 9: 13.0, 0: 5.0, 1: 7.0, 10: 2.5, 2: 8.0}
_CARS = (13, 14, 15, 16)


def photograph(
    canvas: Canvas, horizon: float, centre: float, rng: np.random.Generator
) -> np.ndarray:
    """Paint a scene, `(size, size, 3)`, uint8.

    Args:
        canvas: Classes and objects.
        horizon: Where the street ends, as a share of the image from the top.
        centre: The same, from the left.
        rng: Draws colours, textures and light: one scene has many photographs.
    """
    classes, objects, size = canvas.classes, canvas.objects, canvas.size
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size
    image = _paint(classes, objects, rng)
    image[_windows(classes, objects, rng)] *= 0.55
    marks = (classes == 0) & _marks(rows - horizon, columns - centre, 1 - horizon, size)
    image[marks] = (215, 215, 210)

    sky = classes == 10
    up = (1 - rows / horizon).clip(0, 1)[..., None]
    image = np.where(sky[..., None], image * (1.08 - 0.28 * up), image)
    strength = np.full((size, size), 6.0)
    for kind, value in _ROUGH.items():
        strength[classes == kind] = value
    image += (strength * texture(size, rng, (1, 2.5, 6)))[..., None]
    image += (np.where(sky, 14, 0) * texture(size, rng, (size / 8, size / 4)))[..., None]

    under = np.roll(np.isin(classes, _CARS), max(1, size // 40), axis=0)
    shadow = gaussian_filter((under & np.isin(classes, (0, 1))).astype(float), size / 90)
    image *= 1 - 0.6 * shadow[..., None]
    distance = np.exp(-abs(rows - horizon) / 0.05)[..., None] * ~sky[..., None]
    fog = np.array([190.0, 200.0, 212.0])
    image += rng.uniform(0.15, 0.5) * distance * (fog - image)
    light = rng.uniform(0.75, 1.12) * (1 + rng.uniform(-0.18, 0.18) * (columns - 0.5))
    warm = 1 + rng.uniform(-0.07, 0.07) * np.array([1.0, 0.2, -1.0])
    image *= light[..., None] * warm
    return finish(image, rng, blur=size / 200, noise=2.5)


def _paint(classes: np.ndarray, objects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour of its class for every object."""
    image = np.zeros((*classes.shape, 3))
    for number in range(int(objects.max()) + 1):
        place = objects == number
        shade, choice = rng.normal(1, 0.08), int(rng.integers(1 << 16))
        for kind in np.unique(classes[place]):
            palette = _PALETTES[int(kind)]
            colour = np.array(palette[choice % len(palette)])
            image[place & (classes == kind)] = colour * shade
    return image


def _windows(classes: np.ndarray, objects: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where houses, cars and buses have windows."""
    size = len(classes)
    rows, columns = np.mgrid[:size, :size]
    found = np.zeros_like(classes, dtype=bool)
    step = max(4, size // 16)
    for number in np.unique(objects[classes == 2]):
        i, j = rng.integers(step, size=2)
        grid = ((rows + i) % step > step // 2) & ((columns + j) % step > step // 2)
        found |= grid & (objects == number) & (classes == 2)
    for number in np.unique(objects[np.isin(classes, _CARS)]):
        place = (objects == number) & np.isin(classes, _CARS)
        height = np.flatnonzero(place.any(axis=1))
        share = (rows - height[0]) / max(1, height[-1] - height[0])
        found |= place & (share > 0.1) & (share < 0.42)
    return found


def _marks(below: np.ndarray, beside: np.ndarray, height: float, size: int) -> np.ndarray:
    """The dashed line in the middle of the road, by the distance from where the road ends."""
    depth = (below / height).clip(1e-3)
    narrow = abs(beside) < np.maximum(0.012 * depth, 0.5 / size)
    return (np.sin(6 / depth) > 0) & narrow & (depth > 0.1)
