"""Turning arrays to RAS, and cutting volumes into slices of one size and putting them together."""

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.volumes.affine import as_affine
from medrev.volumes.montage import View

#: Axis of an RAS array that runs across the slices of a view.
SLICE_AXES: dict[View, int] = {"sagittal": 0, "coronal": 1, "axial": 2}


class Reorient:
    """Flips and exchanges of array axes that bring a grid nearest to RAS, and back.

    Voxels keep their values and their place in the world.

    Args:
        affine: Voxel → RAS mm, 4×4, of the grid.
        last: The world axis (0, 1 or 2) along which the last axis runs; the others follow it in
            turn.

    Example:
        >>> import numpy as np
        >>> reorient = Reorient(np.diag([-2.0, 2, 2, 1]))
        >>> volume = torch.arange(8.0).reshape(1, 2, 2, 2)
        >>> torch.equal(reorient.forward(volume), volume.flip(1))
        True
        >>> torch.equal(reorient.inverse(reorient.forward(volume)), volume)
        True
    """

    def __init__(self, affine: NDArray[Any] | torch.Tensor, last: int = 2) -> None:
        self._affine = as_affine(affine)
        self._there = nib.orientations.io_orientation(self._affine)
        self._there[:, 0] = (self._there[:, 0] + 2 - last) % 3
        target = np.array([[0, 1], [1, 1], [2, 1]])
        self._back = nib.orientations.ornt_transform(target, self._there)

    @property
    def order(self) -> tuple[int, int, int]:
        """The axis of the turned array that each axis of the array becomes."""
        i, j, k = (int(axis) for axis in self._there[:, 0])
        return i, j, k

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Turn ``(C, I, J, K)`` to RAS."""
        return _turned(volume, self._there)

    def inverse(self, volume: torch.Tensor) -> torch.Tensor:
        """Turn ``(C, I', J', K')`` back."""
        return _turned(volume, self._back)

    def affine_for(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """The affine of the turned array of an array of ``shape`` (I, J, K)."""
        matrix = nib.orientations.inv_ornt_aff(self._there, shape)
        return np.asarray(self._affine @ matrix, dtype=np.float64)

    def back_from(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Voxels of the array turned back → voxels of a turned array of ``shape``, 4×4."""
        return np.asarray(nib.orientations.inv_ornt_aff(self._back, shape), dtype=np.float64)


def _turned(volume: torch.Tensor, orientation: NDArray[Any]) -> torch.Tensor:
    """Flip and permute; ``orientation[i]`` says to which axis, and which way round, axis i goes."""
    flips = [i + 1 for i in range(3) if orientation[i, 1] < 0]
    order = np.argsort(orientation[:, 0]).astype(int)
    turned = volume.flip(flips) if flips else volume
    return turned.permute(0, *(int(i) + 1 for i in order)).contiguous()


@dataclass(frozen=True)
class Slicing:
    """How a volume is cut into slices of one size, padded or cropped at the centre.

    Attributes:
        axis: Axis (0, 1 or 2 for I, J, K) across the slices.
        shape: Voxels (I, J, K) of the volume.
        size: Voxels of a slice along its two axes.

    Example:
        >>> slicing = Slicing(axis=2, shape=(5, 6, 3), size=(8, 8))
        >>> volume = torch.rand(1, 5, 6, 3)
        >>> slices = slicing.forward(volume, fill=-1)
        >>> slices.shape
        torch.Size([3, 1, 8, 8])
        >>> torch.equal(slicing.inverse(slices, fill=0), volume)
        True
    """

    axis: int
    shape: tuple[int, int, int]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.axis not in (0, 1, 2):
            raise InputError(f"the slice axis must be 0, 1 or 2, got {self.axis}")

    @property
    def cropped(self) -> bool:
        """Whether voxels of the volume lie outside of the slices."""
        return any(n > size for n, size in zip(self._plane, self.size, strict=True))

    @property
    def _plane(self) -> tuple[int, int]:
        first, second = (n for axis, n in enumerate(self.shape) if axis != self.axis)
        return first, second

    def forward(self, volume: torch.Tensor, fill: float) -> torch.Tensor:
        """Cut ``(C, I, J, K)`` into ``(slices, C, *size)``; new voxels are ``fill``."""
        slices = volume.movedim(self.axis + 1, 0)
        result = volume.new_full((*slices.shape[:2], *self.size), fill)
        (rows, to_rows), (columns, to_columns) = self._places()
        result[..., to_rows, to_columns] = slices[..., rows, columns]
        return result

    def inverse(self, slices: torch.Tensor, fill: float) -> torch.Tensor:
        """Put ``(slices, C, *size)`` together to ``(C, I, J, K)``; what was cropped is ``fill``."""
        result = slices.new_full((*slices.shape[:2], *self._plane), fill)
        (rows, from_rows), (columns, from_columns) = self._places()
        result[..., rows, columns] = slices[..., from_rows, from_columns]
        return result.movedim(0, self.axis + 1).contiguous()

    def _places(self) -> list[tuple[slice, slice]]:
        """Along both axes: which voxels of the volume's plane lie where in a slice."""
        places = []
        for n, size in zip(self._plane, self.size, strict=True):
            shared = min(n, size)
            ours, theirs = (n - shared) // 2, (size - shared) // 2
            places.append((slice(ours, ours + shared), slice(theirs, theirs + shared)))
        return places
