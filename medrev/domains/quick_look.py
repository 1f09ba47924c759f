"""A picture of a result beside its input: the same slices, windows and colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.volumes import DIRECTIONS, Panel, Plane, write_montage

Array = NDArray[Any]


def doubt(label: str, picture: Array, unit: str, aspect: float, *, least: float = 0) -> Panel:
    """How sure a result is, on one slice; the brightest colour leaves out the highest percent.

    Args:
        label: What it is, and view.
        picture: ``(rows, columns)``.
        unit: Of the values.
        aspect: Height of a pixel divided by its width.
        least: The brightest colour stands for this value at least: what is next to nothing then
            looks like it.
    """
    seen = picture[picture > 0]
    top = max(float(np.percentile(seen, 99)) if seen.size else 1.0, least)
    return Panel(picture, 0, top, "magma", aspect, label=label, scale=unit)


def row(
    label: str,
    pictures: Mapping[str, Array],
    plane: Plane,
    *,
    top: float | None = None,
    unit: str = "",
    doubts: Sequence[Panel] = (),
    first: bool = True,
) -> list[Panel]:
    """One quantity on one slice, from left to right.

    Args:
        label: Quantity and view, below the first picture.
        pictures: ``(rows, columns[, 3])`` by what stands above them.
        plane: The slice.
        top: Value of the brightest grey; None: the pictures are in colour.
        unit: Of the values of grey ones, at the colour bar beside the last one.
        doubts: How sure the result is, on the same slice (:func:`doubt`).
        first: Of several rows, which has headings.
    """
    last = len(pictures) - 1
    panels = [
        Panel(
            picture,
            high=1.0 if top is None else top,
            aspect=plane.aspect,
            heading=name if first else "",
            label="" if number else label,
            scale=(DIRECTIONS if top is None else unit) if number == last else None,
            sides="" if number else plane.sides,
        )
        for number, (name, picture) in enumerate(pictures.items())
    ]
    if first and doubts:
        doubts = [replace(doubts[0], heading="uncertainty"), *doubts[1:]]
    return [*panels, *doubts]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is drawn: small enough to be kept until it is.

    Attributes:
        title: First line above the pictures.
        subtitle: Second line.
        rows: From top to bottom (:func:`row`).
    """

    title: str
    subtitle: str
    rows: list[list[Panel]]

    @property
    def about(self) -> dict[str, Any]:
        """Nothing: a picture has no sidecar."""
        return {}

    def write(self, path: Path) -> None:
        """Draw it into a PNG file."""
        write_montage(path, self.rows, title=self.title, subtitle=self.subtitle)


def nearest(count: int, ratio: float, size: int) -> Array:
    """The voxels of an axis of ``size`` that ``count`` voxels of another grid show there.

    Both have the same corner; ``ratio`` is the other's edge in voxels of the axis.

    Example:
        >>> nearest(6, 1 / 3, 2)
        array([0, 0, 0, 1, 1, 1])
    """
    places = np.clip((np.arange(count) + 0.5) * ratio - 0.5, 0, size - 1)
    return np.floor(places + 0.5).astype(np.int64)
