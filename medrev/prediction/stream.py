"""A whole volume through a reversible network, a few planes at a time.

Every layer runs as soon as the planes it reads are there, so that the volume moves through the
network as a wave along its first axis. Each plane is computed once by each layer. Because a
reversible step changes one stream where the other one stays, the streams are changed in place, and
no more of them is kept than lies between the lift, which leads, and the projection, which lags
behind by the receptive field.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medrev.prediction.chain import layout
from medrev.prediction.geometry import Geometry
from medrev.prediction.plan import Shape
from medrev.prediction.stages import Stages

#: Planes of cells whose residual is computed at a time.
_RESIDUAL_PLANES = 8
#: How many times the memory of a result it takes to move it onto its block means.
_ONTO_COPIES = 3


class Stream:
    """A direction of a translator as a function ``(1, C, *in) → (1, C', *out)``.

    Args:
        stages: The direction, taken apart.
        geometry: Its grids. A cell is a voxel of the core's grid.
        slab: Planes of cells that a layer handles at a time. As many as the volume has: every
            layer sees the whole volume at once, which instance normalisation needs.
        advance: Called with the number of planes (of cells) whenever some are finished.
        memory_format: Of the streams (default: in which the device convolves fastest).
    """

    def __init__(
        self,
        stages: Stages,
        geometry: Geometry,
        slab: int,
        advance: Callable[[int], None] | None = None,
        memory_format: torch.memory_format | None = None,
    ) -> None:
        self.stages, self.geometry = stages, geometry
        self.slab = slab
        self.advance = advance
        self.memory_format = memory_format

    def _begin(self, x: Tensor) -> None:
        """Make room for a volume's way."""
        stages, geometry, self.x = self.stages, self.geometry, x
        size = [n // cell for n, cell in zip(x.shape[2:], geometry.cell_in, strict=True)]
        self.length = size[0]
        result = (n * cell for n, cell in zip(size, geometry.cell_out, strict=True))
        self.y = x.new_empty((x.shape[0], geometry.channels[1], *result))
        kept = _planes_kept(stages, self.slab, self.length)
        self.streams = [
            torch.empty(
                (x.shape[0], channels, kept, *size[1:]),
                device=x.device,
                memory_format=self.memory_format or layout(x.device, torch.float32),
            )
            for channels in (stages.split, stages.width - stages.split)
        ]
        self.origin = 0  # plane of the volume that is the first one kept
        self.lifted = 0
        self.done = [0] * len(stages.steps)
        self.projected = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Translate; sizes must be whole cells."""
        self._begin(x)
        while self.projected < self.length:
            self._forget()
            # Lift a slab more, and let every layer go as far as it can then.
            front = min(self.length, self.lifted + self.slab)
            self._lift(self.lifted, front)
            self.lifted = front
            for number, step in enumerate(self.stages.steps):
                front = self._reach(front, step.chain.radius)
                for low in range(self.done[number], front, self.slab):
                    high = min(front, low + self.slab)
                    part = _Part(low, high, step.chain.radius, self.length)
                    h = self._planes(1 - step.target, part.start, part.stop)
                    h = part.crop(step.chain(h, first=part.first, last=part.last))
                    step.apply(self._planes(step.target, low, high), h)
                    del h
                self.done[number] = front
            front, before = self._reach(front, self.stages.project.radius), self.projected
            for low in range(before, front, self.slab):
                self._project(low, min(front, low + self.slab))
            self.projected = front
            if self.advance is not None:
                self.advance(front - before)
        y = self.y
        del self.x, self.y, self.streams
        return y

    def _reach(self, front: int, radius: int) -> int:
        """How far a layer gets that needs ``radius`` planes beyond its own."""
        return front if front == self.length else max(0, front - radius)

    def _forget(self) -> None:
        """Move the planes that are still needed to the beginning of what is kept."""
        stages = self.stages
        read = [self.projected - stages.project.radius]
        read += [d - s.chain.radius for d, s in zip(self.done, stages.steps, strict=True)]
        first = max(0, min(read))
        shift, count = first - self.origin, self.lifted - first
        if shift <= 0:
            return
        for stream in self.streams:
            for low in range(0, count, shift):  # pieces that do not overlap themselves
                high = min(count, low + shift)
                stream[:, :, low:high] = stream[:, :, low + shift : high + shift]
        self.origin = first

    def _planes(self, stream: int, low: int, high: int) -> Tensor:
        return self.streams[stream][:, :, low - self.origin : high - self.origin]

    def _lift(self, low: int, high: int) -> None:
        part = _Part(low, high, self.stages.lift.radius, self.length)
        cell = self.geometry.cell_in[0]
        x = self.stages.unpack(self.x[:, :, part.start * cell : part.stop * cell])
        h = part.crop(self.stages.lift(x, first=part.first, last=part.last))
        self._planes(0, low, high).copy_(h[:, : self.stages.split])
        self._planes(1, low, high).copy_(h[:, self.stages.split :])

    def _project(self, low: int, high: int) -> None:
        part = _Part(low, high, self.stages.project.radius, self.length)
        features = torch.cat([self._planes(i, part.start, part.stop) for i in (0, 1)], dim=1)
        y = self.stages.pack(self.stages.project(features, first=part.first, last=part.last))
        del features
        cell = self.geometry.cell_out[0]
        place = self.y[:, :, low * cell : high * cell]
        place.copy_(part.crop(y, cell))
        del y
        for start in range(low, high, _RESIDUAL_PLANES):
            stop = min(high, start + _RESIDUAL_PLANES)
            if self.stages.residual is not None:
                self._add_residual(start, stop)
            if self.stages.onto is not None:
                self._move_onto(start, stop)

    def _add_residual(self, low: int, high: int) -> None:
        residual = self.stages.residual
        assert residual is not None
        part = _Part(low, high, residual.radius, self.length)
        cell_in, cell_out = self.geometry.cell_in[0], self.geometry.cell_out[0]
        x = self.x[:, :, part.start * cell_in : part.stop * cell_in]
        before = (low - part.start) * cell_out
        place = self.y[:, :, low * cell_out : high * cell_out]
        place.add_(residual.function(x, lambda y: y.narrow(2, before, place.shape[2])))

    def _move_onto(self, low: int, high: int) -> None:
        assert self.stages.onto is not None
        cell_in, cell_out = self.geometry.cell_in[0], self.geometry.cell_out[0]
        place = self.y[:, :, low * cell_out : high * cell_out]
        place.copy_(self.stages.onto(place, self.x[:, :, low * cell_in : high * cell_in]))


def stream_memory(stages: Stages, geometry: Geometry, shape: Shape, slab: int) -> int:
    """Peak in bytes of what a :class:`Stream` holds, its result included, its argument excluded."""
    length, j, k = shape
    slab = min(slab, length)
    plane = 4 * j * k
    fine = plane * math.prod(geometry.cell_out) * geometry.channels[1]
    result = length * fine
    kept = _planes_kept(stages, slab, length) * plane * stages.width

    part = (slab, j, k)
    reach = slab + 2 * stages.lift.radius
    packed = reach * plane * math.prod(geometry.cell_in) * geometry.channels[0]
    # The input is not in channels-last format: what is unpacked is padded and copied once more.
    moments = [math.ceil(2.3 * packed) + stages.lift.memory(part)]
    for step in stages.steps:
        width = stages.split if step.target == 0 else stages.width - stages.split
        moments.append(step.chain.memory(part) + step.memory(slab * j * k * width))
    features = (slab + 2 * stages.project.radius) * plane * stages.width
    moments.append(features + stages.project.memory(part))
    moments.append(stages.project.memory(part) + slab * fine)
    if stages.residual is not None:
        planes = min(slab, _RESIDUAL_PLANES) + 2 * stages.residual.radius
        moments.append(math.ceil(planes * fine * stages.residual.copies))
    if stages.onto is not None:
        moments.append(_ONTO_COPIES * min(slab, _RESIDUAL_PLANES) * fine)
    return result + kept + max(moments)


def _planes_kept(stages: Stages, slab: int, length: int) -> int:
    """Planes of the streams that are kept at a time, of ``length`` that the volume has."""
    radii = [stages.project.radius, *(step.chain.radius for step in stages.steps)]
    return min(length, slab + sum(radii) + max(radii))


class _Part:
    """The planes that are read to compute the planes from ``low`` to ``high``.

    Near an end of the volume, all planes up to the end are taken, so that the layers pad there as
    they would pad the whole volume, and the result is cropped.
    """

    def __init__(self, low: int, high: int, radius: int, length: int) -> None:
        self.first = low < radius or low == 0
        self.last = high > length - radius or high == length
        self.start = 0 if self.first else low - radius
        self.stop = length if self.last else high + radius
        self.before = low if self.first else 0
        self.count = high - low

    def crop(self, result: Tensor, cell: int = 1) -> Tensor:
        """The planes that were asked for, ``cell`` voxels each."""
        return result[:, :, self.before * cell : (self.before + self.count) * cell]
