"""Affines: 4×4 matrices from voxel indices (centre of voxel 0 at 0, 0, 0) to RAS millimetres."""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError

Affine = TypeVar("Affine", NDArray[Any], torch.Tensor)

SMALLEST, LARGEST = 0.01, 100.0  # mm: voxel edges that a scan of a brain can have
ORTHOGONALITY = 1e-3  # largest cosine between two grid axes
SAME = 1e-4  # mm; two affines that place every voxel of a grid this near to each other are one


def as_affine(affine: NDArray[Any] | torch.Tensor) -> NDArray[np.float64]:
    """The affine as a float64 array, whether it came from nibabel or from a MetaTensor."""
    if isinstance(affine, torch.Tensor):
        affine = affine.detach().cpu().numpy()
    return np.array(affine, dtype=np.float64)


def rescale_affine(affine: Affine, ratio: float | tuple[float, float, float]) -> Affine:
    """Affine of a grid with other voxels over the same field of view.

    The outer corner of the first voxel stays where it is, so the first centre moves by
    ``(ratio - 1) / 2`` old voxels along every axis: ``A · [diag(r), (r - 1) / 2; 0, 1]``.

    Args:
        affine: Voxel → RAS mm, 4×4, of the old grid.
        ratio: New voxel edge / old voxel edge, one number or one per axis: 2 for block means of
            2³ voxels, 1/2 for twofold super-resolution.

    Returns:
        The new affine, float64, array or tensor as given.

    Raises:
        GeometryError: If a ratio is not positive.

    Example:
        >>> rescale_affine(np.diag([1.0, 1.0, 1.0, 1.0]), 2)[:3, 3].tolist()
        [0.5, 0.5, 0.5]
    """
    edges: NDArray[np.float64] = np.broadcast_to(np.asarray(ratio, dtype=np.float64), (3,))
    if not (np.isfinite(edges).all() and (edges > 0).all()):
        raise GeometryError(f"ratio of voxel edges must be positive, got {ratio}")
    step = np.eye(4)
    step[:3, :3] = np.diag(edges)
    step[:3, 3] = (edges - 1) / 2
    new = as_affine(affine) @ step
    if isinstance(affine, torch.Tensor):
        return torch.as_tensor(new, device=affine.device)
    return new


def voxel_size(affine: NDArray[Any] | torch.Tensor) -> tuple[float, float, float]:
    """Voxel edges in mm along the array axes i, j, k.

    Example:
        >>> voxel_size(np.diag([-2.0, 2.0, 3.0, 1.0]))
        (2.0, 2.0, 3.0)
    """
    i, j, k = np.linalg.norm(as_affine(affine)[:3, :3], axis=0).tolist()
    return i, j, k


