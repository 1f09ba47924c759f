"""One direction of a translator on values in network range, run by an engine."""

import dataclasses
import functools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from medrev.errors import InputError
from medrev.nets import evaluating
from medrev.prediction.geometry import Geometry
from medrev.prediction.model import Model
from medrev.prediction.plan import Plan, Shape, peak_bytes, plan
from medrev.prediction.stages import Engine, stages_of
from medrev.prediction.stream import Stream, stream_memory

#: Called with the number of planes whenever some are finished.
Advance = Callable[[int], None]

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


class Direction(ABC):
    """One direction of a translator, whatever its dimension; its weights are read now.

    Values ``(C, *spatial)`` enter the network's own grid, are computed there, and leave it. The
    other direction goes on from what was computed: the round trip of an exactly reversible network
    is exact, padding included.

    Raises:
        InputError: The engine does not know the layers of the network.
    """

    def __init__(
        self, model: Model, *, inverse: bool = False, engine: Engine | None = None
    ) -> None:
        self.model, self.inverse = model, inverse
        self.translator, self.pipeline = model.translator, model.pipeline
        self.engine = Engine.torch(model.device) if engine is None else engine
        if not self._ready() and self.engine.name != "torch":
            raise InputError(
                f"engine {self.engine.name} does not know the layers of this network; use engine "
                "torch"
            )

    @abstractmethod
    def _ready(self) -> bool:
        """Prepare the network, and say whether the engine knows its layers."""

    def plan(
        self,
        shape: tuple[int, ...],
        max_memory: float | None = None,
        held: int = 0,
        mask: Tensor | None = None,
    ) -> Plan:
        """Choose how values go through the network.

        Args:
            shape: Their voxels.
            max_memory: Limit in GiB (default: the pipeline's).
            held: Bytes that are held beside the values and their result.
            mask: ``(1, *spatial)`` of the values: where results are wanted (default: everywhere).
                Elsewhere they may be anything finite.
        """
        limit = self.pipeline.inference.max_memory if max_memory is None else max_memory
        chosen = self._planned(shape, limit, held)
        return chosen if mask is None else self._only(chosen, mask)

    @abstractmethod
    def _planned(self, shape: tuple[int, ...], max_memory: float, held: int) -> Plan:
        """The plan where results are wanted everywhere."""

    @abstractmethod
    def _only(self, chosen: Plan, mask: Tensor) -> Plan:
        """A plan without what no voxel of a mask is in."""

    def timed(self, chosen: Plan) -> Plan:
        """A plan with the time it will take, where that can be told."""
        return chosen

    @abstractmethod
    def enter(self, values: Tensor) -> Tensor:
        """What the network is given for values ``(C, *spatial)``: ``(B, C, *spatial')``."""

    @abstractmethod
    def compute(self, x: Tensor, chosen: Plan, advance: Advance | None = None) -> Tensor:
        """Run the network; the result is ``(B, C', …)`` on the network's own grid.

        Args:
            x: What :meth:`enter` gave, or :meth:`turn_back` of the other direction.
            chosen: :meth:`plan` for the shape of the values.
            advance: Called with the number of planes whenever some are finished;
                :attr:`Plan.amount` in all.
        """

    @abstractmethod
    def leave(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The result ``(C', *spatial)`` for values of ``shape``; may be a view of ``y``."""

    def turn_back(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What the other direction is given to go on from ``y``, made of values of ``shape``."""
        return y


class VolumeDirection(Direction):
    """One direction of a 3D translator; arguments as those of :class:`Direction`.

    Volumes that do not suit the network are padded at the end of an axis by repeating the last
    voxel: the first corner of the field of view never moves.

    Raises:
        InputError: The network is 2D, or the engine does not know its layers.
    """

    def _ready(self) -> bool:
        self.geometry = Geometry.of(self.model, inverse=self.inverse)
        self._stages = stages_of(self.translator, self.inverse, self.engine.make_chain)
        return self._stages is not None

    def _planned(self, shape: tuple[int, ...], max_memory: float, held: int) -> Plan:
        """Choose the whole volume, tiles or windows, and how many planes at a time."""
        geometry = self.geometry
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
                max_memory=max_memory,
                halo=geometry.halo,
                window=geometry.window,
                slab=self._slab(cells),
            )

    def _only(self, chosen: Plan, mask: Tensor) -> Plan:
        return chosen if chosen.kind == "whole" else chosen.only(self.geometry.cells_of(mask))

    def timed(self, chosen: Plan) -> Plan:
        """A plan with the time it will take, measured on a small volume."""
        with evaluating(self.translator):
            seconds = self._seconds_per_cell(chosen.tile, chosen.slab)
        cells = sum(math.prod(chosen.size_of(part)) for part in chosen.parts)
        return dataclasses.replace(chosen, seconds=seconds * cells)

    def enter(self, values: Tensor) -> Tensor:
        """A volume ``(C, i, j, k)`` padded to whole cells, ``(1, C, …)``."""
        return self.geometry.enter(values)

    def compute(self, x: Tensor, chosen: Plan, advance: Advance | None = None) -> Tensor:
        """Run the network; tiles and windows in which nothing is wanted are left out."""
        with evaluating(self.translator):
            function = self.function(chosen.slab, advance)
            if chosen.kind == "whole":
                return function(x)
            cells = self.geometry.cell_in, self.geometry.cell_out
            return chosen.run(function, x, cell_in=cells[0], cell_out=cells[1])

    def leave(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Cut off what was padded."""
        return self.geometry.leave(y, shape)

    def turn_back(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What was computed; where the result is coarser than that, the result interpolated."""
        geometry = self.geometry
        if geometry.upsampling is None or not geometry.ratio.coarser:
            return y
        other = Geometry.of(self.model, inverse=not self.inverse)
        return other.enter(self.leave(y, shape))

    def function(self, slab: int, advance: Advance | None = None) -> Callable[[Tensor], Tensor]:
        """The network as a function ``(1, C, *in) → (1, C', *out)``."""
        if self._stages is not None:
            return Stream(self._stages, self.geometry, slab, advance, self.engine.memory_format)

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
        return math.ceil(stream_memory(self._stages, self.geometry, cells, slab) * _OVERHEAD)

    def _seconds_per_cell(self, tile: Shape, slab: int) -> float:
        """How long a cell of a tile takes, measured on a small part of one."""
        if self.geometry.window is None:
            tile = tuple(min(n, most) for n, most in zip(tile, _TRIAL, strict=True))
        x = self._example(tile).normal_()
        function = self.function(min(slab, tile[0]))
        seconds = []
        for _ in range(2):  # the first one is slower: kernels are made, caches are cold
            start = time.perf_counter()
            function(x)[0, 0, 0, 0, 0].item()  # waits for the device
            seconds.append(time.perf_counter() - start)
        return min(seconds) / math.prod(tile)

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
