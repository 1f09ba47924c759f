"""Volumes whose voxels are unlike those of the training: to a grid like the training's, and back.

Tensors are averaged component by component, with weights that are never negative: averages of
positive-definite tensors are positive definite, and this is how block means, on which models are
trained, are made. A logarithm would have to be taken of tensors that noise made indefinite.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medrev.prediction.spacing import TOLERANCE
from medrev.volumes import block_mask, pad_to_multiple, voxel_size

__all__ = ["Regridding", "regridding", "resample", "result_mask"]

Edges = tuple[float, float, float]

#: Share of an averaged voxel that must lie in the mask.
_INSIDE = 0.5


@dataclass(frozen=True)
class Regridding:
    """Another grid over the same field of view.

    Attributes:
        shape: Voxels of the volume as given.
        inner: Voxels of the volume as it is translated.
        edges: Voxel edges in mm of the latter.
    """

    shape: tuple[int, ...]
    inner: tuple[int, ...]
    edges: Edges

    def forth(self, tensors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tensors ``(6, i, j, k)`` and mask ``(1, i, j, k)`` on the grid that is translated."""
        inside = resample(mask.float(), self.inner)
        values = resample(tensors * (mask > 0), self.inner)
        new_mask = inside >= _INSIDE
        return values.div_(inside.clamp_(min=_INSIDE)).mul_(new_mask), new_mask

    def back(self, values: Tensor, mask: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Results ``(C, …)`` with their mask ``(1, …)``, on a grid of ``shape``.

        Voxels that reach into the mask take their value from inside of it; others are zero.
        """
        inside = resample(mask.float(), shape)
        result = resample(values * (mask > 0), shape)
        return result.div_(inside.clamp(min=1e-6)).mul_(inside > 1e-6)


def regridding(
    shape: tuple[int, ...],
    affine: NDArray[Any],
    trained: tuple[float, float],
    *,
    factor: int,
    spacing: str,
    least: int,
) -> Regridding | None:
    """The grid on which a volume should be translated, if not its own.

    Args:
        shape: Voxels (i, j, k).
        affine: Voxel → RAS mm.
        trained: Smallest and largest edge, in mm, of the voxels that correspond to the volume's in
            training.
        factor: The number of voxels is a multiple of this along every axis.
        spacing: ``auto``, ``train`` or ``keep`` (:class:`medrev.prediction.InferenceOptions`).
        least: Fewest voxels along an axis.
    """
    edges = voxel_size(affine)
    low, high = trained
    inner: list[int] = []
    for count, edge in zip(shape, edges, strict=True):
        wanted = edge
        if spacing != "keep" and edge > high * (1 + TOLERANCE):
            wanted = high
        elif spacing == "train" and edge < low * (1 - TOLERANCE):
            wanted = low
        new = factor * math.ceil(count * edge / wanted / factor - 0.5)
        inner.append(count if wanted == edge else max(new, least))
    if inner == list(shape):
        return None
    i, j, k = (e * n / m for e, n, m in zip(edges, shape, inner, strict=True))
    return Regridding(tuple(shape), tuple(inner), (i, j, k))


def result_mask(mask: Tensor, factor: int, inverse: bool) -> Tensor:
    """A mask on the grid of the result: every voxel of it whose input is inside.

    Args:
        mask: ``(1, i, j, k)``.
        factor: Fine voxels per coarse voxel along every axis.
        inverse: From the fine to the coarse grid, where a block is inside if any voxel is.

    Returns:
        Boolean ``(1, I, J, K)``.
    """
    plain = mask.as_subclass(torch.Tensor).float()
    if inverse:
        return block_mask(pad_to_multiple(plain, factor)[0], factor, "any")
    return F.interpolate(plain[None], scale_factor=factor, mode="nearest")[0] > 0


def resample(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Interpolate linearly onto a grid of another size over the same field of view.

    On a coarser grid, a voxel is the mean of what was interpolated over all of it. Beyond the
    border the outermost voxels are repeated. Weights are never negative and sum to 1, and a linear
    ramp stays one away from the border.

    Args:
        values: ``(C, i, j, k)``.
        shape: Voxels (I, J, K) of the result.

    Returns:
        A new ``(C, I, J, K)``, float32.

    Example:
        >>> resample(torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1), (4, 1, 1)).flatten()
        tensor([0., 1., 3., 4.])
    """
    result = values.float()
    for axis, length in enumerate(shape, start=1):
        if length != result.shape[axis]:
            weights = _weights(result.shape[axis], length).to(result)
            moved = torch.tensordot(weights, result, dims=([1], [axis]))
            result = moved.movedim(0, axis)
    return result.clone(memory_format=torch.contiguous_format)


def _weights(old: int, new: int) -> Tensor:
    """The share (new, old) of every old voxel in every new one, along one axis."""
    ratio = old / new
    centres = (torch.arange(new, dtype=torch.float64) + 0.5)[:, None] * ratio - 0.5
    reach = math.ceil(ratio / 2) + 1
    places = centres.floor() + torch.arange(-reach, reach + 2)
    offsets = places - centres
    if ratio > 1:  # the mean of the interpolated values over the new voxel
        weights = (_hat_integral(offsets + ratio / 2) - _hat_integral(offsets - ratio / 2)) / ratio
    else:
        weights = (1 - offsets.abs()).clamp(min=0)
    result = torch.zeros(new, old, dtype=torch.float64)
    return result.scatter_add_(1, places.long().clamp(0, old - 1), weights)


def _hat_integral(t: Tensor) -> Tensor:
    """``∫ max(0, 1 − |u|) du`` from −∞ to t."""
    t = t.clamp(-1, 1)
    return 0.5 + t - 0.5 * t * t.abs()
