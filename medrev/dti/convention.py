"""In which order and along which axes the six components of a tensor file are, and who says so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.frame import Frame, rotate, to_voxel_frame
from medrev.dti.order import Order, convert_order
from medrev.errors import InputError
from medrev.volumes import Header, Volume, read_header, read_volume

ORDERS: tuple[str, ...] = get_args(Order)
FRAMES: tuple[str, ...] = get_args(Frame)


@dataclass(frozen=True, eq=False)
class Convention:
    """Order and frame of the components of a tensor file.

    Attributes:
        order: Component order.
        frame: Frame; ``ras`` where the file has a measurement frame.
        measurement: Measurement frame of the file: from the components' axes to RAS, 3×3.
        origin: Who says so: ``given`` by the caller, the ``header`` of the file, ``told`` by a
            description of it (a JSON file beside it, a pipeline), or nobody: ``assumed``.
        notes: What contradicts itself, one line each.
    """

    order: Order = "fsl"
    frame: Frame = "fsl"
    measurement: NDArray[np.float64] | None = None
    origin: Literal["given", "header", "told", "assumed"] = "assumed"
    notes: tuple[str, ...] = ()

    def in_voxel_frame(self, components: torch.Tensor, affine: NDArray[np.float64]) -> torch.Tensor:
        """Components as stored, in medrev's order and the voxel frame.

        Args:
            components: ``(6, I, J, K)`` as in the file.
            affine: Voxel → RAS mm, 4×4, of the file.
        """
        ordered = convert_order(components, self.order, "fsl")
        if self.measurement is not None:
            ordered = rotate(ordered, self.measurement)
        return to_voxel_frame(ordered, affine, self.frame)


def tensor_convention(
    header: Header,
    *,
    order: str | None = None,
    frame: str | None = None,
    sidecar: tuple[str | None, str | None] = (None, None),
) -> Convention:
    """Find out the convention of a tensor file.

    What is given goes first, then the header (the intent 1005 of NIfTI, kind and measurement frame
    of NRRD), then what a sidecar says. Without any of these, six volumes are taken to be FSL's, and
    the components of a 5D NIfTI to be those of ANTs (lower triangle, voxel frame): neither can be
    seen in the file.

    Args:
        header: Of the file.
        order: Component order given by the caller.
        frame: Frame given by the caller.
        sidecar: Order and frame by a description that goes with the file.

    Raises:
        InputError: An order or frame is not known, or a NRRD file has no measurement frame and
            nobody says which frame it is.
    """
    for name, value, allowed in (
        ("tensor order", order, ORDERS),
        ("tensor frame", frame, FRAMES),
        ("tensor order", sidecar[0], ORDERS),
        ("tensor frame", sidecar[1], FRAMES),
    ):
        if value is not None and value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}, got '{value}'")
    layout = header.tensor
    by_header = None if layout is None else layout.order
    notes = []
    if order is not None and by_header is not None and order != by_header:
        notes.append(f"component order {order} as given, though the header says {by_header}")
    five = layout is not None and header.format == "NIfTI"
    chosen = order or by_header or sidecar[0] or ("ants" if five else "fsl")
    measurement = None if layout is None else layout.frame
    if frame is not None and measurement is not None:
        notes.append(f"frame {frame} as given, though the file has a measurement frame")
        measurement = None
    turned = frame or ("ras" if measurement is not None else None) or sidecar[1]
    if turned is None and header.format == "NRRD":
        raise InputError(
            f"{header.path}: no measurement frame, so that the axes of the tensors' components are "
            "not known: give --tensor-frame voxel, ras or fsl"
        )
    turned = turned or ("voxel" if five else "fsl")
    if order or frame:
        origin = "given"
    elif measurement is not None or by_header is not None:
        origin = "header"
    else:
        origin = "told" if any(sidecar) else "assumed"
    return Convention(chosen, turned, measurement, origin, tuple(notes))  # type: ignore[arg-type]


def read_tensor(
    path: str | Path, convention: Convention | None = None, *, allow_nan: bool = False
) -> Volume:
    """Read a tensor file into medrev's component order and the voxel frame.

    Args:
        path: NIfTI (4D of six volumes, or 5D) or NRRD.
        convention: Of the file (default: what :func:`tensor_convention` finds in its header).
        allow_nan: Accept NaN and infinity.

    Returns:
        ``(6, I, J, K)``, mm²/s as stored.

    Raises:
        InputError: The file cannot be read or has no six components.
        GeometryError: Its grid cannot be used.

    Example:
        >>> import medrev, nibabel, numpy
        >>> tensors = numpy.full((4, 4, 4, 6), [1e-3, 0, 0, 7e-4, 0, 7e-4])
        >>> nibabel.save(nibabel.Nifti1Image(tensors, 2 * numpy.eye(4)), "dti.nii.gz")
        >>> volume = medrev.read_tensor("dti.nii.gz")
        >>> volume.values.shape, volume.affine.diagonal().tolist()
        (torch.Size([6, 4, 4, 4]), [2.0, 2.0, 2.0, 1.0])
    """
    volume = read_volume(path, allow_nan=allow_nan)
    if volume.shape[0] != 6:
        raise InputError(
            f"{path}: a tensor volume has six components on its fourth axis, "
            f"got {volume.shape[0]} of {'×'.join(str(n) for n in volume.shape[1:])} voxels"
        )
    convention = convention or tensor_convention(read_header(path))
    turned = convention.in_voxel_frame(volume.values, volume.affine)
    return Volume(turned, volume.affine, volume.meta, volume.header)
