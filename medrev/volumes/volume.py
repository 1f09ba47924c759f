"""A volume with its geometry, and what the header of its file says."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError
from medrev.volumes.affine import same_grid

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor

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


@dataclass(frozen=True, eq=False)
class TensorLayout:
    """What a header says about the six components of the tensors in it.

    Attributes:
        order: Component order: ``fsl`` (upper triangle) or ``ants`` (lower triangle); None where
            the header does not say.
        frame: Orthogonal 3×3 matrix from the components' axes to RAS; None where the header does
            not say.
    """

    order: str | None = None
    frame: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Header:
    """What a file holds, known before its voxels are read.

    Attributes:
        path: The file, or the folder of a DICOM series.
        format: NIfTI, NRRD, MetaImage, MGH or DICOM series.
        shape: Volumes (or components) and voxels, ``(C, I, J, K)``.
        affine: Voxel → RAS mm, 4×4, rectangular (:func:`medrev.volumes.rectify_affine`).
        space_code: NIfTI code of the space (1 scanner, 4 MNI, …).
        affine_source: sform, qform, or pixdim where both codes are 0; else header.
        notes: What the user should know about the geometry, one line each.
        tensor: Given where the header itself says that the components are those of tensors.
        extra: Fields of the format, for the reader.
        files: All files that hold it: the file itself, data that lie beside it, the slices of a
            DICOM series.
    """

    path: Path
    format: str
    shape: tuple[int, int, int, int]
    affine: NDArray[np.float64]
    space_code: int = 1
    affine_source: str = "header"
    notes: tuple[str, ...] = ()
    tensor: TensorLayout | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.files:
            object.__setattr__(self, "files", (self.path,))


@dataclass(frozen=True, eq=False)
class Volume:
    """Values on a grid: what `read_volume` gives and `write_nifti` takes.

    It is a MONAI ``MetaTensor`` in plain clothes: importing MONAI takes seconds, which a command
    that only reads, translates and writes does not have.

    Attributes:
        values: ``(C, I, J, K)``.
        affine: Voxel → RAS mm, 4×4, float64.
        meta: As the ``meta`` of a MetaTensor: ``space_code``, ``nifti``, …
        header: Of the file it was read from.

    Example:
        >>> Volume(torch.zeros(1, 2, 3, 4), np.eye(4)).shape
        torch.Size([1, 2, 3, 4])
    """

    values: torch.Tensor
    affine: NDArray[np.float64]
    meta: dict[str, Any] = field(default_factory=dict)
    header: Header | None = None

    @property
    def shape(self) -> torch.Size:
        """``(C, I, J, K)``."""
        return self.values.shape

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the header."""
        return () if self.header is None else self.header.notes

    def as_metatensor(self) -> "MetaTensor":
        """The same as a MONAI ``MetaTensor``, sharing its memory."""
        from monai.data.meta_tensor import MetaTensor

        return MetaTensor(self.values, affine=torch.from_numpy(self.affine), meta=dict(self.meta))


def is_metatensor(values: object) -> "TypeGuard[MetaTensor]":
    """Whether something is a MONAI ``MetaTensor``, told without importing MONAI.

    Before MONAI is imported by somebody else, there is none.
    """
    module = sys.modules.get("monai.data.meta_tensor")
    return module is not None and isinstance(values, module.MetaTensor)


def plain(values: Any) -> Any:
    """The tensor in a MetaTensor or Volume; anything else as it is."""
    if isinstance(values, Volume):
        return values.values
    return values.as_tensor() if is_metatensor(values) else values


def to_numpy(values: torch.Tensor | Volume | NDArray[Any]) -> NDArray[Any]:
    """A plain array that shares memory with the tensor where it can."""
    values = plain(values)
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def like(values: NDArray[Any] | torch.Tensor, reference: object) -> torch.Tensor:
    """A tensor on the grid of a reference: MetaTensor with its affine, or plain tensor.

    Args:
        values: The new values.
        reference: A MetaTensor hands on its affine and the code of its space, but no other header
            field: intent and description belong to the old values.

    Returns:
        A MetaTensor if the reference is one, else a plain tensor.
    """
    tensor = torch.as_tensor(plain(values))
    if not is_metatensor(reference):
        return tensor
    meta = {key: reference.meta[key] for key in ("space_code",) if key in reference.meta}
    return type(reference)(tensor, affine=reference.affine.clone(), meta=meta)
