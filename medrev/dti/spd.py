"""Eigenvalues and eigenvectors of tensors; positive definite ones: test, repair, logarithm.

LAPACK is called once per matrix, and most of its time is spent on the call. The closed form works
on whole arrays: several times faster for the tensors of a brain, and as exact.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.convention import COLUMNS, ROWS
from medrev.errors import InputError, counted
from medrev.volumes import like, to_numpy

Floats = NDArray[np.float64]
MATRICES = 20_000  # matrices at a time: their temporary arrays stay in the processor's cache


def eigh(components: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors of symmetric matrices.

    The eigenvalue farthest from the other two is a root of the characteristic polynomial, its
    eigenvector the longest cross product of two rows of ``D - λ · identity``; the other two come
    from the 2×2 matrix in the plane across it. Errors are of the order of rounding, also where
    eigenvalues are equal.

    Args:
        components: Dxx, Dxy, Dxz, Dyy, Dyz, Dzz, shape ``(6, V)``, finite.

    Returns:
        Eigenvalues ``(3, V)``, largest first, and eigenvectors ``(3, 3, V)``: the first axis is
        x, y, z, the second one counts the eigenvalues. Signs have no meaning.

    References:
        Eberly, *A robust eigensolver for 3×3 symmetric matrices*, 2014.

    Example:
        >>> values, vectors = eigh(np.array([[2.0, 0, 0, 5, 0, 3]]).T)
        >>> values.ravel().tolist(), abs(vectors[:, 0, 0]).tolist()
        ([5.0, 3.0, 2.0], [0.0, 1.0, 0.0])
    """
    components = np.asarray(components, dtype=np.float64)
    values = np.empty((3, components.shape[1]))
    vectors = np.empty((3, 3, components.shape[1]))
    for start in range(0, components.shape[1], MATRICES):
        part = slice(start, start + MATRICES)
        values[:, part], vectors[:, :, part] = _decompose(components[:, part])
    return values, vectors


def rebuild(values: Floats, vectors: Floats) -> Floats:
    """The components of matrices with given eigenvalues and eigenvectors: inverse of :func:`eigh`.

    Args:
        values: ``(3, V)``.
        vectors: ``(3, 3, V)``: x, y, z, then the eigenvalues' number.

    Returns:
        Dxx, Dxy, Dxz, Dyy, Dyz, Dzz, ``(6, V)``.
    """
    pairs = zip(ROWS, COLUMNS, strict=True)
    return np.stack([(vectors[a] * vectors[b] * values).sum(axis=0) for a, b in pairs])


def _decompose(components: Floats) -> tuple[Floats, Floats]:
    # Numbers near 1: products of diffusivities would run out of the range of floats.
    scale = np.abs(components).max(axis=0)
    scale[scale == 0] = 1
    d = components / scale
    separate, largest = _separate_root(d)
    v = _eigenvector(d, separate)
    u = _across(v)
    w = _cross((v[0], v[1], v[2]), (u[0], u[1], u[2]))

    du, dw = _times(d, u), _times(d, w)
    uu, uw, ww = (u * du).sum(0), (u * dw).sum(0), (w * dw).sum(0)
    mean, half = (uu + ww) / 2, (uu - ww) / 2
    radius = np.hypot(half, uw)
    angle = np.arctan2(uw, half) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    plane = mean + radius, mean - radius
    axes = cosine * u + sine * w, cosine * w - sine * u

    alone = (v * _times(d, v)).sum(0)
    values = np.where(largest, (alone, *plane), (*plane, alone))
    vectors = np.where(largest, (v, *axes), (*axes, v))
    # The Rayleigh quotients of nearly equal eigenvalues may come out in the wrong order.
    wrong = np.flatnonzero((values[:-1] < values[1:]).any(axis=0))
    order = np.argsort(-values[:, wrong], axis=0)
    values[:, wrong] = np.take_along_axis(values[:, wrong], order, axis=0)
    vectors[..., wrong] = np.take_along_axis(vectors[..., wrong], order[:, None], axis=0)
    return values * scale, np.moveaxis(vectors, 0, 1)


