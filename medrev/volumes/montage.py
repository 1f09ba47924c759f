"""Slices of volumes as pictures, and montages of them with what they are and their scales."""

import functools
import importlib.util
import math
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
        sides: Letters of what lies at the left and the right end of a picture.
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
        self.sides = "PA" if view == "sagittal" else "LR"
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

# Pixels.
_GAP, _BAR, _HEADING, _LABEL, _HEAD = 7, 74, 29, 20, 70
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
        sides: Letters at its left and its right end (:attr:`Plane.sides`); empty: none.
    """

    pixels: NDArray[Any] | None
    low: float = 0.0
    high: float = 1.0
    colours: str = "gray"
    aspect: float = 1.0
    heading: str = ""
    label: str = ""
    scale: str | None = None
    sides: str = ""


class _Box(NamedTuple):
    """A place on the paper in pixels, from the upper left corner."""

    left: int
    top: int
    width: int
    height: int


class _Words(NamedTuple):
    """How a text is written: pixels, which of its points is given (as PIL has it), colour."""

    height: int
    anchor: str
    colour: str = _INK


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
        ValueError: A colour map is not known.
    """
    from PIL import Image

    lefts, right = [], _GAP
    for column in range(max(len(row) for row in rows)):
        lefts.append(right)
        scaled = any(column < len(row) and row[column].scale is not None for row in rows)
        right += edge + (_BAR if scaled else _GAP)
    heights = [_heights(row, edge) for row in rows]
    top = _HEAD if title or subtitle else _GAP
    paper = Image.new("RGB", (right, top + sum(map(sum, heights)) + _GAP * len(rows)))
    _write(paper, (_GAP, 12), title, _Words(18, "la", "white"))
    _write(paper, (_GAP, 41), subtitle, _Words(13, "la"))
    for row, (above, high, below) in zip(rows, heights, strict=True):
        top += above
        for left, panel in zip(lefts, row, strict=False):
            if panel.pixels is not None:
                _draw(paper, panel, _Box(left, top, edge, high))
        top += high + below + _GAP
    with atomic_path(path, overwrite=True) as temporary:
        paper.save(temporary, format="PNG")


def _heights(row: Sequence[Panel], width: int) -> tuple[int, int, int]:
    """Height of a row's headings, pictures and labels."""
    shown = [panel for panel in row if panel.pixels is not None]
    above = _HEADING if any(panel.heading for panel in row) else 0
    below = _LABEL if any(panel.label for panel in row) else 0
    return above, max((_height(panel, width) for panel in shown), default=0), below


def _height(panel: Panel, width: int) -> int:
    assert panel.pixels is not None
    rows, columns = panel.pixels.shape[:2]
    return max(1, round(width * rows / columns * panel.aspect))


def _draw(paper: Any, panel: Panel, box: _Box) -> None:
    """A picture with its words and its scale."""
    left, top, width, height = box
    size = width, _height(panel, width)
    _paste(paper, _colours(panel), (left, top + (height - size[1]) // 2), size)
    middle, right = left + width // 2, left + width
    for letter, place in zip(panel.sides, (left + 12, right - 12), strict=False):
        _write(paper, (place, top + 4), letter, _Words(14, "ma", "white"))
    _write(paper, (middle, top - 8), panel.heading, _Words(17, "ms", "white"))
    label = paper.crop((left, top + height, right, top + height + _LABEL))
    _write(label, (3, _LABEL // 2), panel.label, _Words(13, "lm"))
    paper.paste(label, (left, top + height))  # what is wider than the picture is left out
    if panel.scale == DIRECTIONS:
        _wheel(paper, _Box(right + 14, top + height // 2 - 24, 48, 48))
    elif panel.scale is not None:
        high = round(0.76 * height)
        _bar(paper, _Box(right + 7, top + round(0.92 * height) - high, 13, high), panel)


def _colours(panel: Panel) -> NDArray[np.uint8]:
    """A panel's picture as bytes, its first row the lowest; what is not finite is dark."""
    pixels = np.asarray(panel.pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint8 and pixels.ndim == 3:
        return pixels
    if pixels.ndim == 3:
        return (255 * np.clip(np.nan_to_num(pixels), 0, 1) + 0.5).astype(np.uint8)
    span = panel.high - panel.low if panel.high > panel.low else 1.0
    shares = np.nan_to_num((pixels.astype(np.float64) - panel.low) / span, posinf=1.0, neginf=0.0)
    return _palette(panel.colours)[np.clip(256 * shares, 0, 255).astype(np.uint8)]


def _palette(name: str) -> NDArray[np.uint8]:
    """256 colours; matplotlib, which takes long to import, for what is not grey."""
    if name == "gray":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(f"matplotlib has no colormap {name!r}")
    return np.asarray(colormaps[name](np.arange(256), bytes=True)[:, :3])


def _paste(
    paper: Any, pixels: NDArray[np.uint8], place: tuple[int, int], size: tuple[int, int]
) -> None:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels[::-1]))
    paper.paste(picture.resize(size, Image.Resampling.NEAREST), place)


def _write(paper: Any, place: tuple[float, float], text: str, how: _Words) -> None:
    from PIL import ImageDraw

    font = _font(how.height)
    ImageDraw.Draw(paper).text(place, text, fill=how.colour, font=font, anchor=how.anchor)


@functools.cache
def _font(height: int) -> Any:
    """The font that matplotlib brings along, which is not imported for it."""
    from PIL import ImageFont

    home = importlib.util.find_spec("matplotlib")
    assert home is not None
    assert home.origin is not None
    fonts = Path(home.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / "DejaVuSans.ttf", height)


def _bar(paper: Any, box: _Box, panel: Panel) -> None:
    """A colour bar with its unit."""
    ramp = _palette(panel.colours)[:, None]
    _paste(paper, ramp, (box.left, box.top), (box.width, box.height))
    _write(paper, (box.left - 3, box.top - 8), panel.scale or "", _Words(11, "ls"))
    span = panel.high - panel.low
    for tick in _ticks(panel.low, panel.high):
        at = box.top + box.height - 1 - (tick - panel.low) / span * (box.height - 1)
        _write(paper, (box.left + box.width + 5, at), f"{tick:g}", _Words(12, "lm"))


def _ticks(low: float, high: float) -> list[float]:
    """Up to five round numbers from ``low`` to ``high``.

    Example:
        >>> _ticks(0, 3.1), _ticks(-1, 1)
        ([0.0, 1.0, 2.0, 3.0], [-1.0, -0.5, 0.0, 0.5, 1.0])
    """
    if not math.isfinite(high - low) or high <= low:
        return []
    tenth = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(tenth * n for n in (1, 2, 2.5, 5, 10) if (high - low) / (tenth * n) <= 4 + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.6g}") for n in range(first, last + 1)]


def _wheel(paper: Any, box: _Box) -> None:
    """The colours of directions seen from above: red to the sides, green front and back."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    wheel = np.where((x**2 + y**2 <= 1)[..., None], np.abs(np.stack([x, y, z], axis=-1)), 0)
    _paste(paper, (255 * wheel).astype(np.uint8), (box.left, box.top), (box.width, box.height))
    middle = box.top + box.height // 2
    for text, x_of, y_of in (
        ("L", box.left - 6, middle),
        ("R", box.left + box.width + 7, middle),
        ("A", box.left + box.width // 2, box.top - 7),
    ):
        _write(paper, (x_of, y_of), text, _Words(10, "mm"))
