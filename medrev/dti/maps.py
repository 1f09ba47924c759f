"""Scalar and direction maps of tensor volumes.

Written out here, and dipy is their judge in the tests: importing its functions takes two seconds.
What needs no eigenvectors is computed by PyTorch for very many tensors, such as samples and
ensembles: faster than `scalar_maps`, with which it agrees to 1e-5.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.dti.spd import eigh
from medrev.errors import InputError
from medrev.volumes import like, to_numpy


def eigenvalues(t: Tensor) -> Tensor:
    """Eigenvalues of tensors ``(6, …)``, largest first, ``(3, …)``, by Cardano's formula.

    References:
        Smith, *Eigenvalues of a symmetric 3 × 3 matrix*, Communications of the ACM 4(4), 1961.

    Example:
        >>> eigenvalues(torch.tensor([2.0, 0, 0, 5, 0, 3])[:, None]).flatten()
        tensor([5.0000, 3.0000, 2.0000])
    """
    mean = (t[0] + t[3] + t[5]) / 3
    xx, yy, zz = t[0] - mean, t[3] - mean, t[5] - mean
    xy, xz, yz = t[1], t[2], t[4]
    squares = xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)
    radius = (squares / 6).sqrt_()
    det = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    cosine = (det / (2 * radius**3).clamp_(min=torch.finfo(t.dtype).tiny)).clamp_(-1, 1)
    angle = cosine.acos_() / 3
    largest = mean + 2 * radius * angle.cos()
    smallest = mean + 2 * radius * (angle + 2 * math.pi / 3).cos()
    return torch.stack([largest, 3 * mean - largest - smallest, smallest])


def invariant_maps(t: Tensor) -> dict[str, Tensor]:
    """FA, MD, AD and RD, each ``(1, …)``, of tensors ``(6, …)``, as `medrev.dti.scalar_maps`.

    Negative eigenvalues count as zero.
    """
    values = eigenvalues(1e3 * t.float()).clamp_(min=0)  # near 1: cubes of mm²/s leave float32
    first, second, third = values
    spread = (first - second).square() + (second - third).square() + (third - first).square()
    norm = values.square().sum(0).clamp_(min=torch.finfo(values.dtype).tiny)
    maps = {
        "fa": (spread / (2 * norm)).sqrt_(),
        "md": 1e-3 * values.mean(0),
        "ad": 1e-3 * first,
        "rd": 1e-3 * (second + third) / 2,
    }
    return {name: each[None] for name, each in maps.items()}


def sine_squared(t: Tensor, direction: Tensor) -> Tensor:
    """``sin²``, ``(1, …)``, of the angle between main directions and unit vectors ``(3, …)``.

    With eigenvalues λ of D, (D − λ₂)(D − λ₃) keeps the main direction alone. Where λ₁ = λ₂ there is
    none; what is given lies between 0 and 1.
    """
    scaled = 1e3 * t.float()
    x, y, z = direction
    first, second, third = eigenvalues(scaled)
    d = torch.stack(
        [
            scaled[0] * x + scaled[1] * y + scaled[2] * z,
            scaled[1] * x + scaled[3] * y + scaled[4] * z,
            scaled[2] * x + scaled[4] * y + scaled[5] * z,
        ]
    )
    kept = d.square().sum(0) - (second + third) * (d * direction).sum(0) + second * third
    scale = ((first - second) * (first - third)).clamp_(min=torch.finfo(scaled.dtype).tiny)
    return (1 - kept / scale).clamp_(0, 1)[None]


CHUNK = 50_000  # voxels at a time


def scalar_maps(t: torch.Tensor) -> dict[str, torch.Tensor]:
    """Fractional anisotropy and mean, axial and radial diffusivity of ``(6, I, J, K)`` in mm²/s.

    The frame does not matter. Negative eigenvalues count as zero, as in dipy.

    Returns:
        ``{"fa", "md", "ad", "rd"}``, each ``(I, J, K)``, float32: FA in 0 to 1, the others in
        mm²/s; 0 in the background.

    Raises:
        InputError: If there are not six components.

    Example:
        >>> import medrev, torch
        >>> tensor = torch.tensor([1.5e-3, 0, 0, 4e-4, 0, 4e-4]).reshape(6, 1, 1, 1)
        >>> maps = medrev.scalar_maps(tensor)
        >>> {name: round(value.item(), 5) for name, value in maps.items()}
        {'fa': 0.68616, 'md': 0.00077, 'ad': 0.0015, 'rd': 0.0004}
    """
    voxels, shape = _voxels(t)
    maps = {name: np.zeros(int(np.prod(shape)), np.float32) for name in ("fa", "md", "ad", "rd")}
    for chunk in _chunks(voxels):
        for name, values in scalars(_decompose(t, chunk)[0].T).items():
            maps[name][chunk] = values
    return {name: like(values.reshape(shape), t) for name, values in maps.items()}


def tensor_maps(t: torch.Tensor, axes: NDArray[np.float64]) -> dict[str, torch.Tensor]:
    """All maps of a tensor volume at the price of one decomposition.

    Args:
        t: ``(6, I, J, K)``, mm²/s. Zero tensors are background.
        axes: Orthogonal 3×3 matrix from the frame of the tensors to RAS, for the colours
            (:func:`medrev.volumes.direction_cosines` for the voxel frame).

    Returns:
        :func:`scalar_maps` as ``(1, I, J, K)`` each, and ``colorfa``: :func:`color_fa` in RAS.

    Raises:
        InputError: If there are not six components.
    """
    voxels, shape = _voxels(t)
    size = int(np.prod(shape))
    maps = {name: np.zeros((1, size), np.float32) for name in ("fa", "md", "ad", "rd")}
    maps["colorfa"] = np.zeros((3, size), np.float32)
    for chunk in _chunks(voxels):
        eigenvalues, eigenvectors = _decompose(t, chunk)
        found = scalars(eigenvalues.T)
        for name, values in found.items():
            maps[name][0, chunk] = values
        maps["colorfa"][:, chunk] = _colours(found["fa"], axes @ eigenvectors)
    return {name: like(values.reshape(-1, *shape), t) for name, values in maps.items()}


def scalars(eigenvalues: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Fractional anisotropy and mean, axial and radial diffusivity from eigenvalues.

    Args:
        eigenvalues: ``(3, V)``, largest first, mm²/s; negative ones count as zero.

    Returns:
        ``{"fa", "md", "ad", "rd"}``, each ``(V,)``, float64: FA in 0 to 1, the others in mm²/s.
    """
    values = eigenvalues.clip(min=0)
    return {
        "fa": _anisotropy(values),
        "md": values.mean(0),
        "ad": values[0],
        "rd": values[1:].mean(0),
    }


