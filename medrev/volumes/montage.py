"""Slices of volumes as pictures, and montages of them with what they are and their scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.files import atomic_path
from medrev.volumes.affine import as_affine, voxel_size

View = Literal["axial", "coronal", "sagittal"]

#: World axes (x right, y front, z up) that run along columns, along rows, and through the picture.
_AXES: dict[View, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}


class Plane:
    """The slice of a grid that holds most of a mask, in one of the three views.

    Columns of a picture run from left to right (sagittal: from back to front), rows from back to
    front (coronal and sagittal: from bottom to top): plot them with the origin at the lower end.

    Args:
        affine: Voxel → RAS mm, 4×4.
        mask: ``(1, I, J, K)``, non-zero inside.
        view: axial, coronal or sagittal.

    Attributes:
        axis_of: Array axis that runs along x, y and z of the world.
        axis: Array axis that runs through the picture.
        index: Index of the slice on the axis that runs through the picture.
        aspect: Height of a picture's pixel divided by its width.
        box: Rows and columns of a picture that hold the mask, with one pixel around it.

    Raises:
        InputError: The mask is empty, or the view is not known.
    """

    def __init__(
        self, affine: NDArray[Any] | torch.Tensor, mask: torch.Tensor, view: View = "axial"
    ) -> None:
        if view not in _AXES:
            raise InputError(f"view must be one of {', '.join(get_args(View))}, got {view!r}")
        matrix = as_affine(affine)
        self._orientation = nib.orientations.io_orientation(matrix)
        axes = self._orientation[:, 0].astype(int)
        self.axis_of = [int(np.flatnonzero(axes == world)[0]) for world in range(3)]
        self._across, self._up, self.axis = (self.axis_of[world] for world in _AXES[view])
        inside = mask[0] != 0
        if not bool(inside.any()):
            raise InputError("the mask is empty: there is nothing to show")
        counts = inside.sum(dim=[a for a in range(3) if a != self.axis])
        self.index = int(counts.argmax())
        edges = voxel_size(matrix)
        self.aspect = edges[self._up] / edges[self._across]
        shown = self.picture(inside[None].float())[..., 0] > 0
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        self.box = (
            slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
            slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
        )

    def slab(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice as a volume ``(C, I, J, K)`` of one voxel's thickness."""
        axis = self.axis + 1
        if volume.shape[axis] == 1:
            return volume
        return volume.index_select(axis, torch.tensor([self.index]))

    def picture(self, volume: torch.Tensor) -> NDArray[Any]:
        """A volume or slab ``(C, I, J, K)`` as (rows, columns, C)."""
        axes = (self._up + 1, self._across + 1, self.axis + 1, 0)
        plane = self.slab(volume).permute(*axes)[:, :, 0].numpy()
        if self._orientation[self._up, 1] < 0:
            plane = plane[::-1]
        if self._orientation[self._across, 1] < 0:
            plane = plane[:, ::-1]
        return np.asarray(plane)

    def colours(self, volume: torch.Tensor) -> NDArray[Any]:
        """Colours along array axes ``(3, I, J, K)`` as a picture with red x, green y, blue z."""
        return self.picture(volume)[..., self.axis_of]

    def crop(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The part of a picture that holds the mask."""
        return picture[self.box]


#: Instead of a unit: the colours of directions seen from above, beside the panel.
DIRECTIONS = "directions"

# Inches.
_GAP, _BAR, _HEADING, _LABEL, _HEAD = 0.06, 0.62, 0.24, 0.17, 0.58
_DPI = 120
_INK = "#d8dee6"


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a montage.

    Attributes:
        pixels: ``(rows, columns)``, or ``(rows, columns, 3)`` in 0 to 1 or bytes; the first row is
            the lowest, as :meth:`Plane.picture` gives it. None: an empty place.
        low: Value shown darkest; of pictures in colour not used.
        high: Value shown brightest.
        colours: One of matplotlib's colour maps.
        aspect: Height of a pixel divided by its width.
        heading: Words above.
        label: Words below.
        scale: Unit of the colour bar beside it, or :data:`DIRECTIONS`; None: nothing.
    """

    pixels: NDArray[Any] | None
    low: float = 0.0
    high: float = 1.0
    colours: str = "gray"
    aspect: float = 1.0
    heading: str = ""
    label: str = ""
    scale: str | None = None


class _Box(NamedTuple):
    """A place on the paper in inches, from the lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


def write_montage(
    path: Path,
    rows: Sequence[Sequence[Panel]],
    *,
    title: str = "",
    subtitle: str = "",
    edge: int = 320,
) -> None:
    """Write a PNG of panels in rows, whole or not at all; an existing one is replaced.

    Args:
        path: The picture.
        rows: Panels from the top and from the left; rows may be of different length.
        title: First line above all.
        subtitle: Second line.
        edge: Width of a panel in pixels.

    Raises:
        OutputError: It cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = edge / _DPI
    lefts, right = [], _GAP
    for column in range(max(len(row) for row in rows)):
        lefts.append(right)
        scaled = any(column < len(row) and row[column].scale is not None for row in rows)
        right += width + (_BAR if scaled else _GAP)
    heights = [_heights(row, width) for row in rows]
    top = _HEAD if title or subtitle else _GAP
    size = (right, top + sum(map(sum, heights)) + _GAP * len(rows))
    figure = Figure(figsize=size, dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    for text, below, colour, points in ((title, 0.1, "white", 11), (subtitle, 0.34, _INK, 8)):
        place = _GAP / size[0], 1 - below / size[1]
        figure.text(*place, text, color=colour, fontsize=points, va="top")
    bottom = size[1] - top
    for row, (above, high, below) in zip(rows, heights, strict=True):
        bottom -= above + high + below
        for left, panel in zip(lefts, row, strict=False):
            if panel.pixels is not None:
                _draw(figure, panel, _Box(left, bottom + below, width, high))
        bottom -= _GAP
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png")


def _heights(row: Sequence[Panel], width: float) -> tuple[float, float, float]:
    """Height of a row's headings, pictures and labels."""
    high = 0.0
    for panel in row:
        if panel.pixels is not None:
            rows, columns = panel.pixels.shape[:2]
            high = max(high, width * rows / columns * panel.aspect)
    above = _HEADING if any(panel.heading for panel in row) else 0.0
    return above, high, _LABEL if any(panel.label for panel in row) else 0.0


def _draw(figure: Any, panel: Panel, box: _Box) -> None:
    """A picture with its words and its scale."""
    axes = _axes(figure, box)
    options: dict[str, Any] = {"origin": "lower", "interpolation": "nearest"}
    window = {"vmin": panel.low, "vmax": panel.high, "cmap": panel.colours}
    axes.imshow(panel.pixels, aspect=panel.aspect, **options, **window)
    if panel.heading:
        axes.set_title(panel.heading, color="white", fontsize=10, pad=4)
    if panel.label:
        below = _axes(figure, _Box(box.left, box.bottom - _LABEL, box.width, _LABEL))
        below.text(0.01, 0.5, panel.label, color=_INK, fontsize=8, va="center", clip_on=True)
    right = box.left + box.width
    if panel.scale == DIRECTIONS:
        _wheel(figure, _Box(right + 0.12, box.bottom + box.height / 2 - 0.2, 0.4, 0.4))
    elif panel.scale is not None:
        place = _Box(right + 0.06, box.bottom + 0.08 * box.height, 0.11, 0.76 * box.height)
        _bar(figure, place, panel)


def _axes(figure: Any, box: _Box) -> Any:
    wide, high = figure.get_size_inches()
    axes = figure.add_axes(
        (box.left / wide, box.bottom / high, box.width / wide, box.height / high)
    )
    axes.set_axis_off()
    return axes


def _bar(figure: Any, box: _Box, panel: Panel) -> None:
    """A colour bar with its unit."""
    axes = _axes(figure, box)
    axes.set_axis_on()
    ramp, ends = np.linspace(0, 1, 128)[:, None], (0, 1, panel.low, panel.high)
    axes.imshow(ramp, origin="lower", aspect="auto", cmap=panel.colours, extent=ends)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(axis="y", colors=_INK, labelsize=7, length=2, pad=2)
    axes.locator_params(axis="y", nbins=4)
    axes.spines[:].set_visible(False)
    axes.set_title(panel.scale, color=_INK, fontsize=7, loc="left", pad=5, x=-0.3)


def _wheel(figure: Any, box: _Box) -> None:
    """The colours of directions seen from above: red to the sides, green front and back."""
    axes = _axes(figure, box)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    wheel = np.abs(np.stack([x, y, z], axis=-1))
    axes.imshow(np.where((x**2 + y**2 <= 1)[..., None], wheel, 0), origin="lower")
    for text, place in (("L", (-0.14, 0.5)), ("R", (1.14, 0.5)), ("A", (0.5, 1.14))):
        middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(*place, text, color=_INK, fontsize=6, **middle)
