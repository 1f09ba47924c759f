"""Slices as pictures: the same way up and the same way round whatever the array's orientation."""

from typing import Any, Literal, get_args

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
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
