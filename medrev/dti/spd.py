"""Positive-definite tensors: test, repair, matrix logarithm and exponential."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.eigen import eigh, rebuild
from medrev.errors import InputError, counted
from medrev.volumes import like, to_numpy

#: Smallest eigenvalue of a repaired tensor, mm²/s: far below any diffusivity in tissue.
FLOOR = 1e-6
CHUNK = 50_000  # voxels at a time


def is_positive_definite(t: torch.Tensor, floor: float = 0.0) -> torch.Tensor:
    """Where all three eigenvalues are above a floor (Sylvester's criterion, in float64).

    Args:
        t: ``(6, I, J, K)``, mm²/s.
        floor: In mm²/s.

    Returns:
        Boolean ``(I, J, K)``; false for the zero tensors of the background.

    Raises:
        InputError: If there are not six components.
    """
    components = _components(t)
    return like(_positive(components, floor).reshape(t.shape[1:]), t)


def repair(t: torch.Tensor, floor: float = FLOOR) -> tuple[torch.Tensor, int]:
    """Raise the eigenvalues below a floor to it; the eigenvectors stay.

    Args:
        t: ``(6, I, J, K)``, mm²/s. Zero tensors are background and stay zero.
        floor: In mm²/s, positive.

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

    Args:
        t: Positive-definite tensors ``(6, I, J, K)``, mm²/s; zero tensors are background.

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

    Args:
        logarithm: ``(6, I, J, K)`` of ln(mm²/s); zero is background.

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