def principal_direction(t: torch.Tensor) -> torch.Tensor:
    """Eigenvector of the largest eigenvalue; its sign has no meaning.

    Returns:
        Unit vectors ``(3, I, J, K)``, float32, in the frame of ``t``; 0 in the background.

    Raises:
        InputError: If there are not six components.
    """
    voxels, shape = _voxels(t)
    direction = np.zeros((3, int(np.prod(shape))), np.float32)
    for chunk in _chunks(voxels):
        direction[:, chunk] = _decompose(t, chunk)[1][..., 0].T
    return like(direction.reshape(3, *shape), t)


def color_fa(t: torch.Tensor) -> torch.Tensor:
    """Colour by direction: ``|principal direction| · FA``; red x, green y, blue z.

    Convert to the RAS frame first for the usual colours (red left-right).

    Returns:
        ``(3, I, J, K)``, float32, in 0 to 1.

    Raises:
        InputError: If there are not six components.
    """
    voxels, shape = _voxels(t)
    colour = np.zeros((3, int(np.prod(shape))), np.float32)
    for chunk in _chunks(voxels):
        eigenvalues, eigenvectors = _decompose(t, chunk)
        colour[:, chunk] = _colours(_anisotropy(eigenvalues.T), eigenvectors)
    return like(colour.reshape(3, *shape), t)


def _anisotropy(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    """``√(½ Σ (λi − λj)² / Σ λi²)`` of eigenvalues (3, V), not below 0; 0 where all are 0."""
    first, second, third = eigenvalues
    apart = (first - second) ** 2 + (second - third) ** 2 + (third - first) ** 2
    size = (eigenvalues**2).sum(0)
    fa: NDArray[np.float64] = np.sqrt(0.5 * apart / np.where(size > 0, size, 1.0))
    return fa


def _colours(fa: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours (3, V) from anisotropy (V,) and eigenvectors (V, 3, 3) in columns."""
    colours: NDArray[np.float64] = np.abs(vectors[..., 0].T) * fa.clip(0, 1)
    return colours


def _voxels(t: torch.Tensor) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    if t.ndim != 4 or t.shape[0] != 6:
        raise InputError(f"a tensor volume has the shape (6, I, J, K), got {tuple(t.shape)}")
    return np.flatnonzero((to_numpy(t) != 0).any(axis=0)), tuple(t.shape[1:])


def _chunks(voxels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [voxels[start : start + CHUNK] for start in range(0, len(voxels), CHUNK)]


def _decompose(
    t: torch.Tensor, voxels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (V, 3), largest first, not below 0, and eigenvectors (V, 3, 3) in columns."""
    values, vectors = eigh(to_numpy(t).reshape(6, -1)[:, voxels].astype(np.float64))
    return values.clip(min=0).T, np.moveaxis(vectors, -1, 0)
