"""Volumes whose voxels are unlike those of the training: to a grid like the training's, and back.

Tensors are averaged component by component, with weights that are never negative: averages of
positive-definite tensors are positive definite, and this is how block means, on which models are
trained, are made. A logarithm would have to be taken of tensors that noise made indefinite.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.data.ranges import range_in_words
from medrev.domains.values import Prediction
from medrev.prediction.geometry import Ratio
from medrev.prediction.steps import Step
from medrev.volumes import rescale_affine, voxel_size

#: Smallest and largest, in mm.
Edges = tuple[float, float]
#: Voxel edges that differ by less are the same.
CLOSE = 0.02
#: How far outside the training's range voxel edges may lie.
_TOLERANCE = 0.1
#: Share of an averaged voxel that must lie in the mask.
_INSIDE = 0.5


class Regrid(Step):
    """Resample a volume to ``inner`` voxels over the same field of view.

    What lies outside its mask ``(1, i, j, k)`` is not averaged with what is inside.

    Attributes:
        shape: Voxels of the volume.
        inner: Voxels that the network sees.
        mask: Boolean mask on the inner grid.
    """

    what: ClassVar[str] = "resampled to the voxels of the training"

    def __init__(self, inner: tuple[int, ...], mask: Tensor) -> None:
        self.shape, self.inner = tuple(mask.shape[1:]), tuple(inner)
        self._given = mask > 0
        self._share = resample(self._given.float(), self.inner)
        self.mask = self._share >= _INSIDE

    def edges(self, given: tuple[float, float, float]) -> tuple[float, float, float]:
        """Voxel edges in mm of the inner grid, from those of the volume."""
        i, j, k = (e * n / m for e, n, m in zip(given, self.shape, self.inner, strict=True))
        return i, j, k

    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Means over the voxels inside of the mask."""
        inner = resample(values * self._given, self.inner)
        return inner.div_(self._share.clamp(min=_INSIDE)).mul_(self.mask), self.mask

    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Voxels that reach into the mask take their value from inside of it; others are zero."""
        shape, mask = ratio.shape(self.shape), ratio.mask(self.mask)
        inside = resample(mask.float(), shape)
        back = resample(result * mask, shape)
        return back.div_(inside.clamp(min=1e-6)).mul_(inside > 1e-6)


def trained_edges(header: Mapping[str, Any], ratio: Ratio) -> tuple[Edges, ...] | None:
    """Smallest and largest voxel edge (mm) of the training, along every axis.

    Those of the coarse grid are the weight file's; of the fine one they are smaller by the axis's
    factor.
    """
    known = header.get("voxel_size")
    if not isinstance(known, list) or len(known) != 2:
        return None
    low, high = (float(edge) for edge in known)
    factors = (1,) * 3 if ratio.is_one else ratio.multiple  # of slices there are two
    return tuple((low / factor, high / factor) for factor in factors)


def spacing_doubts(header: Mapping[str, Any], affine: NDArray[Any], ratio: Ratio) -> list[str]:
    """Say so where a volume's voxels, in the network's order of axes, are unlike the training's."""
    trained = trained_edges(header, ratio)
    if trained is None:
        return []
    edges = voxel_size(affine)
    if all(
        low * (1 - _TOLERANCE) <= edge <= high * (1 + _TOLERANCE)
        for edge, (low, high) in zip(edges, trained, strict=True)
    ):
        return []
    ranges = [range_in_words(each) for each in trained]
    known = ranges[0] if len(set(ranges)) == 1 else " x ".join(ranges)
    return [
        f"the voxels have {edges_in_words(edges)} mm, the model was trained on edges of "
        f"{known} mm: judge the result with care"
    ]


def edges_in_words(edges: tuple[float, ...]) -> str:
    """Edges of a voxel as text."""
    return " x ".join(f"{edge:.3g}" for edge in edges)


def new_shape(
    shape: tuple[int, ...],
    affine: NDArray[Any],
    trained: tuple[Edges, ...],
    *,
    multiple: tuple[int, ...],
    least: tuple[int, ...],
    spacing: str,
) -> tuple[int, ...] | None:
    """The voxels into which a volume should be cut for a network; None: its own.

    Args:
        shape: Voxels along i, j, k.
        affine: Voxel → RAS mm.
        trained: :func:`trained_edges`.
        multiple: The number of voxels is a multiple of this.
        least: Fewest voxels.
        spacing: ``auto``: coarser voxels are cut smaller. ``train``: finer ones are averaged, too.
            ``keep``: neither.
    """
    inner: list[int] = []
    for count, edge, (low, high), block, few in zip(
        shape, voxel_size(affine), trained, multiple, least, strict=True
    ):
        wanted = edge
        if spacing != "keep" and edge > high * (1 + _TOLERANCE):
            wanted = high
        elif spacing == "train" and edge < low * (1 - _TOLERANCE):
            wanted = low
        new = block * math.ceil(count * edge / wanted / block - 0.5)
        inner.append(count if wanted == edge else max(new, few))
    return None if inner == list(shape) else tuple(inner)


def to_edges(prediction: Prediction, edges: tuple[float, ...], passes: int) -> Prediction:
    """A prediction on voxels of given edges (mm), whose first corner stays where it is.

    The last voxels reach at most one voxel beyond the field of view. Coarser voxels are means.
    """
    affine, mask = prediction.placed, prediction.mask
    before = voxel_size(affine)
    i, j, k = (new / old for new, old in zip(edges, before, strict=True))
    ratios = i, j, k
    given = prediction.values.shape[1:]
    shape = tuple(
        max(1, math.ceil(n / ratio - CLOSE)) for n, ratio in zip(given, ratios, strict=True)
    )
    inside = torch.ones(1, *given) if mask is None else mask.float()
    share = resample(inside, shape, ratios)
    new_mask = share >= _INSIDE

    def brought(values: Tensor) -> Tensor:
        moved = resample(values * inside, shape, ratios)
        return moved.div_(share.clamp(min=1e-6)).mul_(new_mask)

    return dataclasses.replace(
        prediction.spread_moved(brought),
        values=brought(prediction.values),
        mask=None if mask is None else new_mask,
        affine=rescale_affine(affine, ratios),
        facts={**prediction.facts, "Translations": passes, "VoxelSize": list(edges)},
    )


def resample(
    values: Tensor, shape: tuple[int, ...], edges: tuple[float, ...] | None = None
) -> Tensor:
    """Interpolate linearly onto a grid of another size whose corner is that of the first.

    On a coarser grid, a voxel is the mean of what was interpolated over all of it. Beyond the
    border the outermost voxels are repeated. Weights are never negative and sum to 1, and a linear
    ramp stays one away from the border.

    Args:
        values: ``(C, i, j, k)``.
        shape: Voxels (I, J, K) of the result.
        edges: Of its voxels, in voxels of ``values`` (default: over the same field of view).

    Returns:
        A new ``(C, I, J, K)``, float32.

    Example:
        >>> resample(torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1), (4, 1, 1)).flatten()
        tensor([0., 1., 3., 4.])
    """
    result = values.float()
    for axis, length in enumerate(shape, start=1):
        ratio = result.shape[axis] / length if edges is None else edges[axis - 1]
        if length != result.shape[axis] or ratio != 1:
            weights = _weights(result.shape[axis], length, ratio).to(result)
            moved = torch.tensordot(weights, result, dims=([1], [axis]))
            result = moved.movedim(0, axis)
    return result.clone(memory_format=torch.contiguous_format)


def _weights(old: int, new: int, ratio: float) -> Tensor:
    """The share (new, old) of every old voxel in every new one, `ratio` as long, along one axis."""
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
