"""A volume and where it lies; images are volumes of one slice, i to the right and j upwards."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from medrev.domains.source import recognise
from medrev.domains.tensor.reading import convention_of, read_tensors
from medrev.dti import COMPONENTS, from_voxel_frame, to_voxel_frame
from medrev.volumes import PICTURES, Grid, read_pixels, read_volume, rescale_affine

#: Voxels at a border that one grid may have more than another.
_SPARE = 3


@dataclass(frozen=True, eq=False)
class Placed:
    """A volume and where it lies.

    Attributes:
        values: ``(C, I, J, K)``; tensors in the voxel frame, in FSL's order.
        grid: Where it lies; images lie nowhere.
        largest: The largest value that the type of an image holds; None of volumes.
    """

    values: torch.Tensor
    grid: Grid
    largest: float | None = None

    @classmethod
    def read(cls, path: Path, *, fit: bool = False) -> "Placed":
        """Read a volume, and fit raw DWI where tensors are compared.

        NaN and infinity are let through: the metrics say where they matter.
        """
        if path.suffix.lower() in PICTURES:
            return cls._picture(path)
        source = recognise(path) if fit else None
        if source is not None and source.kind == "dwi":
            scan = read_tensors(source)
            return cls(scan.values, Grid(tuple(scan.values.shape[1:]), scan.placed))
        volume = read_volume(path, allow_nan=True)
        values, affine = volume.values, volume.affine
        if values.shape[0] == len(COMPONENTS):
            values = convention_of(recognise(path), None, None).in_voxel_frame(values, affine)
        return cls(values, Grid(tuple(values.shape[1:]), affine))

    @classmethod
    def of_numbers(cls, path: Path, *, indexed: bool) -> "Placed":
        """Read a mask, label map, label image or standard deviation, as it is stored.

        With ``indexed`` that may be numbers of an image's palette.
        """
        if path.suffix.lower() in PICTURES:
            return cls._picture(path, indexed=indexed)
        volume = read_volume(path)
        return cls(volume.values, Grid(tuple(volume.shape[1:]), volume.affine))

    @classmethod
    def _picture(cls, path: Path, *, indexed: bool = False) -> "Placed":
        """As stored, not scaled: ``(C, I, J, 1)``, C 1 or 3."""
        pixels, largest = read_pixels(path, indexed=indexed)
        rows = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
        values = as_picture(torch.from_numpy(rows))
        return cls(values, Grid(tuple(values.shape[1:]), np.eye(4)), largest)

    @property
    def tensors(self) -> bool:
        """Whether there are as many channels as tensors have."""
        return self.values.shape[0] == len(COMPONENTS)

    def named(self, name: str) -> "Placed":
        """The same under a name for messages."""
        return replace(self, grid=replace(self.grid, name=name))

    def is_coarser(self, grid: Grid) -> bool:
        """Whether it has the field of view of a grid, in as many voxels or fewer."""
        if any(coarse > fine for fine, coarse in zip(grid.shape, self.grid.shape, strict=True)):
            return False
        i, j, k = np.divide(self.grid.shape, grid.shape)
        return Grid(grid.shape, rescale_affine(self.grid.affine, (i, j, k))).same(grid)

    def on(self, grid: Grid, *, order: Literal[0, 1] = 1, turn: bool = False) -> "Placed":
        """Resample it onto another grid, through world coordinates; zero outside its own.

        By nearest neighbour (order 0) or trilinear (1); tensors turn with the frame where asked.

        Voxels that the two grids share, to 0.01 mm, are taken as they are.
        """
        from scipy import ndimage

        volume, source = self.values, self.grid
        if grid.same(source):
            return replace(self, values=volume.float(), grid=grid)
        if turn:
            volume = from_voxel_frame(volume, source.affine, "ras")
        matrix = np.round(np.linalg.inv(source.affine) @ grid.affine, 6)
        whole = np.rint(matrix)
        if Grid(grid.shape, source.affine @ whole).same(grid):
            matrix, order = whole, 0
        moved = [
            ndimage.affine_transform(
                channel, matrix[:3, :3], matrix[:3, 3], output_shape=grid.shape, order=order
            )
            for channel in volume.numpy().astype(np.float32)
        ]
        values = torch.from_numpy(np.stack(moved))
        return replace(
            self, values=to_voxel_frame(values, grid.affine, "ras") if turn else values, grid=grid
        )


def shared_grid(grids: list[Grid]) -> Grid | None:
    """What grids have in common that are the same but for a few voxels at their borders.

    Fields of view of a whole number of coarse voxels end so. None where all are the same, or their
    voxels do not lie on one another.
    """
    first = grids[0]
    starts, ends = [np.zeros(3, int)], [np.array(first.shape)]
    for grid in grids[1:]:
        between = np.linalg.inv(first.affine) @ grid.affine
        start = np.rint(between[:3, 3]).astype(int)
        moved = first.affine.copy()
        moved[:3, 3] = (first.affine @ [*start, 1])[:3]
        if not Grid(grid.shape, moved).same(grid):
            return None
        starts.append(start)
        ends.append(start + grid.shape)
    low, high = np.max(starts, axis=0), np.min(ends, axis=0)
    spare = np.maximum(low - np.min(starts, axis=0), np.max(ends, axis=0) - high)
    if not spare.any() or spare.max() > _SPARE or (high <= low).any():
        return None
    affine = first.affine.copy()
    affine[:3, 3] = (first.affine @ [*low, 1])[:3]
    shape = tuple(int(n) for n in high - low)
    return Grid(shape, affine, "the voxels that all have")


def as_picture(rows: torch.Tensor) -> torch.Tensor:
    """An image ``(C, H, W)``, rows from the top, as a volume ``(C, I, J, 1)``.

    Example:
        >>> as_picture(torch.tensor([[[1, 2, 3], [4, 5, 6]]]))[0, :, :, 0]
        tensor([[4, 1],
                [5, 2],
                [6, 3]])
    """
    return rows.flip(1).transpose(1, 2)[..., None].contiguous()


def as_rows(picture: torch.Tensor) -> torch.Tensor:
    """Undo :func:`as_picture`.

    Example:
        >>> rows = torch.rand(3, 4, 5)
        >>> torch.equal(as_rows(as_picture(rows)), rows)
        True
    """
    return picture[..., 0].transpose(1, 2).flip(1).contiguous()
