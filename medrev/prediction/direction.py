"""One direction of a translator as a function of volumes, with what it costs."""

import functools
import logging
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from medrev.errors import InputError
from medrev.nets import Translator
from medrev.prediction.engines import Engine
from medrev.prediction.memory import peak_bytes
from medrev.prediction.plan import Shape
from medrev.prediction.stages import stages_of
from medrev.prediction.stream import Stream, stream_memory

__all__ = ["Direction"]

logger = logging.getLogger(__name__)

Function = Callable[[Tensor], Tensor]
#: Most cells of the volume that time is measured on.
_TRIAL: Shape = (16, 32, 32)
#: Values of the core in a slab: what lies between the layers then stays in a processor's cache, and
#: the layers are still large enough to be computed at full speed.
_SLAB_VALUES = 12_000_000
_SLAB_PLANES = (8, 64)
#: What allocators and kernels take beside the tensors that are counted.
_OVERHEAD = 1.1


class Direction:
    """One direction of a translator, run by an engine.

    Args:
        translator: In ``eval()`` whenever the direction is used. Its weights are read now.
        inverse: From Y to X.
        engine: What computes it.
        cells: Voxels per cell of the input and of the output.
        channels: Channels of the input.
        window: Cells along each edge of the only window it is run on, if its normalisation depends
            on the window.

    Raises:
        InputError: The engine does not know the translator's layers.
    """

    def __init__(
        self,
        translator: Translator,
        inverse: bool,
        engine: Engine,
        *,
        cells: tuple[int, int],
        channels: int,
        window: int | None = None,
    ) -> None:
        self.translator = translator
        self.inverse = inverse
        self.engine = engine
        self.cell_in, self.cell_out = cells
        self.channels = channels
        self.window = window
        self._stages = stages_of(translator, inverse, engine.make_chain)
        if self._stages is None and engine.name != "torch":
            raise InputError(
                f"engine {engine.name} does not know the layers of this network; use engine torch"
            )

    def slab(self, shape: Shape) -> int | None:
        """Planes that are best handled at a time; None where all must be.

        Args:
            shape: Cells of the volume.
        """
        if self._stages is None or self.window is not None:
            return None
        best = _SLAB_VALUES / (self._stages.width * shape[1] * shape[2])
        return min(max(round(best), _SLAB_PLANES[0]), _SLAB_PLANES[1], shape[0])

    def function(self, slab: int, advance: Callable[[int], None] | None = None) -> Function:
        """The network as a function ``(1, C, *in) → (1, C', *out)``.

        Args:
            slab: Planes of cells that a layer handles at a time.
            advance: Called with the number of planes (of cells) whenever some are finished.
        """
        if self._stages is not None:
            return Stream(self._stages, slab, advance, self.engine.memory_format)

        def whole(x: Tensor) -> Tensor:
            y: Tensor = self.translator(x, inverse=self.inverse)
            if advance is not None:
                advance(x.shape[2] // self.cell_in)
            return y

        return whole

    def memory(self, shape: Shape, slab: int) -> int:
        """Peak in bytes of what a call makes, its result included and its argument excluded.

        Args:
            shape: Cells of the volume.
            slab: Planes that a layer handles at a time.
        """
        if self._stages is None:
            return math.ceil(math.prod(shape) * self._bytes_per_cell * _OVERHEAD)
        return math.ceil(stream_memory(self._stages, shape, slab) * _OVERHEAD)

    def seconds_per_cell(self, tile: Shape, slab: int) -> float:
        """How long a cell of a tile takes, measured on a small part of one.

        Args:
            tile: Cells of the tile.
            slab: Planes that a layer handles at a time.
        """
        i, j, k = tile
        if self.window is None:
            i, j, k = (min(n, most) for n, most in zip(tile, _TRIAL, strict=True))
        x = self._example((i, j, k), self.engine.device).normal_()
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
        edge = self.window or max(4, 12 // min(self.cell_in, self.cell_out))
        example = self._example((edge, edge, edge), self.engine.device)
        function = functools.partial(self.translator, inverse=self.inverse)
        return peak_bytes(function, example) / edge**3

    def _example(self, shape: Shape, device: str | torch.device) -> Tensor:
        sizes = (n * self.cell_in for n in shape)
        return torch.zeros(1, self.channels, *sizes, device=device)
