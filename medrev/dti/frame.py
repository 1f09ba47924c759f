"""Frames of diffusion tensors: along which axes x, y and z of the components point.

Three frames are met in files. ``voxel``: the array axes i, j, k (ANTs). ``fsl``: the array axes
with i reversed where the affine's determinant is positive, so that the frame is left-handed in
the world (FSL's "radiological" frame, also of its bvecs). ``ras``: the world axes (MRtrix).
Inside medrev tensors are in the voxel frame.
"""

from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.order import COLUMNS, ROWS
from medrev.errors import GeometryError, InputError
from medrev.volumes import check_affine, direction_cosines

Frame = Literal["fsl", "voxel", "ras"]
Values = TypeVar("Values", NDArray[Any], torch.Tensor)


def rotate(t: Values, rotation: NDArray[Any] | torch.Tensor) -> Values:
    """Rotate (or mirror) every tensor of a volume: ``D' = R D Rᵀ``. The voxels stay in place.

    Args:
        t: ``(…, 6, I, J, K)``, array or tensor.
        rotation: Orthogonal matrix R, 3×3, the same for all voxels.

    Returns:
        As ``t``. Mirror matrices (diagonal ±1) and permutations are exact.

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

    Args:
        affine: Voxel → RAS mm, 4×4.
        frame: ``fsl``, ``voxel`` or ``ras``.

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
    """Tensors of a file in the voxel frame: ``D_voxel = Uᵀ D U`` for RAS, U = axes in the world.

    Args:
        t: ``(…, 6, I, J, K)`` in the frame named.
        affine: Voxel → RAS mm, 4×4, of the array.
        frame: The frame of ``t``.

    Raises:
        GeometryError: If the affine is singular or sheared.
        InputError: If the frame is not known or there are not six components.
    """
    return rotate(t, frame_matrix(affine, frame))


def from_voxel_frame(t: Values, affine: NDArray[Any] | torch.Tensor, frame: Frame) -> Values:
    """Tensors in the voxel frame in the frame of a file: inverse of :func:`to_voxel_frame`.

    Args:
        t: ``(…, 6, I, J, K)`` in the voxel frame.
        affine: Voxel → RAS mm, 4×4, of the array.
        frame: The frame wanted.

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
