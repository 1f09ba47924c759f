"""Streets as a driver sees them: labels in the colours of Cityscapes, and a photograph of them."""

import math

import numpy as np

from image_data.canvas import Canvas
from image_data.street_photograph import photograph
from medrev.volumes import CITYSCAPES

__all__ = ["CLASSES", "street_pair"]

#: Number of every class, in the order of its colour.
CLASSES = {name: number for number, name in enumerate(CITYSCAPES)}
_COLOURS = np.array(list(CITYSCAPES.values()), dtype=np.uint8)


def street_pair(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A photograph and its labels, `(size, size, 3)` each, uint8."""
    scene = Scene(size, rng)
    labels = scene.canvas.classes
    return photograph(scene.canvas, scene.horizon, scene.centre, rng), _COLOURS[labels]


class Scene:
    """Draws a street from the far to the near.

    Args:
        size: Edge in pixels.
        rng: Draws everything.

    Attributes:
        canvas: Classes and objects.
        horizon: Where the street ends, as a share of the height from the top.
        centre: The same, as a share of the width from the left.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.horizon = rng.uniform(0.38, 0.5)
        self.centre = rng.uniform(0.4, 0.6)
        self.canvas = Canvas(size, CLASSES["sky"])
        self._ground()
        self._skyline()
        for side in (-1, 1):
            self._side(side)
        self._furniture()
        self._traffic()

    def _depth(self, y: float) -> float:
        """1 at the lower edge, 0 at the horizon: how large things are there."""
        return (y - self.horizon) / (1 - self.horizon)

    def _edge(self, y: float, side: int, wide: float) -> float:
        """Where something of a half-width of ``wide`` at the lower edge ends, at the height y."""
        return self.centre + side * (wide * self._depth(y) + math.copysign(0.02, wide))

    def _strip(self, inner: float, outer: float, side: int, kind: str) -> None:
        """A strip of ground along the street."""
        top, low = self.horizon, 1.02
        points = [
            (self._edge(top, side, inner), top), (self._edge(top, side, outer), top),
            (self._edge(low, side, outer), low), (self._edge(low, side, inner), low),
        ]  # fmt: skip
        self.canvas.polygon(points, CLASSES[kind])

    def _ground(self) -> None:
        self.road = self.rng.uniform(0.45, 0.65)
        self.walk = self.road + self.rng.uniform(0.15, 0.35)
        for side in (-1, 1):
            self._strip(0, 4, side, "terrain" if self.rng.random() < 0.5 else "sidewalk")
            self._strip(self.road, self.walk, side, "sidewalk")
        self._strip(-self.road, self.road, 1, "road")

    def _skyline(self) -> None:
        """Trees or houses at the end of the street."""
        kind = "vegetation" if self.rng.random() < 0.6 else "building"
        for _ in range(4):
            x = self.centre + self.rng.uniform(-0.15, 0.15)
            height = self.rng.uniform(0.03, 0.1)
            if kind == "building":
                self.canvas.box(x, self.horizon + 0.01, 0.08, height, CLASSES[kind])
            else:
                self.canvas.ellipse(x, self.horizon - height / 3, 0.1, height, CLASSES[kind])

    def _side(self, side: int) -> None:
        """Houses, trees, walls and fences beside the street, from far to near."""
        rng = self.rng
        wide = self.walk + rng.uniform(0, 0.15)
        far = 0.04
        while far < 1.5:
            near = far * rng.uniform(1.5, 2.3)
            ends = [self.horizon + depth * (1 - self.horizon) for depth in (far, near)]
            kind = rng.choice(
                ["building", "vegetation", "wall", "fence"], p=[0.6, 0.25, 0.06, 0.09]
            )
            height = {"building": rng.uniform(0.5, 1.4), "vegetation": 0.5}.get(
                kind, rng.uniform(0.12, 0.2)
            )
            if kind == "vegetation":
                self._trees(side, wide, far, near)
            else:
                tops = [y - height * depth for y, depth in zip(ends, (far, near), strict=True)]
                xs = [self._edge(y, side, wide) for y in ends]
                outer = xs[1] + side * 0.6 * near
                points = [(xs[0], ends[0]), (xs[0], tops[0]), (xs[1], tops[1]), (xs[1], ends[1])]
                if kind == "building":  # its front, towards the viewer
                    front = [
                        (xs[0], ends[0]), (xs[0], tops[0]),
                        (xs[0] + side * 0.6 * near, tops[0]), (outer, ends[0]),
                    ]  # fmt: skip
                    self.canvas.polygon(front, CLASSES[kind])
                self.canvas.polygon(points, CLASSES[kind])
            far = near * rng.uniform(1.0, 1.15)

    def _trees(self, side: int, wide: float, far: float, near: float) -> None:
        rng = self.rng
        for depth in np.linspace(far, near, int(rng.integers(2, 4))):
            y = self.horizon + depth * (1 - self.horizon)
            x = self._edge(y, side, wide) + side * 0.05 * depth
            height = depth * rng.uniform(0.35, 0.6)
            self.canvas.box(x, y, 0.03 * depth, height, CLASSES["vegetation"])
            for _ in range(6):
                dx, dy = rng.uniform(-0.12, 0.12, 2) * depth
                broad, tall = rng.uniform(0.15, 0.3, 2) * depth
                place = (x + dx, y - height + dy, broad, tall)
                self.canvas.ellipse(*place, CLASSES["vegetation"], same=True)

    def _furniture(self) -> None:
        """Poles with signs and lights, people on the pavement."""
        rng = self.rng
        for depth in sorted(rng.uniform(0.12, 0.8, int(rng.integers(2, 5)))):
            side = int(rng.choice([-1, 1]))
            y = self.horizon + depth * (1 - self.horizon)
            x = self._edge(y, side, self.road + rng.uniform(0.02, 0.06))
            height = rng.uniform(0.35, 0.6) * depth
            self.canvas.line([(x, y), (x, y - height)], 0.022 * depth, CLASSES["pole"])
            top = y - height
            if rng.random() < 0.5:
                self.canvas.box(
                    x, top + 0.1 * depth, 0.06 * depth, 0.13 * depth, CLASSES["traffic light"]
                )
            else:
                self.canvas.ellipse(x, top, 0.11 * depth, 0.11 * depth, CLASSES["traffic sign"])
        for depth in sorted(rng.uniform(0.15, 0.75, int(rng.integers(1, 5)))):
            side = int(rng.choice([-1, 1]))
            y = self.horizon + depth * (1 - self.horizon)
            x = self._edge(y, side, rng.uniform(self.road + 0.05, self.walk - 0.03))
            self._person(x, y, depth, "person")

    def _person(self, x: float, y: float, depth: float, kind: str) -> None:
        height = 0.3 * depth
        self.canvas.box(x, y, 0.07 * depth, 0.8 * height, CLASSES[kind])
        self.canvas.ellipse(
            x, y - 0.9 * height, 0.06 * depth, 0.07 * depth, CLASSES[kind], same=True
        )

    def _traffic(self) -> None:
        """Cars, now and then a truck, a bus, a tram, and two-wheelers."""
        rng = self.rng
        kinds = ["car", "truck", "bus", "train", "bicycle", "motorcycle"]
        for depth in sorted(rng.uniform(0.1, 0.75, int(rng.integers(2, 6)))):
            kind = str(rng.choice(kinds, p=[0.6, 0.07, 0.07, 0.05, 0.12, 0.09]))
            lane = rng.choice([-0.75, -0.35, 0.35, 0.75]) * self.road
            y = self.horizon + depth * (1 - self.horizon)
            x = self.centre + lane * depth
            if kind in ("bicycle", "motorcycle"):
                self._person(x, y - 0.05 * depth, depth, "rider")
                for shift in (-0.05, 0.05):
                    wheel = (x + shift * depth, y - 0.04 * depth, 0.09 * depth, 0.09 * depth)
                    self.canvas.ellipse(*wheel, CLASSES[kind], same=shift > 0)
                continue
            width, height = {
                "car": (0.3, 0.2), "truck": (0.34, 0.42), "bus": (0.34, 0.45), "train": (0.32, 0.5),
            }[kind]  # fmt: skip
            width, height = width * depth, height * depth
            if kind == "car":
                roof = 0.36 * width
                self.canvas.polygon(
                    [
                        (x - width / 2, y), (x - width / 2, y - 0.5 * height),
                        (x - roof, y - height), (x + roof, y - height),
                        (x + width / 2, y - 0.5 * height), (x + width / 2, y),
                    ],
                    CLASSES[kind],
                )  # fmt: skip
            else:
                self.canvas.box(x, y, width, height, CLASSES[kind])