def _separate_root(d: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """The eigenvalue farthest from the other two, and whether it is the largest."""
    xx, xy, xz, yy, yz, zz = d
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = np.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    cube = spread**3
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    half = np.divide(determinant, 2 * cube, out=np.zeros_like(mean), where=cube > 0)
    half = half.clip(-1, 1)
    largest = half >= 0
    # |half| instead of half: -D has the same eigenvectors and the opposite eigenvalues.
    root = 2 * spread * np.cos(np.arccos(np.abs(half)) / 3)
    return np.where(largest, mean + root, mean - root), largest


def _eigenvector(d: Floats, value: Floats) -> Floats:
    xx, xy, xz, yy, yz, zz = d
    rows = (xx - value, xy, xz), (xy, yy - value, yz), (xz, yz, zz - value)
    candidates = np.stack(
        [_cross(rows[0], rows[1]), _cross(rows[0], rows[2]), _cross(rows[1], rows[2])]
    )
    lengths = (candidates**2).sum(axis=1)
    best = lengths.argmax(axis=0)
    longest = np.take_along_axis(candidates, best[None, None], axis=0)[0]
    norm = np.sqrt(np.take_along_axis(lengths, best[None], axis=0)[0])
    ball = norm == 0  # any direction is an eigenvector
    longest[0, ball], norm[ball] = 1, 1
    return np.asarray(longest / norm)


def _cross(a: tuple[Floats, Floats, Floats], b: tuple[Floats, Floats, Floats]) -> Floats:
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def _across(v: Floats) -> Floats:
    """A unit vector at right angles to each of ``(3, V)`` unit vectors."""
    x, y, z = v
    zero = np.zeros_like(x)
    flat = np.where(np.abs(x) > np.abs(y), (-z, zero, x), (zero, z, -y))
    return np.asarray(flat / np.sqrt((flat**2).sum(0)))


def _times(d: Floats, v: Floats) -> Floats:
    xx, xy, xz, yy, yz, zz = d
    x, y, z = v
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


#: Smallest eigenvalue of a repaired tensor, mm²/s: far below any diffusivity in tissue.
FLOOR = 1e-6
CHUNK = 50_000  # voxels at a time


def is_positive_definite(t: torch.Tensor, floor: float = 0.0) -> torch.Tensor:
    """Where all eigenvalues are above a floor in mm²/s (Sylvester's criterion, in float64).

    Returns:
        Boolean ``(I, J, K)``; false for the zero tensors of the background.

    Raises:
        InputError: If there are not six components.
    """
    components = _components(t)
    return like(_positive(components, floor).reshape(t.shape[1:]), t)


def repair(t: torch.Tensor, floor: float = FLOOR) -> tuple[torch.Tensor, int]:
    """Raise the eigenvalues below a floor in mm²/s to it; the eigenvectors stay.

    Returns:
        The repaired copy, and how many tensors were changed.

    Raises:
        InputError: If there are not six components or the floor is not positive.
    """
    if floor <= 0:
        raise InputError(f"the floor of eigenvalues must be positive, got {floor}")
    components = _components(t)
    wrong = np.flatnonzero((components != 0).any(axis=0) & ~_positive(components, floor))
    fixed = components.copy()
    # a hair above the floor, so that rounding to float32 does not fall below it again
    _apply(fixed, wrong, lambda values: np.maximum(values, floor * (1 + 1e-3)))
    return like(fixed.reshape(t.shape), t), len(wrong)


def log_euclidean(t: torch.Tensor) -> torch.Tensor:
    """Matrix logarithm of every tensor (Arsigny et al. 2006): ``log D = V diag(log λ) Vᵀ``.

    Returns:
        ``(6, I, J, K)``, components in the same order, of ln(mm²/s); background stays zero.

    Raises:
        InputError: If a tensor that is not zero is not positive definite.
    """
    components = _components(t)
    inside = (components != 0).any(axis=0)
    bad = int((inside & ~_positive(components, 0.0)).sum())
    if bad:
        raise InputError(
            f"{counted(bad, 'tensor is', 'tensors are')} not positive definite: repair them first"
        )
    result = components.copy()
    _apply(result, np.flatnonzero(inside), np.log)
    return like(result.reshape(t.shape), t)


def exp_euclidean(logarithm: torch.Tensor) -> torch.Tensor:
    """Matrix exponential of every tensor: inverse of :func:`log_euclidean`.

    Returns:
        Positive-definite tensors ``(6, I, J, K)``, mm²/s; background stays zero.

    Raises:
        InputError: If there are not six components.
    """
    result = _components(logarithm).copy()
    _apply(result, np.flatnonzero((result != 0).any(axis=0)), np.exp)
    return like(result.reshape(logarithm.shape), logarithm)


def _components(t: torch.Tensor) -> NDArray[Any]:
    if t.ndim != 4 or t.shape[0] != 6:
        raise InputError(f"a tensor volume has the shape (6, I, J, K), got {tuple(t.shape)}")
    return to_numpy(t).reshape(6, -1)


def _positive(components: NDArray[Any], floor: float) -> NDArray[np.bool_]:
    """Leading minors of D - floor · identity, all positive; (6, V) → (V,)."""
    xx, xy, xz, yy, yz, zz = components.astype(np.float64)
    xx, yy, zz = xx - floor, yy - floor, zz - floor
    second = xx * yy - xy * xy
    third = zz * second - xx * yz * yz - yy * xz * xz + 2 * xy * xz * yz
    return np.asarray((xx > 0) & (second > 0) & (third > 0))


def _apply(
    components: NDArray[Any],
    voxels: NDArray[np.int64],
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    """Apply a function to the eigenvalues of some tensors, in place."""
    for start in range(0, len(voxels), CHUNK):
        chunk = voxels[start : start + CHUNK]
        values, vectors = eigh(components[:, chunk].astype(np.float64))
        components[:, chunk] = rebuild(function(values), vectors)
