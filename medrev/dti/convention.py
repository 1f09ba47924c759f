"""In which order and along which axes the six components of tensors are, and who says so.

Three frames are met in files. ``voxel``: the array axes i, j, k (ANTs). ``fsl``: the array axes
with i reversed where the affine's determinant is positive, so that the frame is left-handed in
the world (FSL's "radiological" frame, also of its bvecs). ``ras``: the world axes (MRtrix).
Inside medrev tensors are in the voxel frame.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.volumes import (
    Header,
    Volume,
    check_affine,
    direction_cosines,
    like,
    read_header,
    read_volume,
    to_numpy,
)

#: Order of the components on the channel axis, everywhere in medrev (FSL's and BIDS's order).
COMPONENTS = ("Dxx", "Dxy", "Dxz", "Dyy", "Dyz", "Dzz")
#: Row and column of each component.
ROWS, COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)

Order = Literal["fsl", "dipy", "mrtrix", "ants"]
Values = TypeVar("Values", NDArray[Any], torch.Tensor)


def to_matrix(components: Values) -> Values:
    """Six components as a symmetric matrix ``(…, 3, 3)``.

    Args:
        components: ``(…, 6)`` with the components **last**, array or tensor.

    Example:
        >>> to_matrix(np.arange(6)).tolist()
        [[0, 1, 2], [1, 3, 4], [2, 4, 5]]
    """
    if components.shape[-1] != 6:
        raise InputError(f"six components are needed on the last axis, got {components.shape[-1]}")
    index = [0, 1, 2, 1, 3, 4, 2, 4, 5]
    return components[..., index].reshape(*components.shape[:-1], 3, 3)


def from_matrix(matrix: Values) -> Values:
    """The six components of a symmetric matrix; its upper triangle is read.

    Args:
        matrix: ``(…, 3, 3)``, array or tensor.

    Returns:
        ``(…, 6)`` with the components **last**.
    """
    if tuple(matrix.shape[-2:]) != (3, 3):
        raise InputError(f"3×3 matrices are needed, got shape {tuple(matrix.shape)}")
    return matrix[..., list(ROWS), list(COLUMNS)]


def convert_order(t: torch.Tensor, source: Order, target: Order) -> torch.Tensor:
    """Reorder the components of a tensor volume, by ``dipy.reconst.utils.convert_tensors``.

    The frame stays as it is: see :func:`medrev.dti.to_voxel_frame`.

    Args:
        t: ``(6, I, J, K)`` in the source's order.
        source: ``fsl`` (medrev's own order), ``dipy`` and ``ants`` (lower triangle: Dxx, Dxy, Dyy,
            Dxz, Dyz, Dzz) or ``mrtrix`` (Dxx, Dyy, Dzz, Dxy, Dxz, Dyz).
        target: As ``source``.

    Raises:
        InputError: If there are not six components or the order is not known.
    """
    orders = ("fsl", "dipy", "mrtrix", "ants")
    for order in (source, target):
        if order not in orders:
            raise InputError(f"tensor order must be one of {', '.join(orders)}, got {order!r}")
    if t.ndim != 4 or t.shape[0] != 6:
        raise InputError(f"a tensor volume has the shape (6, I, J, K), got {tuple(t.shape)}")
    if source == target:
        return t
    from dipy.reconst.utils import convert_tensors

    values = np.moveaxis(to_numpy(t), 0, -1)
    converted = convert_tensors(
        values, "dipy" if source == "ants" else source, "dipy" if target == "ants" else target
    )
    return like(np.ascontiguousarray(np.moveaxis(converted, -1, 0)), t)


def frobenius(tensors: torch.Tensor) -> torch.Tensor:
    """Square ``(1, …)`` of the Frobenius norm ``‖D‖² = Σ_rc D_rc²`` of tensors ``(6, …)``.

    Off-diagonal components count twice.
    """
    total = torch.zeros_like(tensors[0])
    for name, component in zip(COMPONENTS, tensors, strict=True):
        total.addcmul_(component, component, value=1 if name[1] == name[2] else 2)
    return total[None]


Frame = Literal["fsl", "voxel", "ras"]


def rotate(t: Values, rotation: NDArray[Any] | torch.Tensor) -> Values:
    """Rotate (or mirror) every tensor of a volume: ``D' = R D Rᵀ``. The voxels stay in place.

    R is 3×3, the same for all voxels.

    Returns:
        ``(…, 6, I, J, K)`` as ``t``. Mirror matrices (diagonal ±1) and permutations are exact.

    Raises:
        InputError: If there are not six components.
        GeometryError: If R is not orthogonal to 1e-4.
    """
    if t.ndim < 4 or t.shape[-4] != 6:
        raise InputError(f"a tensor volume has the shape (…, 6, I, J, K), got {tuple(t.shape)}")
    R = np.asarray(
        rotation.detach().cpu() if isinstance(rotation, torch.Tensor) else rotation, dtype=float
    )
    if R.shape != (3, 3) or np.abs(R @ R.T - np.eye(3)).max() > 1e-4:
        raise GeometryError(f"an orthogonal 3×3 matrix is needed, got {R.tolist()}")
    if np.array_equal(R, np.eye(3)):
        return t
    if isinstance(t, torch.Tensor):
        matrix = torch.as_tensor(_on_components(R), dtype=t.dtype, device=t.device)
        return torch.einsum("ab,...bijk->...aijk", matrix, t)
    return np.einsum("ab,...bijk->...aijk", _on_components(R).astype(t.dtype), t)


def frame_matrix(affine: NDArray[Any] | torch.Tensor, frame: Frame) -> NDArray[np.float64]:
    """The orthogonal matrix that takes vectors from a frame to the voxel frame.

    Returns:
        3×3. For ``fsl`` it is its own inverse; else the inverse is the transpose.

    Raises:
        GeometryError: If the affine is singular or sheared.
        InputError: If the frame is not known.
    """
    matrix = check_affine(affine)
    if frame == "voxel":
        return np.eye(3)
    if frame == "fsl":
        return np.diag([-1.0 if np.linalg.det(matrix[:3, :3]) > 0 else 1.0, 1.0, 1.0])
    if frame == "ras":
        return direction_cosines(matrix).T
    raise InputError(f"tensor frame must be fsl, voxel or ras, got {frame!r}")


def to_voxel_frame(t: Values, affine: NDArray[Any] | torch.Tensor, frame: Frame) -> Values:
    """Tensors ``(…, 6, I, J, K)`` of a file in the voxel frame; the affine is the array's.

    From RAS ``D_voxel = Uᵀ D U``, where U has the axes of the array in the world as columns.

    Raises:
        GeometryError: If the affine is singular or sheared.
        InputError: If the frame is not known or there are not six components.
    """
    return rotate(t, frame_matrix(affine, frame))


def from_voxel_frame(t: Values, affine: NDArray[Any] | torch.Tensor, frame: Frame) -> Values:
    """Tensors ``(…, 6, I, J, K)`` in the frame of a file: inverse of :func:`to_voxel_frame`.

    Raises:
        GeometryError: If the affine is singular or sheared.
        InputError: If the frame is not known or there are not six components.
    """
    return rotate(t, frame_matrix(affine, frame).T)


def _on_components(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 6×6 matrix by which R acts on the components."""
    matrix = np.zeros((6, 6))
    for n, (a, b) in enumerate(zip(ROWS, COLUMNS, strict=True)):
        for m, (c, d) in enumerate(zip(ROWS, COLUMNS, strict=True)):
            matrix[n, m] = R[a, c] * R[b, d] + (R[a, d] * R[b, c] if c != d else 0.0)
    return matrix


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
        """Components ``(6, I, J, K)`` as in the file, in medrev's order and the voxel frame."""
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
        ("TensorOrder in the JSON file beside it", sidecar[0], ORDERS),
        ("TensorFrame in the JSON file beside it", sidecar[1], FRAMES),
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
