"""One direction of a translator on values in network range, run by an engine."""

import dataclasses
import functools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.nets import Translator, evaluating
from medrev.prediction.engines import Engine
from medrev.prediction.geometry import Geometry
from medrev.prediction.memory import peak_bytes
from medrev.prediction.model import Model
from medrev.prediction.plan import Plan, Shape, plan
from medrev.prediction.stages import stages_of
from medrev.prediction.stream import Stream, stream_memory
from medrev.volumes import SLICE_AXES, Slicing

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
#: Pixels of the slices that a network is given at a time.
_PIXELS = 1 << 18
#: Pixels that a network is given along every axis of an image at least: its own paddings need some.
_LEAST = 16


class Direction(ABC):
    """One direction of a translator, whatever its dimension.

    Values ``(C, *spatial)`` enter the network's own grid, are computed there, and leave it. The
    other direction goes on from what was computed: the round trip of an exactly reversible network
    is exact, padding included.

    Args:
        translator: The network. Its weights are read now.
        pipeline: The pipeline that built it.
        inverse: From y to x.
        engine: What computes it (default: PyTorch in float32).

    Raises:
        InputError: The engine does not know the layers of the network.
    """

    def __init__(
        self,
        translator: Translator,
        pipeline: Pipeline,
        *,
        inverse: bool = False,
        engine: Engine | None = None,
    ) -> None:
        if engine is None:
            place = next((p.device for p in translator.parameters()), torch.device("cpu"))
            engine = Engine.torch(place)
        self.translator, self.pipeline = translator, pipeline
        self.inverse, self.engine = inverse, engine
        if not self._ready() and engine.name != "torch":
            raise InputError(
                f"engine {engine.name} does not know the layers of this network; use engine torch"
            )

    @abstractmethod
    def _ready(self) -> bool:
        """Prepare the network, and say whether the engine knows its layers."""

    @abstractmethod
    def check(self, values: Tensor) -> None:
        """Check that values ``(C, *spatial)`` can be translated.

        Raises:
            InputError: The shape is not one that the direction takes, or there are NaN or Inf.
        """

    @abstractmethod
    def plan(self, shape: tuple[int, ...], max_memory: float | None = None, held: int = 0) -> Plan:
        """Choose how values go through the network.

        Args:
            shape: Their voxels.
            max_memory: Limit in GiB (default: the pipeline's).
            held: Bytes that are held beside the values and their result.
        """

    def timed(self, chosen: Plan, mask: Tensor | None = None) -> Plan:
        """A plan with the time it will take, where that can be told.

        Args:
            chosen: The plan.
            mask: As in :meth:`compute`.
        """
        return chosen

    @abstractmethod
    def amount(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """The planes that :meth:`compute` computes, those of all tiles together."""

    @abstractmethod
    def enter(self, values: Tensor) -> Tensor:
        """What the network is given for values ``(C, *spatial)``: ``(B, C, *spatial')``."""

    @abstractmethod
    def compute(
        self, x: Tensor, chosen: Plan, advance: Advance | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Run the network.

        Args:
            x: What :meth:`enter` gave, or :meth:`turn_back` of the other direction.
            chosen: :meth:`plan` for the shape of the values.
            advance: Called with the number of planes whenever some are finished; :meth:`amount` in
                all.
            mask: ``(1, *spatial)`` of the values: where results are wanted (default: everywhere).
                Elsewhere they may be anything finite.

        Returns:
            ``(B, C', …)`` on the network's own grid.
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
        parts = chosen.wanted(self._wanted(mask))
        cells = sum(math.prod(chosen.size_of(part)) for part in parts)
        return dataclasses.replace(chosen, seconds=seconds * cells)

    def amount(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """Planes of cells along i, those of all tiles together."""
        parts = chosen.wanted(self._wanted(mask))
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
            return chosen.run(
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


class PlaneDirection(Direction):
    """One direction of a 2D translator; arguments as those of :class:`Direction`.

    Images are padded at the end of an axis by reflection. Slices have the size that was trained on,
    padded with background at the centre; where the volume's own are larger, they are not cropped:
    the network is given the next size that holds them and is a multiple of its ``size_multiple``.

    Raises:
        InputError: The engine is not PyTorch.
    """

    def _ready(self) -> bool:
        return False

    def check(self, values: Tensor) -> None:
        """Check ``(C, I, J, K)`` of a network that takes slices, ``(C, I, J)`` of others."""
        data = self.pipeline.data
        channels = data.channels[self.inverse]
        what, axes = ("image", "I, J") if data.slicing is None else ("volume", "I, J, K")
        dims = 3 if data.slicing is None else 4
        if values.ndim != dims or values.shape[0] != channels or 0 in values.shape:
            side = "y" if self.inverse else "x"
            raise InputError(
                f"{what}s of {side} must have shape ({channels}, {axes}), got {tuple(values.shape)}"
            )
        bad = int((~torch.isfinite(values)).any(dim=0).sum())
        if bad:
            raise InputError(f"the {what} must be finite, got NaN or Inf in {bad} voxels")

    def plan(self, shape: tuple[int, ...], max_memory: float | None = None, held: int = 0) -> Plan:
        """Choose the size of slices; a few are handled at a time, whatever the memory."""
        slices = self.pipeline.data.slicing
        if slices is None:
            whole = shape[0], shape[1], 1
            return Plan("image", whole, whole, 0, 1, 0)
        i, j, k = shape
        axis, multiple = SLICE_AXES[slices.axis], self.translator.size_multiple
        rows, columns = (
            max(slices.size, math.ceil(n / multiple) * multiple)
            for n in (*shape[:axis], *shape[axis + 1 :])
        )
        slicing = Slicing(axis, (i, j, k), (rows, columns))
        return Plan("slices", (i, j, k), (i, j, k), 0, 1, 0, slicing=slicing)

    def amount(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """Number of slices; 1 for an image."""
        return 1 if chosen.slicing is None else len(_wanted(chosen.slicing, mask))

    def enter(self, values: Tensor) -> Tensor:
        """Slices ``(N, C, *size)`` of a volume, or an image ``(1, C, *size)``."""
        slicing = self.plan(tuple(values.shape[1:])).slicing
        if slicing is None:
            multiple = self.translator.size_multiple
            return reflect_to_multiple(values[None], multiple, least=_LEAST)
        return slicing.forward(values, self.pipeline.data.background)

    def compute(
        self, x: Tensor, chosen: Plan, advance: Advance | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Run the network on a few slices at a time; those without a voxel of the mask are left."""
        wanted = torch.arange(len(x))
        if chosen.slicing is not None:
            wanted = _wanted(chosen.slicing, mask)
        data = self.pipeline.data
        channels = data.channels[not self.inverse]
        y = x.new_full((len(x), channels, *x.shape[2:]), data.background)
        as_trained = self.pipeline.inference.as_trained
        count = 1 if as_trained else max(1, _PIXELS // math.prod(x.shape[2:]))
        with evaluating(self.translator, as_trained=as_trained), self._reproducible(as_trained):
            for some in wanted.split(count):
                given = x[some].to(self.engine.device)
                y[some] = self.translator(given, inverse=self.inverse).float().to(x.device)
                if advance is not None:
                    advance(len(some))
        return y

    @contextmanager
    def _reproducible(self, is_random: bool) -> Iterator[None]:
        """Draw the same random numbers for the same input, and leave the others alone."""
        devices = [self.engine.device] if self.engine.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices, enabled=is_random):
            if is_random:
                torch.manual_seed(self.pipeline.seed)
            yield

    def leave(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Slices put together, or the image cut to its size ``shape``."""
        slicing = self.plan(shape).slicing
        if slicing is None:
            return y[0, :, : shape[0], : shape[1]]
        return slicing.inverse(y, self.pipeline.data.background)


def reflect_to_multiple(images: Tensor, multiple: int, *, least: int = 1) -> Tensor:
    """Pad ``(B, C, *spatial)`` at the end of every axis to a multiple, by reflection.

    Where an axis is shorter than the padding, it is reflected several times.

    Example:
        >>> reflect_to_multiple(torch.tensor([[[0.0, 1.0, 2.0]]]), 8)
        tensor([[[0., 1., 2., 1., 0., 1., 2., 1.]]])
    """
    for axis, size in enumerate(images.shape[2:], start=2):
        wanted = -(-max(size, least) // multiple) * multiple
        if wanted != size:
            period = max(1, 2 * (size - 1))
            place = torch.arange(wanted, device=images.device) % period
            images = images.index_select(axis, torch.where(place < size, place, period - place))
    return images


def _wanted(slicing: Slicing, mask: Tensor | None) -> Tensor:
    """Numbers of the slices that hold a voxel of a mask ``(1, I, J, K)``."""
    count = slicing.shape[slicing.axis]
    if mask is None:
        return torch.arange(count)
    inside = (mask[0] > 0).movedim(slicing.axis, 0).flatten(1).any(dim=1)
    return torch.arange(count)[inside.cpu()]


def direction_of(model: Model, inverse: bool = False, engine: Engine | None = None) -> Direction:
    """One direction of a model's network, with the weights as they are now.

    Args:
        model: The model.
        inverse: From y to x.
        engine: What computes it (default: PyTorch in float32).

    Raises:
        InputError: The engine does not know the layers of the network.
    """
    volumes = model.pipeline.data.spatial_dims == 3
    kind = VolumeDirection if volumes else PlaneDirection
    return kind(model.translator, model.pipeline, inverse=inverse, engine=engine)
