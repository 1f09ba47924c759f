"""How voxels go into one direction of a 3D network and come out of it, without its weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from medrev.config.schema import Pipeline
from medrev.errors import InputError, counted
from medrev.prediction.model import Model
from medrev.prediction.plan import Shape
from medrev.volumes import (
    block_mask,
    block_mean,
    pad_to_multiple,
    per_axis,
    rescale_affine,
    upsample,
)


@dataclass(frozen=True)
class Ratio:
    """How many voxels a result has, over the same field of view.

    Attributes:
        factors: Fine voxels per coarse voxel, along every axis.
        coarser: Whether the result is on the coarse grid.
    """

    factors: tuple[int, ...]
    coarser: bool = False

    @classmethod
    def of(cls, pipeline: Pipeline, *, inverse: bool = False) -> "Ratio":
        """That of one direction of a pipeline's translator."""
        return cls(pipeline.data.factors, inverse)

    def __str__(self) -> str:
        if len(set(self.factors)) == 1:
            return str(self.factors[0])
        return "x".join(str(r) for r in self.factors)

    @property
    def is_one(self) -> bool:
        """Whether both grids are the same."""
        return set(self.factors) == {1}

    @property
    def one(self) -> "Ratio":
        """That of what lies on the grid of the input."""
        return Ratio((1,) * len(self.factors), self.coarser)

    @property
    def multiple(self) -> tuple[int, ...]:
        """What the sizes of the input should be a multiple of."""
        return self.factors if self.coarser else (1,) * len(self.factors)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the result of values of ``shape``."""
        if self.is_one:
            return tuple(shape)
        return tuple(
            math.ceil(n / r) if self.coarser else n * r
            for n, r in zip(shape, self.factors, strict=True)
        )

    def mask(self, mask: Tensor) -> Tensor:
        """A mask ``(1, *spatial)`` on the grid of the result, boolean.

        A fine voxel is inside if its coarse one is, a block if any of its voxels is.
        """
        plain = mask.as_subclass(Tensor)
        if self.is_one:
            return plain > 0
        if self.coarser:
            return block_mask(pad_to_multiple(plain.float(), self.factors)[0], self.factors, "any")
        return upsample(plain[None].float(), self.factors, "nearest")[0] > 0

    def affine(self, affine: NDArray[Any]) -> NDArray[Any]:
        """Voxel → RAS mm of the result, from that of the input."""
        if self.is_one:
            return affine
        i, j, k = (float(r) if self.coarser else 1 / r for r in self.factors)
        return rescale_affine(affine, (i, j, k))


#: Low-resolution voxels that a volume must have along every axis.
MIN_VOXELS = 4
#: Planes that are interpolated at a time.
_PLANES = 8


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The grids of one direction of a 3D network.

    Lengths are counted in voxels of the volume that is given, or in cells
    (:mod:`medrev.prediction.plan`). A volume is interpolated to the target grid where the network
    works on that, and padded at the end of every axis to whole cells.

    Attributes:
        channels: Channels of the input and of the output.
        ratio: The grid of the result beside that of the volume.
        upsampling: How the input is brought to the target grid first; None: it is not.
        cell_in: Voxels of the network's input per cell, along i, j, k.
        cell_out: Voxels of the network's output per cell, along i, j, k.
        halo: Cells to one side that a cell of the result depends on.
        window: Cells of the training patch along i, j, k, for networks whose normalisation depends
            on it; else None.
        reach: Voxels of the volume, along i, j, k, that a result depends on, each way; None if it
            is not known.
        least: Fewest voxels of a volume along i, j, k.
        least_cells: Fewest cells that the network is given along i, j, k.
    """

    channels: tuple[int, int]
    ratio: Ratio
    upsampling: str | None
    cell_in: Shape
    cell_out: Shape
    halo: int
    window: Shape | None
    reach: Shape | None
    least: Shape
    least_cells: Shape

    @classmethod
    def of(cls, model: Model, *, inverse: bool = False) -> "Geometry":
        """The geometry of a direction, of which the layers are asked and not the weights.

        Raises:
            InputError: The network is 2D.
        """
        pipeline, translator, data = model.pipeline, model.translator, model.pipeline.data
        if data.spatial_dims != 3:
            raise InputError(f"the network of {pipeline.name} is 2D and takes slices, not volumes")
        ratio, multiple = Ratio.of(pipeline, inverse=inverse), translator.size_multiple
        on_target = data.input_grid == "target"
        cells_x = per_axis(multiple)
        cells_y = tuple(multiple * r for r in per_axis(data.grid_factor))
        # An interpolated residual reaches 2 voxels.
        halo = math.ceil(max(translator.receptive_field // 2, 2) / multiple)
        window = None
        if translator.norm_depends_on_window:
            sizes = zip(data.sample_shape, cells_y, strict=True)
            window = tuple(max(1, n // cell) for n, cell in sizes)
        cell_in, cell_out = (cells_y, cells_x) if inverse else (cells_x, cells_y)
        reach: Shape | None = None
        if window is None and multiple == 1:
            if not on_target:
                reach = tuple(halo * cell for cell in cell_in)
            elif inverse:
                reach = tuple(halo + r for r in ratio.factors)
            else:  # 2 voxels: the interpolation's own
                reach = tuple(math.ceil(halo / r) + 2 for r in ratio.factors)
        return cls(
            channels=data.channels[::-1] if inverse else data.channels,
            ratio=ratio,
            upsampling=data.upsampling if on_target else None,
            cell_in=cell_in,
            cell_out=cell_out,
            halo=halo,
            window=window,
            reach=reach,
            least=tuple(MIN_VOXELS * n for n in ratio.multiple),
            least_cells=tuple(
                max(math.ceil(MIN_VOXELS / multiple), 2, n) for n in window or (0, 0, 0)
            ),
        )

    def network_shape(self, shape: tuple[int, ...]) -> Shape:
        """Voxels of a volume on the network's own input grid, before it is padded to cells."""
        return tuple(
            _up(n, r) if self.ratio.coarser else n * r if self.upsampling is not None else n
            for n, r in zip(shape, self.ratio.factors, strict=True)
        )

    def network_result(self, shape: tuple[int, ...]) -> Shape:
        """Voxels of the network's own output grid that belong to the result of a volume."""
        network = self.network_shape(shape)
        grids = zip(network, self.cell_in, self.cell_out, strict=True)
        return tuple(n * y // x for n, x, y in grids)

    def cells(self, shape: tuple[int, ...]) -> Shape:
        """Cells that hold a volume, at least what the network needs."""
        network = self.network_shape(shape)
        axes = zip(network, self.cell_in, self.least_cells, strict=True)
        return tuple(max(math.ceil(n / cell), least) for n, cell, least in axes)

    def padded(self, shape: tuple[int, ...]) -> Shape:
        """Voxels of the network's own input grid, of whole cells."""
        return tuple(n * cell for n, cell in zip(self.cells(shape), self.cell_in, strict=True))

    def enter(self, values: Tensor) -> Tensor:
        """A volume ``(C, i, j, k)`` on the network's own grid, ``(1, C, *whole cells)``."""
        x = values[None]
        if self.upsampling is not None and not self.ratio.coarser:
            x = _upsampled(x, self.ratio.factors, self.upsampling)
        return _pad_to(x, self.padded(tuple(values.shape[1:])))

    def leave(self, result: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The result ``(C', I, J, K)`` of a volume of ``shape``, as a view of what was computed."""
        i, j, k = self.network_result(shape)
        result = result[..., :i, :j, :k]
        if self.ratio.coarser and self.upsampling is not None:
            result = block_mean(result, self.ratio.factors)
        return result[0]

    def cells_of(self, mask: Tensor) -> Tensor:
        """The cells (I, J, K) that hold any voxel of a mask ``(1, i, j, k)`` of a volume."""
        inside = (mask > 0).float()[None]
        if self.upsampling is not None and not self.ratio.coarser:
            inside = upsample(inside, self.ratio.factors, "nearest")
        inside = _pad_to(inside, self.padded(tuple(mask.shape[1:])))
        return F.max_pool3d(inside, self.cell_in)[0, 0] > 0


def check_values(model: Model, values: Tensor, *, inverse: bool = False) -> None:
    """Check values in any unit before a model's weights are prepared.

    Raises:
        InputError: The shape is not one that the network takes, a volume is thinner than 4
            low-resolution voxels for a 3D network, or values are NaN or Inf.
    """
    data, shape = model.pipeline.data, tuple(values.shape[1:])
    volumes, whose = data.spatial_dims == 3, f" of {'y' if inverse else 'x'}"
    image = not volumes and data.slicing is None
    what, axes = ("image", "I, J") if image else ("volume", "I, J, K")
    channels = data.channels[inverse]
    fits = values.ndim == 3 + (not image) and values.shape[0] == channels
    if not fits or (0 in shape and not volumes):
        raise InputError(
            f"{what}s{'' if volumes else whose} must have shape ({channels}, {axes}), got "
            f"{tuple(values.shape)}"
        )
    if volumes:
        least = Geometry.of(model, inverse=inverse).least
        if any(n < few for n, few in zip(shape, least, strict=True)):
            words = f"{_words(least)} voxels"
            if len(set(least)) == 1:
                words = f"{least[0]} voxels along every axis"
            raise InputError(f"the volume must have at least {words}, got {_words(shape)}")
    finite = torch.ones(shape, dtype=torch.bool, device=values.device)
    for channel in values:  # one at a time: a mask of all would take a quarter of the volume
        finite &= torch.isfinite(channel)
    bad = int((~finite).sum())
    if bad:
        raise InputError(f"the {what} must be finite, got NaN or Inf in {counted(bad, 'voxel')}")


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple


def _upsampled(x: Tensor, factors: tuple[int, ...], mode: str) -> Tensor:
    """Interpolate a few planes at a time, which takes no more memory than the result."""
    if set(factors) == {1}:
        return x
    length, ratio = x.shape[2], factors[0]
    sizes = (n * r for n, r in zip(x.shape[2:], factors, strict=True))
    result = x.new_empty((*x.shape[:2], *sizes))
    for low in range(0, length, _PLANES):
        high = min(length, low + _PLANES)
        start, stop = max(0, low - 2), min(length, high + 2)
        part = upsample(x[:, :, start:stop], factors, mode)
        part = part[:, :, (low - start) * ratio : (high - start) * ratio]
        result[:, :, low * ratio : high * ratio] = part
    return result


def _pad_to(x: Tensor, shape: Shape) -> Tensor:
    """Repeat the last voxels of every axis until (B, C, *spatial) has this spatial shape."""
    missing = [new - old for new, old in zip(shape, x.shape[2:], strict=True)]
    if not any(missing):
        return x
    pads = [p for amount in reversed(missing) for p in (0, amount)]
    return F.pad(x, pads, mode="replicate")
