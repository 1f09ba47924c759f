"""A volume that is to be written, and what its sidecar says of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray

from medrev.dti import Convention, convert_order, from_voxel_frame
from medrev.volumes import (
    Volume,
    write_color_nifti,
    write_mgh,
    write_nifti,
    write_scalar_nrrd,
    write_tensor_nrrd,
)

#: Ending of a volume's name by format.
SUFFIXES = {"nifti": ".nii.gz", "nrrd": ".nrrd"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Map:
    """Values on a grid.

    Attributes:
        values: ``(C, I, J, K)``; tensors in medrev's order and the voxel frame.
        affine: Voxel → RAS mm, 4×4.
        description: In words.
        units: Of the values.
        kind: tensor, scalar or color (red, green, blue from 0 to 1).
        space: NIfTI code of the space.
        convention: Order and frame of tensors in a NIfTI file.
    """

    values: torch.Tensor
    affine: NDArray[Any]
    description: str
    units: str
    kind: Literal["tensor", "scalar", "color"] = "scalar"
    space: int = 1
    convention: Convention | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of the sidecar."""
        return {"Description": self.description, "Units": self.units}

    def write(self, path: Path) -> None:
        """Write it in the format that the name of the file says."""
        if path.name.endswith(SUFFIXES["nrrd"]):
            if self.kind == "tensor":
                write_tensor_nrrd(path, self.values, self.affine, overwrite=True)
            else:
                write_scalar_nrrd(path, self.values, self.affine, overwrite=True, kind="RGB-color")
            return
        values = self.values
        write: Any = write_color_nifti if self.kind == "color" else write_nifti
        if path.suffix in (".mgz", ".mgh"):
            write = write_mgh
        if self.kind == "tensor":
            assert self.convention is not None
            turned = from_voxel_frame(values, self.affine, self.convention.frame)
            values = convert_order(turned, "fsl", self.convention.order)
        write(path, Volume(values, self.affine, {"space_code": self.space}), overwrite=True)
