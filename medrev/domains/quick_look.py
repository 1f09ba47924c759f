"""A picture of a result beside its input: the same slices, windows and colours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.volumes import DIRECTIONS, Panel, write_montage

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Doubt:
    """An uncertainty on one slice.

    Attributes:
        label: What it is, and view.
        picture: ``(rows, columns)``, like the row's other pictures.
        unit: Of the values.
        least: The brightest colour stands for this value at least: what is next to nothing then
            looks like it.
    """

    label: str
    picture: Array
    unit: str
    least: float = 0

    def panel(self, aspect: float, *, heading: str) -> Panel:
        """Its picture; the brightest colour leaves out the highest percent."""
        seen = self.picture[self.picture > 0]
        top = max(float(np.percentile(seen, 99)) if seen.size else 1.0, self.least)
        return Panel(self.picture, 0, top, "magma", aspect, heading, self.label, self.unit)


@dataclass(frozen=True, eq=False)
class Row:
    """One quantity on one slice.

    Attributes:
        label: Quantity and view.
        pictures: ``(rows, columns[, 3])`` by column's name.
        top: Value of the brightest grey; None for pictures in colour.
        unit: Of the values.
        aspect: Height of a pixel divided by its width.
        doubts: How sure the result is, on the same slice.
        sides: Letters at both ends (:attr:`medrev.volumes.Plane.sides`).
    """

    label: str
    pictures: dict[str, Array]
    top: float | None
    unit: str
    aspect: float
    doubts: tuple[Doubt, ...] = ()
    sides: str = ""

    def panels(self, *, first: bool) -> list[Panel]:
        """Its pictures from left to right; the first row has headings."""
        top = 1.0 if self.top is None else self.top
        scale = DIRECTIONS if self.top is None else self.unit
        last = len(self.pictures) - 1
        panels = [
            Panel(
                picture,
                high=top,
                aspect=self.aspect,
                heading=name if first else "",
                label="" if number else self.label,
                scale=scale if number == last else None,
                sides="" if number else self.sides,
            )
            for number, (name, picture) in enumerate(self.pictures.items())
        ]
        for number, doubt in enumerate(self.doubts):
            heading = "uncertainty" if first and not number else ""
            panels.append(doubt.panel(self.aspect, heading=heading))
        return panels


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is drawn: small enough to be kept until it is.

    Attributes:
        title: First line above the pictures.
        subtitle: Second line.
        rows: From top to bottom.
    """

    title: str
    subtitle: str
    rows: tuple[Row, ...]

    @property
    def about(self) -> dict[str, Any]:
        """Nothing: a picture has no sidecar."""
        return {}

    def write(self, path: Path) -> None:
        """Draw it into a PNG file."""
        rows = [row.panels(first=row is self.rows[0]) for row in self.rows]
        write_montage(path, rows, title=self.title, subtitle=self.subtitle)


def nearest(count: int, ratio: float, size: int) -> Array:
    """The voxels of one axis that another grid with the same corner shows there.

    Args:
        count: Voxels of the other grid.
        ratio: Edge of one of them, in voxels of the axis.
        size: Voxels of the axis.

    Example:
        >>> nearest(6, 1 / 3, 2)
        array([0, 0, 0, 1, 1, 1])
    """
    places = np.clip((np.arange(count) + 0.5) * ratio - 0.5, 0, size - 1)
    return np.floor(places + 0.5).astype(np.int64)
