"""The grid on which a subject is compared: what lies on it, and bringing a volume onto it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti import from_voxel_frame, to_voxel_frame
from medrev.errors import GeometryError
from medrev.volumes import same_grid

__all__ = ["Grid", "regrid"]

#: mm by which corresponding voxels of one grid may lie apart.
_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels in space.

    Attributes:
        shape: Voxels along i, j, k.
        affine: Voxel → RAS mm, 4×4.
        name: Whose grid it is, for messages.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    name: str = "the reference"

    def __str__(self) -> str:
        return "x".join(str(n) for n in self.shape)

    def same(self, other: "Grid") -> bool:
        """Whether all voxels lie at the same points, to 0.01 mm."""
        return self.shape == other.shape and same_grid(
            self.affine, other.affine, shape=self.shape, tolerance=_TOLERANCE
        )

    def check(self, path: Path, other: "Grid", advice: str) -> None:
        """Refuse a volume on another grid.

        Raises:
            GeometryError: Saying in what the grids differ, and the advice.
        """
        if self.same(other):
            return
        if self.shape != other.shape:
            raise GeometryError(f"{path} has {other} voxels, {self.name} has {self}: {advice}")
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"), float)
        points = np.concatenate([corners.reshape(3, -1), np.ones((1, 8))])
        apart = np.linalg.norm(((self.affine - other.affine) @ points)[:3], axis=0).max()
        raise GeometryError(
            f"{path} lies elsewhere than {self.name}: their affines put voxels up to {apart:.3g} "
            f"mm apart: {advice}"
        )


def regrid(
    volume: torch.Tensor,
    source: Grid,
    target: Grid,
    *,
    order: Literal[0, 1] = 1,
    tensors: bool = False,
) -> torch.Tensor:
    """Resample a volume onto another grid, through world coordinates; zero outside its own.

    Args:
        volume: ``(C, *source.shape)``; tensors in the source's voxel frame.
        source: Where it lies.
        target: Where it is wanted.
        order: 0 nearest neighbour, 1 trilinear.
        tensors: Turn diffusion tensors from one voxel frame into the other.

    Returns:
        ``(C, *target.shape)``, float32.
    """
    from scipy import ndimage

    if tensors:
        volume = from_voxel_frame(volume, source.affine, "ras")
    # One rounding for all: voxels that the two grids share are taken as they are.
    matrix = np.round(np.linalg.inv(source.affine) @ target.affine, 6)
    moved = [
        ndimage.affine_transform(
            channel, matrix[:3, :3], matrix[:3, 3], output_shape=target.shape, order=order
        )
        for channel in volume.numpy().astype(np.float32)
    ]
    result = torch.from_numpy(np.stack(moved))
    return to_voxel_frame(result, target.affine, "ras") if tensors else result
