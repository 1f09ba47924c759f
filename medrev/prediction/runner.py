"""One direction of a model on volumes in physical units: scale, pad, plan, run, crop."""

import dataclasses
import math
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from medrev.config.schema import Pipeline
from medrev.nets import Translator, evaluating
from medrev.prediction.direction import Direction
from medrev.prediction.engines import Engine
from medrev.prediction.plan import Plan, Shape, plan
from medrev.prediction.tiles import run_plan, wanted_parts
from medrev.volumes import block_mean, upsample

__all__ = ["MIN_VOXELS", "Runner"]

#: Low-resolution voxels that a volume must have along every axis.
MIN_VOXELS = 4
#: For what is too small to be counted.
_MARGIN = 1.02
#: Planes that are interpolated at a time.
_PLANES = 8


class Runner:
    """What applies one direction of a translator to whole volumes.

    Args:
        translator: The module. Its weights are read now.
        pipeline: The pipeline that built it.
        scale: Value that is 1 in the network; of tensor models a diffusivity (mm²/s).
        inverse: From Y to X, of tensor models from the fine to the coarse grid.
        engine: What computes the network.
    """

    def __init__(
        self,
        translator: Translator,
        pipeline: Pipeline,
        scale: float,
        *,
        inverse: bool,
        engine: Engine,
    ) -> None:
        self.translator, self.pipeline, self.scale = translator, pipeline, scale
        self.inverse, self.engine = inverse, engine
        self.factor = pipeline.data.factor
        there, back = pipeline.data.channels
        self.channels_in, self.channels_out = (back, there) if inverse else (there, back)
        cells_x = translator.size_multiple
        self._cells_x = cells_x
        cells_y = cells_x * pipeline.data.grid_factor
        self.cell_in, self.cell_out = (cells_y, cells_x) if inverse else (cells_x, cells_y)
        #: Training patch in cells, for networks whose normalisation depends on it.
        self.window = (
            max(1, min(pipeline.data.sample_shape) // cells_y)
            if translator.norm_depends_on_window
            else None
        )
        self._direction = Direction(
            translator,
            inverse,
            engine,
            cells=(self.cell_in, self.cell_out),
            channels=self.channels_in,
            window=self.window,
        )

    @property
    def halo(self) -> int:
        """Receptive field to one side, in cells; an interpolated residual reaches 2 voxels."""
        return math.ceil(max(self.translator.receptive_field // 2, 2) / self._cells_x)

    @property
    def reach(self) -> int | None:
        """Voxels of the volume that a result depends on, each way; None if it is not known."""
        if self.window is not None or self._cells_x > 1:
            return None
        if self.pipeline.data.input_grid == "low":
            return self.halo * self.cell_in
        if self.inverse:
            return self.halo + self.factor
        return math.ceil(self.halo / self.factor) + 2  # the interpolation's own

    def plan(self, shape: tuple[int, ...], max_memory: float | None = None, held: int = 0) -> Plan:
        """Choose how a volume goes through the network.

        Args:
            shape: Voxels (i, j, k) of the volume.
            max_memory: Limit in GiB (default: the pipeline's).
            held: Bytes that are held beside the volume and its result.
        """
        limit = self.pipeline.inference.max_memory if max_memory is None else max_memory
        cells = self._cells(self._network_shape(shape))
        given = 4 * self.channels_in * math.prod(shape)
        inner = 4 * math.prod(cells)
        x = inner * self.channels_in * self.cell_in**3
        y = inner * self.channels_out * self.cell_out**3
        cropped = self._network_result(shape) != tuple(n * self.cell_out for n in cells)
        after = given + held + y * (1 + cropped)
        padded = self._network_shape(shape) != tuple(n * self.cell_in for n in cells)
        before = given + held + x * (1 + padded)

        def memory(tile: Shape, slab: int) -> int:
            during = given + held + x + self._direction.memory(tile, slab)
            if self.window is not None:
                during += y + y // self.channels_out + 2 * 4 * math.prod(tile) * self.cell_out**3
            elif tile != cells:
                during += y
            return math.ceil(_MARGIN * max(before, during, after))

        with evaluating(self.translator):
            return plan(
                cells,
                memory=memory,
                max_memory=limit,
                halo=self.halo,
                window=self.window,
                slab=self._direction.slab(cells),
            )

    def timed(self, chosen: Plan, mask: Tensor | None = None) -> Plan:
        """A plan with the time it will take, measured on a small volume.

        Args:
            chosen: The plan.
            mask: As in :meth:`run`.
        """
        with evaluating(self.translator):
            seconds = self._direction.seconds_per_cell(chosen.tile, chosen.slab)
        parts = wanted_parts(chosen, self._wanted(mask))
        cells = sum(math.prod(chosen.size_of(part)) for part in parts)
        return dataclasses.replace(chosen, seconds=seconds * cells)

    def planes(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """Planes of cells along i that :meth:`run` computes, those of all tiles together."""
        parts = wanted_parts(chosen, self._wanted(mask))
        return sum(chosen.size_of(part)[0] for part in parts)

    def run(
        self,
        volume: Tensor,
        chosen: Plan,
        advance: Callable[[int], None] | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Translate a volume.

        Args:
            volume: ``(C, i, j, k)``, checked; of tensor models 6 components in mm²/s.
            chosen: :meth:`plan` for its shape.
            advance: Called with the number of planes (of cells) whenever some are finished;
                :meth:`planes` in all.
            mask: ``(1, i, j, k)``: where results are wanted (default: everywhere). Elsewhere they
                may be zero.

        Returns:
            ``(C', I, J, K)`` in the unit of the volume, float32, on the CPU.
        """
        with evaluating(self.translator):
            x = self._network_input(volume)
            y = run_plan(
                chosen,
                self._direction.function(chosen.slab, advance),
                x,
                cell_in=self.cell_in,
                cell_out=self.cell_out,
                wanted=self._wanted(mask),
            )
            del x
            size = self._network_result(volume.shape[1:])
            y = y[..., : size[0], : size[1], : size[2]].contiguous()
            if self.inverse and self.pipeline.data.input_grid == "target":
                y = block_mean(y, self.factor)
            return y[0].mul_(self.scale).cpu()

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the result of a volume of ``shape``."""
        if self.inverse:
            return tuple(math.ceil(n / self.factor) for n in shape)
        return tuple(n * self.factor for n in shape)

    def _network_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the network's own input grid, before it is padded to whole cells."""
        if self.inverse:
            return tuple(_up(n, self.factor) for n in shape)
        if self.pipeline.data.input_grid == "target":
            return tuple(n * self.factor for n in shape)
        return tuple(shape)

    def _network_result(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the network's own output grid that belong to the result."""
        return tuple(n * self.cell_out // self.cell_in for n in self._network_shape(shape))

    def _cells(self, shape: tuple[int, ...]) -> Shape:
        """Cells that hold a volume on the network's own grid, at least what the network needs."""
        least = max(math.ceil(MIN_VOXELS / self._cells_x), 2, self.window or 0)
        i, j, k = (max(math.ceil(n / self.cell_in), least) for n in shape)
        return i, j, k

    def _wanted(self, mask: Tensor | None) -> Tensor | None:
        """The cells (I, J, K) that hold any voxel of a mask of the volume."""
        if mask is None:
            return None
        inside = (mask > 0).float()[None]
        if not self.inverse and self.pipeline.data.input_grid == "target":
            inside = F.interpolate(inside, scale_factor=self.factor, mode="nearest")
        shape = self._network_shape(tuple(mask.shape[1:]))
        inside = _pad_to(inside, [n * self.cell_in for n in self._cells(shape)])
        return F.max_pool3d(inside, self.cell_in)[0, 0] > 0

    def _network_input(self, volume: Tensor) -> Tensor:
        """The volume in network range, on the network's own grid, padded to whole cells."""
        x = volume.to(self.engine.device)[None]
        shape = self._network_shape(tuple(volume.shape[1:]))
        data = self.pipeline.data
        if not self.inverse and data.input_grid == "target":
            x = _upsampled(x, self.factor, data.upsampling).div_(self.scale)
        else:
            x = x / self.scale
        cells = self._cells(shape)
        return _pad_to(x, [n * self.cell_in for n in cells])


def _upsampled(x: Tensor, factor: int, mode: str) -> Tensor:
    """Interpolate a few planes at a time, which takes no more memory than the result."""
    if factor == 1:
        return x.clone()
    length = x.shape[2]
    result = x.new_empty((*x.shape[:2], *(n * factor for n in x.shape[2:])))
    for low in range(0, length, _PLANES):
        high = min(length, low + _PLANES)
        start, stop = max(0, low - 2), min(length, high + 2)
        part = upsample(x[:, :, start:stop], factor, mode)
        part = part[:, :, (low - start) * factor : (high - start) * factor]
        result[:, :, low * factor : high * factor] = part
    return result


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple


def _pad_to(x: Tensor, shape: list[int]) -> Tensor:
    """Repeat the last voxels of every axis until (B, C, *spatial) has this spatial shape."""
    missing = [new - old for new, old in zip(shape, x.shape[2:], strict=True)]
    if not any(missing):
        return x
    pads = [p for amount in reversed(missing) for p in (0, amount)]
    return F.pad(x, pads, mode="replicate")
