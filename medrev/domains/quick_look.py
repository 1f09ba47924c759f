"""A picture of a result beside its input: the same slices, windows and colours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_INCHES = 2.7  # width of a picture
_MARGIN = 0.055  # height of the words below a picture, as a share of its width
_BAR = 0.62  # width of a colour bar with its numbers
_INK = "#d8dee6"


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
    """

    label: str
    pictures: dict[str, Array]
    top: float | None
    unit: str
    aspect: float
    doubts: tuple[Doubt, ...] = ()


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
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = len(self.rows[0].pictures)
        doubted = max(len(row.doubts) for row in self.rows)
        shapes = [next(iter(row.pictures.values())).shape for row in self.rows]
        heights = [
            _INCHES * shape[0] / shape[1] * row.aspect
            for shape, row in zip(shapes, self.rows, strict=True)
        ]
        widths = [*[_INCHES] * columns, _BAR, *[_INCHES, _BAR] * doubted]
        head, gap = 0.85, 0.06
        size = (sum(widths) + 0.1, sum(heights) + gap * len(heights) + head)
        figure = Figure(figsize=size, dpi=120, facecolor="black")
        FigureCanvasAgg(figure)
        figure.text(
            0.1 / size[0], 1 - 0.12 / size[1], self.title, color="white", fontsize=11, va="top"
        )
        figure.text(
            0.1 / size[0], 1 - 0.36 / size[1], self.subtitle, color=_INK, fontsize=8, va="top"
        )
        top = size[1] - head
        for index, (row, height) in enumerate(zip(self.rows, heights, strict=True)):
            left = 0.05
            place = _Place(figure, size, top - height, height)
            for name, picture in row.pictures.items():
                axis = place.axes(left, _INCHES - gap)
                place.show(axis, picture, row.aspect, vmin=0, vmax=row.top, cmap="gray")
                if index == 0:
                    axis.set_title(name, color="white", fontsize=10, pad=4)
                left += _INCHES
            first = figure.axes[-columns]
            first.text(0.015, 0.015, row.label, color=_INK, fontsize=8, transform=first.transAxes)
            if row.top is None:
                place.wheel(left)
            else:
                place.bar(left, "gray", row.top, row.unit)
            for number, doubt in enumerate(row.doubts):
                left += _BAR
                axis = place.axes(left, _INCHES - gap)
                seen = doubt.picture[doubt.picture > 0]
                brightest = float(np.percentile(seen, 99)) if seen.size else 1.0
                brightest = max(brightest, doubt.least)
                place.show(axis, doubt.picture, row.aspect, vmin=0, vmax=brightest, cmap="magma")
                place.label(axis, doubt.label)
                if index == number == 0:
                    axis.set_title("uncertainty", color="white", fontsize=10, pad=4)
                left += _INCHES
                place.bar(left, "magma", brightest, doubt.unit)
            top -= height + gap
        figure.savefig(path, format="png")


class _Place:
    """One row of the figure, in inches."""

    def __init__(
        self, figure: Any, size: tuple[float, float], bottom: float, height: float
    ) -> None:
        self.figure, self.size, self.bottom, self.height = figure, size, bottom, height

    def axes(self, left: float, width: float, bottom: float = 0, height: float = 1) -> Any:
        """Axes at a place of the row; bottom and height as shares of the row's height."""
        wide, high = self.size
        box = (
            left / wide,
            (self.bottom + bottom * self.height) / high,
            width / wide,
            height * self.height / high,
        )
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def show(self, axes: Any, picture: Array, aspect: float, **options: Any) -> None:
        """Draw a picture, its first row at the lower end."""
        axes.imshow(picture, origin="lower", interpolation="nearest", aspect=aspect, **options)

    def label(self, axes: Any, text: str) -> None:
        """Words in the lower left corner of a picture."""
        from matplotlib.patheffects import withStroke

        axes.text(
            0.015,
            0.015,
            text,
            color="white",
            fontsize=8,
            transform=axes.transAxes,
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )

    def bar(self, left: float, cmap: str, top: float, unit: str) -> None:
        """A colour bar from 0 to ``top`` with its unit."""
        axes = self.axes(left + 0.04, 0.11, 0.08, 0.76)
        axes.set_axis_on()
        ramp = np.linspace(0, 1, 128)[:, None]
        axes.imshow(ramp, origin="lower", aspect="auto", cmap=cmap, extent=(0, 1, 0, top))
        axes.set_xticks([])
        axes.yaxis.tick_right()
        axes.tick_params(axis="y", colors=_INK, labelsize=7, length=2, pad=2)
        axes.locator_params(axis="y", nbins=4)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(unit, color=_INK, fontsize=7, loc="left", pad=5, x=-0.3)

    def wheel(self, left: float) -> None:
        """The colours of directions seen from above: red to the sides, green front and back."""
        edge = 0.46
        axes = self.axes(left + 0.06, edge, 0.5 - edge / 2 / self.height, edge / self.height)
        y, x = np.mgrid[-1:1:64j, -1:1:64j]
        z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
        wheel = np.abs(np.stack([x, y, z], axis=-1))
        axes.imshow(np.where((x**2 + y**2 <= 1)[..., None], wheel, 0), origin="lower")
        for text, place in (("L", (-0.14, 0.5)), ("R", (1.14, 0.5)), ("A", (0.5, 1.14))):
            axes.text(
                *place,
                text,
                color=_INK,
                fontsize=6,
                ha="center",
                va="center",
                transform=axes.transAxes,
            )


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


def with_margin(picture: Array) -> Array:
    """A picture with black rows at its lower end, where words are written."""
    rows = max(1, round(_MARGIN * picture.shape[1]))
    return np.pad(picture, [(rows, 0), *[(0, 0)] * (picture.ndim - 1)])