def direction_cosines(affine: NDArray[Any] | torch.Tensor) -> NDArray[np.float64]:
    """The grid's axes in the world: the orthogonal matrix nearest to the normalised columns.

    Args:
        affine: Voxel → RAS mm, 4×4, that :func:`check_affine` accepts.

    Returns:
        3×3; column n is the RAS direction of array axis n. Its determinant has the sign of the
        affine's.

    Example:
        >>> direction_cosines(np.diag([-2.0, 2.0, 3.0, 1.0])).tolist()
        [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    columns = as_affine(affine)[:3, :3]
    u, _, vt = np.linalg.svd(columns / np.linalg.norm(columns, axis=0))
    return np.asarray(u @ vt)


def check_affine(affine: NDArray[Any] | torch.Tensor, name: str = "affine") -> NDArray[np.float64]:
    """Check that an affine describes a grid of boxes: finite, invertible, axes orthogonal.

    Args:
        affine: Voxel → RAS mm, 4×4.
        name: What carries the affine (a file name), for the message.

    Returns:
        The affine as a float64 array.

    Raises:
        GeometryError: If it is not 4×4, not finite, singular, has another last row than 0 0 0 1,
            or is sheared (two axes with a cosine above 1e-3).
    """
    matrix = as_affine(affine)
    if matrix.shape != (4, 4):
        raise GeometryError(f"{name}: the affine must be 4×4, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise GeometryError(
            f"{name}: the affine must be finite, got {_row(matrix)}: correct the header"
        )
    if (np.abs(matrix[3] - (0, 0, 0, 1)) > (1e-8, 1e-8, 1e-8, 1e-5)).any():
        raise GeometryError(f"{name}: the affine's last row must be 0 0 0 1, got {matrix[3]}")
    edges = np.linalg.norm(matrix[:3, :3], axis=0)
    if (edges < 1e-6).any():
        raise GeometryError(
            f"{name}: the affine is singular (voxel edges {_row(edges)} mm): "
            "correct the header's voxel size and axes"
        )
    axes = matrix[:3, :3] / edges
    if abs(np.linalg.det(axes)) < 1e-3:
        raise GeometryError(
            f"{name}: the affine is singular (two grid axes point the same way): "
            "correct the header's axes"
        )
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > ORTHOGONALITY:
        first, second = sorted(int(n) for n in np.unravel_index(cosines.argmax(), (3, 3)))
        raise GeometryError(
            f"{name}: the affine is sheared (axes {'ijk'[first]} and {'ijk'[second]} are "
            f"{np.degrees(np.arccos(min(1.0, cosines.max()))):.2f}° apart, not 90°): "
            "resample onto a rectangular grid first"
        )
    return matrix


def rectify_affine(
    affine: NDArray[Any] | torch.Tensor, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], float]:
    """The rectangular grid nearest to one with a slight shear.

    A qform, an NRRD file and ITK know rotations only. A grid whose axes are not quite orthogonal
    (:func:`check_affine` lets cosines up to 1e-3 pass) would lie in one place by the sform and in
    another by the qform. So its axes are replaced by the orthogonal ones nearest to them; voxel
    edges and the centre of the grid stay.

    Args:
        affine: Voxel → RAS mm, 4×4, checked.
        shape: Voxels along i, j, k.

    Returns:
        The affine, and how far the farthest voxel moved in mm. Where that would be at most
        1e-4 mm, the affine is returned as it was, with 0.

    Example:
        >>> sheared = np.eye(4)
        >>> sheared[0, 1] = 1e-3
        >>> _, moved = rectify_affine(sheared, (101, 101, 101))
        >>> round(moved, 3)
        0.035
    """
    old = as_affine(affine)
    edges = np.linalg.norm(old[:3, :3], axis=0)
    slant = np.abs(old[:3, :3].T @ old[:3, :3] / np.outer(edges, edges) - np.eye(3)).max()
    if slant * (edges @ shape[-3:]) < SAME / 100:  # no voxel can move farther than a few times that
        return old, 0.0
    new = old.copy()
    new[:3, :3] = direction_cosines(old) * edges
    centre = (np.array(shape[-3:]) - 1) / 2
    new[:3, 3] += (old[:3, :3] - new[:3, :3]) @ centre
    moved = grid_distance(old, new, shape)
    return (old, 0.0) if moved <= SAME else (new, moved)


def usable_affine(
    affine: NDArray[Any] | torch.Tensor, shape: tuple[int, ...], name: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """What a reader makes of the affine in a file: checked, rectangular, and what to say of it.

    Args:
        affine: Voxel → RAS mm, 4×4.
        shape: Voxels along i, j, k.
        name: The file, for messages.

    Returns:
        The affine, and a line for the user where it is not the file's.

    Raises:
        GeometryError: As :func:`check_affine`, or a voxel edge is below 0.01 or above 100 mm.
    """
    edges = voxel_size(check_affine(affine, name))
    if min(edges) < SMALLEST or max(edges) > LARGEST:
        raise GeometryError(
            f"{name}: voxel edges must be {SMALLEST:g} to {LARGEST:g} mm, got {_row(edges)} mm: "
            "correct the header's voxel size or unit of length"
        )
    rectangular, moved = rectify_affine(affine, shape)
    if not moved:
        return rectangular, ()
    line = (
        "the axes of the grid are not quite orthogonal: made so, which moves voxels by up to "
        f"{moved:.2g} mm"
    )
    return rectangular, (line,)


def grid_distance(
    first: NDArray[Any] | torch.Tensor,
    second: NDArray[Any] | torch.Tensor,
    shape: tuple[int, ...],
) -> float:
    """Largest distance in mm between the two places of a voxel under two affines.

    Args:
        first: Voxel → RAS mm, 4×4.
        second: Voxel → RAS mm, 4×4.
        shape: Voxels along i, j, k; it is at the corners of the grid that two affines differ most.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[-3:]], indexing="ij"), float)
    points = np.concatenate([corners.reshape(3, -1), np.ones((1, 8))])
    distance = (as_affine(first) - as_affine(second)) @ points
    return float(np.linalg.norm(distance[:3], axis=0).max())


def same_grid(
    first: NDArray[Any] | torch.Tensor,
    second: NDArray[Any] | torch.Tensor,
    *,
    shape: tuple[int, ...] = (256, 256, 256),
    tolerance: float = SAME,
) -> bool:
    """Whether two affines place every voxel at the same point.

    Args:
        first: Voxel → RAS mm, 4×4.
        second: Voxel → RAS mm, 4×4.
        shape: Voxels along i, j, k over which the affines are compared.
        tolerance: Largest distance in mm.
    """
    return grid_distance(first, second, shape) <= tolerance


def _row(values: NDArray[Any] | tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))
