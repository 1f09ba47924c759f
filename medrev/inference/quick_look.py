"""A picture of a result beside its input: the same slices, windows and colours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti import color_fa, scalar_maps
from medrev.volumes import Plane, View, block_mean, pad_to_multiple, upsample

__all__ = ["Comparison", "compare"]

Array = NDArray[Any]

#: Coarse slices to either side that cubic interpolation of one slice needs.
_REACH = 3
_INCHES = 2.7  # width of a picture
_MARGIN = 0.055  # height of the words below a picture, as a share of its width
_BAR = 0.62  # width of a colour bar with its numbers
_INK = "#d8dee6"
_DOUBTS = {"deviation": "standard deviation", "cycle residual": "cycle residual"}
_UNIT = "10$^{-3}$ mm²/s"


@dataclass(frozen=True, eq=False)
class _Row:
    """One quantity on one slice.

    Attributes:
        label: Quantity and view.
        pictures: ``(rows, columns[, 3])`` by column's name.
        top: Value of the brightest grey; None for pictures in colour.
        unit: Of the values.
        doubt: Picture of an uncertainty on the same slice, with its name.
        aspect: Height of a pixel divided by its width.
    """

    label: str
    pictures: dict[str, Array]
    top: float | None
    unit: str
    doubt: tuple[str, Array] | None
    aspect: float


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
    rows: tuple[_Row, ...]

    def save(self, path: Path) -> None:
        """Draw it into a PNG file."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = len(self.rows[0].pictures)
        doubted = any(row.doubt is not None for row in self.rows)
        shapes = [next(iter(row.pictures.values())).shape for row in self.rows]
        heights = [
            _INCHES * shape[0] / shape[1] * row.aspect
            for shape, row in zip(shapes, self.rows, strict=True)
        ]
        widths = [*[_INCHES] * columns, _BAR, *([_INCHES, _BAR] if doubted else [])]
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
            if doubted and row.doubt is not None:
                name, picture = row.doubt
                left += _BAR
                axis = place.axes(left, _INCHES - gap)
                seen = picture[picture > 0]
                brightest = float(np.percentile(seen, 99)) if seen.size else 1.0
                place.show(axis, picture, row.aspect, vmin=0, vmax=brightest, cmap="magma")
                place.label(axis, name)
                if index == 0:
                    axis.set_title("uncertainty", color="white", fontsize=10, pad=4)
                place.bar(left + _INCHES, "magma", brightest, _UNIT)
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


def compare(
    source: torch.Tensor,
    result: torch.Tensor,
    *,
    source_affine: Array,
    affine: Array,
    source_mask: torch.Tensor,
    mask: torch.Tensor,
    factor: int,
    inverse: bool,
    std: torch.Tensor | None = None,
    cycle: torch.Tensor | None = None,
    title: str = "",
    subtitle: str = "",
) -> Comparison:
    """Cut the slices that a picture shows.

    The axial and the coronal slice with most brain, through the same places of the world: input,
    cubic interpolation (in reverse: block mean), output and, where given, uncertainty. Coarse
    voxels are shown as they are. Left is left.

    Args:
        source: Input tensors ``(6, …)``, mm²/s, voxel frame.
        result: Output tensors ``(6, …)``, mm²/s, voxel frame.
        source_affine: Voxel → RAS mm, 4×4, of the input.
        affine: Of the result.
        source_mask: Mask ``(1, …)`` of the input.
        mask: Of the result.
        factor: Fine voxels per coarse one along every axis.
        inverse: The result is the coarse one.
        std: Standard deviation ``(1, …)`` on the result's grid, mm²/s.
        cycle: Cycle residual ``(1, …)`` on the input's grid, mm²/s.
        title: Above the pictures.
        subtitle: Below the title.
    """
    fine_affine, fine_mask = (source_affine, source_mask) if inverse else (affine, mask)
    views = {
        view: _Cut(Plane(fine_affine, fine_mask, view), fine_mask, factor)
        for view in ("axial", "coronal")
    }
    slabs: dict[View, dict[str, torch.Tensor]] = {}
    for view, cut in views.items():
        slabs[view] = {  # type: ignore[index]
            "input": cut.fine(source) if inverse else cut.coarse(source),
            "block mean" if inverse else "cubic": (
                cut.mean(source) if inverse else cut.cubic(source)
            ),
            "output": cut.coarse(result) if inverse else cut.fine(result),
        }

    def doubt(view: View, *wanted: str) -> tuple[str, Array] | None:
        cut = views[view]
        for name in wanted:
            if name == "deviation" and std is not None:
                slab = cut.coarse(std) if inverse else cut.fine(std)
            elif name == "cycle residual" and cycle is not None:
                slab = cut.fine(cycle) if inverse else cut.coarse(cycle)
            else:
                continue
            return f"{_DOUBTS[name]}, {view}", 1e3 * cut.picture(slab)
        return None

    md = {name: scalar_maps(slab)["md"][None] for name, slab in slabs["axial"].items()}
    seen = md["output"][md["output"] > 0]
    top = 1e3 * float(np.percentile(seen, 99)) if len(seen) else 1.0
    axial, coronal = views["axial"], views["coronal"]
    rows = (
        _Row(
            "colour FA, axial",
            {
                name: np.clip(axial.colours(color_fa(slab)) * 1.3, 0, 1)
                for name, slab in slabs["axial"].items()
            },
            None,
            "",
            doubt("axial", "deviation", "cycle residual"),
            axial.plane.aspect,
        ),
        _Row(
            "mean diffusivity, axial",
            {name: 1e3 * axial.picture(values) for name, values in md.items()},
            top,
            _UNIT,
            doubt("axial", "cycle residual"),
            axial.plane.aspect,
        ),
        _Row(
            "FA, coronal",
            {
                name: coronal.picture(scalar_maps(slab)["fa"][None])
                for name, slab in slabs["coronal"].items()
            },
            1.0,
            "",
            doubt("coronal", "deviation", "cycle residual"),
            coronal.plane.aspect,
        ),
    )
    return Comparison(title, subtitle, rows)


