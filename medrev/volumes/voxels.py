"""Where the voxels of a volume lie: whether two volumes have one grid."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medrev.errors import GeometryError
from medrev.volumes.affine import same_grid

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
