"""One direction of a 3D translator: whole volumes, tiles or windows, plane by plane."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medrev.nets import evaluating
from medrev.prediction.direction import Advance, Direction
from medrev.prediction.geometry import Geometry
from medrev.prediction.plan import Plan, Shape, peak_bytes, plan
from medrev.prediction.stages import stages_of
from medrev.prediction.stream import Stream, stream_memory
from medrev.prediction.tiles import run_plan, wanted_parts

#: Most cells of the volume that time is measured on.
_TRIAL: Shape = (16, 32, 32)
#: Values of the core in a slab: what lies between the layers then stays in a processor's cache, and
#: the layers are still large enough to be computed at full speed.
_SLAB_VALUES = 12_000_000
_SLAB_PLANES = (8, 64)
#: What allocators and kernels take beside the tensors that are counted.
_OVERHEAD = 1.1
#: For what is too small to be counted.
_MARGIN = 1.02


class VolumeDirection(Direction):
    """One direction of a 3D translator; arguments as those of :class:`Direction`.

    Volumes that do not suit the network are padded at the end of an axis by repeating the last
    voxel: the first corner of the field of view never moves.

    Attributes:
        geometry: Its grids.

    Raises:
        InputError: The network is 2D, or the engine does not know its layers.
    """

    def _ready(self) -> bool:
        self.geometry = Geometry.of(self.translator, self.pipeline, inverse=self.inverse)
        self._stages = stages_of(self.translator, self.inverse, self.engine.make_chain)
        return self._stages is not None

    def check(self, values: Tensor) -> None:
        """Check shape, size and values of a volume ``(C, i, j, k)``."""
        self.geometry.check(values)

    def plan(self, shape: tuple[int, ...], max_memory: float | None = None, held: int = 0) -> Plan:
        """Choose the whole volume, tiles or windows, and how many planes at a time."""
        geometry = self.geometry
        limit = self.pipeline.inference.max_memory if max_memory is None else max_memory
        cells = geometry.cells(shape)
        channels_in, channels_out = geometry.channels
        given = 4 * channels_in * math.prod(shape)
        voxel_out = math.prod(geometry.cell_out)
        x = 4 * channels_in * math.prod(geometry.padded(shape))
        y = 4 * channels_out * math.prod(cells) * voxel_out
        whole = tuple(n * cell for n, cell in zip(cells, geometry.cell_out, strict=True))
        after = given + held + y * (1 + (geometry.network_result(shape) != whole))
        padded = geometry.network_shape(shape) != geometry.padded(shape)
        before = given + held + x * (1 + padded)

        def memory(tile: Shape, slab: int) -> int:
            during = given + held + x + self._memory(tile, slab)
            if geometry.window is not None:
                during += y + y // channels_out + 2 * 4 * math.prod(tile) * voxel_out
            elif tile != cells:
                during += y
            return math.ceil(_MARGIN * max(before, during, after))

        with evaluating(self.translator):
            return plan(
                cells,
                memory=memory,
                max_memory=limit,
                halo=geometry.halo,
                window=geometry.window,
                slab=self._slab(cells),
            )

    def timed(self, chosen: Plan, mask: Tensor | None = None) -> Plan:
        """A plan with the time it will take, measured on a small volume."""
        with evaluating(self.translator):
            seconds = self._seconds_per_cell(chosen.tile, chosen.slab)
        parts = wanted_parts(chosen, self._wanted(mask))
        cells = sum(math.prod(chosen.size_of(part)) for part in parts)
        return dataclasses.replace(chosen, seconds=seconds * cells)

    def amount(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """Planes of cells along i, those of all tiles together."""
        parts = wanted_parts(chosen, self._wanted(mask))
        return sum(chosen.size_of(part)[0] for part in parts)

    def enter(self, values: Tensor) -> Tensor:
        """A volume ``(C, i, j, k)`` padded to whole cells, ``(1, C, …)``."""
        return self.geometry.enter(values)

    def compute(
        self, x: Tensor, chosen: Plan, advance: Advance | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Run the network; tiles and windows without a voxel of the mask are left out."""
        with evaluating(self.translator):
            function = self.function(chosen.slab, advance)
            if chosen.kind == "whole":
                return function(x)
            return run_plan(
                chosen,
                function,
                x,
                cell_in=self.geometry.cell_in,
                cell_out=self.geometry.cell_out,
                wanted=self._wanted(mask),
            )

    def leave(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Cut off what was padded."""
        return self.geometry.leave(y, shape)

    def turn_back(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What was computed; where the result is coarser than that, the result interpolated."""
        geometry = self.geometry
        if geometry.upsampling is None or not geometry.ratio.coarser:
            return y
        other = Geometry.of(self.translator, self.pipeline, inverse=not self.inverse)
        return other.enter(self.leave(y, shape))

    def _wanted(self, mask: Tensor | None) -> Tensor | None:
        return None if mask is None else self.geometry.cells_of(mask)

    def function(self, slab: int, advance: Advance | None = None) -> Callable[[Tensor], Tensor]:
        """The network as a function ``(1, C, *in) → (1, C', *out)``."""
        if self._stages is not None:
            return Stream(self._stages, slab, advance, self.engine.memory_format)

        def whole(x: Tensor) -> Tensor:
            y: Tensor = self.translator(x, inverse=self.inverse)
            if advance is not None:
                advance(x.shape[2] // self.geometry.cell_in[0])
            return y

        return whole

    def _slab(self, cells: Shape) -> int | None:
        """Planes that are best handled at a time; None where all must be."""
        if self._stages is None or self.geometry.window is not None:
            return None
        best = _SLAB_VALUES / (self._stages.width * cells[1] * cells[2])
        return min(max(round(best), _SLAB_PLANES[0]), _SLAB_PLANES[1], cells[0])

    def _memory(self, cells: Shape, slab: int) -> int:
        """Peak in bytes of what a call makes, its result included and its argument excluded."""
        if self._stages is None:
            return math.ceil(math.prod(cells) * self._bytes_per_cell * _OVERHEAD)
        return math.ceil(stream_memory(self._stages, cells, slab) * _OVERHEAD)

    def _seconds_per_cell(self, tile: Shape, slab: int) -> float:
        """How long a cell of a tile takes, measured on a small part of one."""
        i, j, k = tile
        if self.geometry.window is None:
            i, j, k = (min(n, most) for n, most in zip(tile, _TRIAL, strict=True))
        x = self._example((i, j, k)).normal_()
        function = self.function(min(slab, i))
        seconds = []
        for _ in range(2):  # the first one is slower: kernels are made, caches are cold
            start = time.perf_counter()
            function(x)[0, 0, 0, 0, 0].item()  # waits for the device
            seconds.append(time.perf_counter() - start)
        return min(seconds) / (i * j * k)

    @functools.cached_property
    def _bytes_per_cell(self) -> float:
        """Measured once, on a small volume of zeros."""
        geometry = self.geometry
        smallest = max(4, 12 // min(*geometry.cell_in, *geometry.cell_out))
        edges = geometry.window or (smallest,) * 3
        function = functools.partial(self.translator, inverse=self.inverse)
        return peak_bytes(function, self._example(edges)) / math.prod(edges)

    def _example(self, cells: Shape) -> Tensor:
        geometry = self.geometry
        sizes = (n * cell for n, cell in zip(cells, geometry.cell_in, strict=True))
        return torch.zeros(1, geometry.channels[0], *sizes, device=self.engine.device)
