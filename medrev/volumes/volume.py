"""A volume with its geometry, and what the header of its file says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor


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
