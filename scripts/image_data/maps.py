"""Towns from above: a road map, and an aerial photograph of it."""

import numpy as np
from scipy.ndimage import gaussian_filter

from image_data.canvas import Canvas, finish, texture

__all__ = ["map_pair"]

GROUND, PARK, WATER, STREET, ROAD, HOUSE = range(6)
#: Colours of the map.
_MAP = np.array(
    [(242, 239, 233), (200, 232, 184), (168, 208, 224), (255, 255, 255), (250, 214, 128),
     (222, 214, 204)], dtype=np.uint8,
)  # fmt: skip
_ROOFS = [(150, 84, 66), (122, 112, 108), (176, 168, 158), (96, 80, 76), (200, 190, 176)]
_PLAIN = {PARK: (74, 96, 54), WATER: (38, 62, 72), STREET: (148, 145, 140), ROAD: (98, 98, 102)}


def map_pair(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An aerial photograph and its map, `(size, size, 3)` each, uint8."""
    canvas = _town(size, rng)
    return _aerial(canvas, rng), _MAP[canvas.classes]


def _town(size: int, rng: np.random.Generator) -> Canvas:
    """Parks, a river now and then, a turned grid of streets with houses, one or two main roads."""
    canvas = Canvas(size, GROUND)
    angle = rng.uniform(0, np.pi / 2)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])

    def place(u: float, v: float) -> tuple[float, float]:
        x, y = 0.5 + (u - 0.5) * along + (v - 0.5) * across
        return float(x), float(y)

    lines = [_spaced(rng), _spaced(rng)]
    for u0, u1 in zip(lines[0], lines[0][1:], strict=False):
        for v0, v1 in zip(lines[1], lines[1][1:], strict=False):
            corners = [place(u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))]
            if rng.random() < 0.16:
                canvas.polygon(corners, PARK)
            else:
                _houses(canvas, place, (u0, u1), (v0, v1), rng)
    if rng.random() < 0.4:
        bend, phase, middle = rng.uniform(0.02, 0.1), rng.uniform(0, 6), rng.uniform(0.2, 0.8)
        half = rng.uniform(0.04, 0.09)
        t = np.linspace(-0.6, 1.6, 40)
        course = middle + bend * np.sin(4 * t + phase)
        banks = [
            *zip(t, course - half, strict=True),
            *zip(t[::-1], course[::-1] + half, strict=True),
        ]
        canvas.polygon([place(*point) for point in banks], WATER)
    for u in lines[0]:
        canvas.line([place(u, -0.6), place(u, 1.6)], 0.025, STREET)
    for v in lines[1]:
        canvas.line([place(-0.6, v), place(1.6, v)], 0.025, STREET)
    for _ in range(int(rng.integers(1, 3))):
        start, end = rng.uniform(-0.3, 1.3, 2)
        ends = [place(-0.6, start), place(1.6, end)]
        canvas.line(ends if rng.random() < 0.5 else [point[::-1] for point in ends], 0.05, ROAD)
    return canvas


def _spaced(rng: np.random.Generator) -> list[float]:
    """Where the streets of one direction lie."""
    found = [-0.4]
    while found[-1] < 1.4:
        found.append(found[-1] + rng.uniform(0.16, 0.32))
    return found


def _houses(canvas: Canvas, place, u: tuple, v: tuple, rng: np.random.Generator) -> None:
    """Two rows of houses in a block."""
    step = rng.uniform(0.05, 0.09)
    for row in (v[0] + 0.045, v[1] - 0.045):
        at = u[0] + 0.05
        while at < u[1] - 0.04:
            if rng.random() < 0.85:
                a, b = rng.uniform(0.3, 0.42, 2) * step
                corners = (
                    (at - a, row - b),
                    (at + a, row - b),
                    (at + a, row + b),
                    (at - a, row + b),
                )
                canvas.polygon([place(*corner) for corner in corners], HOUSE)
            at += step


def _aerial(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The photograph: soil and grass, roofs with shadows, trees, asphalt, dark water."""
    classes, objects, size = canvas.classes, canvas.objects, canvas.size
    soil = texture(size, rng, (size / 10, size / 5))[..., None]
    image = np.array((122.0, 116.0, 92.0)) + soil * np.array((9.0, 4.0, 8.0))
    for kind, colour in _PLAIN.items():
        image[classes == kind] = colour
    for number in np.unique(objects[classes == HOUSE]):
        roof = np.array(_ROOFS[rng.integers(len(_ROOFS))]) * rng.normal(1, 0.08)
        image[(objects == number) & (classes == HOUSE)] = roof
    houses = (classes == HOUSE).astype(float)
    shift = max(1, size // 64)
    shadow = np.roll(houses, (shift, shift), (0, 1)) * (1 - houses)
    image *= 1 - 0.45 * shadow[..., None]

    often = np.select([classes == PARK, classes == GROUND], [0.03, 0.006], 0.0)
    crowns = gaussian_filter(
        (rng.random((size, size)) < often * 64 / size).astype(float), size / 80
    )
    trees = (crowns > 0.25 * crowns.max()) & ~np.isin(classes, (WATER, HOUSE))
    image[trees] = (44, 66, 36)
    rough = np.select([classes == WATER, classes == PARK, trees], [2.0, 9.0, 14.0], 6.0)
    image += (rough * texture(size, rng, (1, 2.5)))[..., None]
    image *= rng.uniform(0.85, 1.12) * (1 + rng.uniform(-0.05, 0.05) * np.array([1.0, 0.1, -1.0]))
    return finish(image, rng, blur=size / 220, noise=2.5)