class _Cut:
    """One slice of the fine grid, and what coarse volumes show of it.

    Args:
        plane: Slice of the fine grid.
        mask: ``(1, I, J, K)`` on the fine grid.
        factor: Fine voxels per coarse one.
    """

    def __init__(self, plane: Plane, mask: torch.Tensor, factor: int) -> None:
        self.plane, self.factor = plane, factor
        self.axis = plane.axis + 1
        self.shape = mask.shape[1:]
        self.brain = plane.picture(mask.float())[..., 0] > 0

    def fine(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a volume on the fine grid."""
        return self.plane.slab(volume)

    def coarse(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a coarse volume with every voxel repeated."""
        slab = volume.narrow(self.axis, self.plane.index // self.factor, 1)
        for axis in range(1, 4):
            if axis != self.axis:
                slab = slab.repeat_interleave(self.factor, axis)
                slab = slab.narrow(axis, 0, self.shape[axis - 1])
        return slab

    def cubic(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a coarse volume after cubic interpolation."""
        middle = self.plane.index // self.factor
        start = max(0, middle - _REACH)
        stop = min(volume.shape[self.axis], middle + _REACH + 1)
        part = volume.narrow(self.axis, start, stop - start)
        fine = upsample(part[None].float(), self.factor, "cubic")[0]
        return fine.narrow(self.axis, self.plane.index - start * self.factor, 1)

    def mean(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a fine volume's block mean, every voxel repeated."""
        start = self.plane.index // self.factor * self.factor
        part = volume.narrow(self.axis, start, min(self.factor, volume.shape[self.axis] - start))
        padded, _ = pad_to_multiple(part, self.factor, fill="edge")
        slab = block_mean(padded[None].float(), self.factor)[0]
        for axis in range(1, 4):
            if axis != self.axis:
                slab = slab.repeat_interleave(self.factor, axis)
                slab = slab.narrow(axis, 0, self.shape[axis - 1])
        return slab

    def picture(self, slab: torch.Tensor) -> Array:
        """A scalar slab as a picture of the brain."""
        whole = np.where(self.brain, self.plane.picture(slab)[..., 0], 0)
        return _with_margin(self.plane.crop(whole))

    def colours(self, slab: torch.Tensor) -> Array:
        """A slab of colours as a picture of the brain."""
        whole = np.where(self.brain[..., None], self.plane.colours(slab), 0)
        return _with_margin(self.plane.crop(whole))


def _with_margin(picture: Array) -> Array:
    """A picture with black rows at its lower end, where words are written."""
    rows = max(1, round(_MARGIN * picture.shape[1]))
    return np.pad(picture, [(rows, 0), *[(0, 0)] * (picture.ndim - 1)])
