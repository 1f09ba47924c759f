"""One direction of a 2D translator: images, and volumes slice by slice."""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from medrev.nets import evaluating
from medrev.prediction.direction import Advance, Direction
from medrev.prediction.plan import Plan, peak_bytes
from medrev.volumes import SLICE_AXES, Slicing

#: Pixels of the slices that a network is given at a time.
_PIXELS = 1 << 18
#: Pixels that a network is given along every axis of an image at least: its own paddings need some.
_LEAST = 16
#: Edge of the slice on which memory is measured, and for what is not counted.
_TRIAL, _MARGIN = 64, 1.1


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

    def _planned(self, shape: tuple[int, ...], max_memory: float, held: int) -> Plan:
        """Choose the size of slices, and how many are handled at a time."""
        slicing = self._slicing(shape)
        if slicing is None:
            whole = shape[0], shape[1], 1
            return Plan("image", whole, whole, 0, 1, 0)
        given, made = (self.pipeline.data.channels[n] for n in (self.inverse, not self.inverse))
        pixels, slices = math.prod(slicing.size), slicing.shape[slicing.axis]
        # All slices, and the results of all; beside them some on their way, or the volume twice.
        kept = held + 4 * given * math.prod(shape) + 4 * (given + made) * slices * pixels
        count = 1 if self._as_trained else min(max(1, _PIXELS // pixels), slices)

        def memory(count: int) -> int:
            during = _MARGIN * count * pixels * self._bytes_per_pixel
            return math.ceil(kept + max(during, 8 * made * math.prod(shape)))

        while count > 1 and memory(count) > max_memory * 2**30:
            count //= 2
        i, j, k = shape
        return Plan("slices", (i, j, k), (i, j, k), 0, count, memory(count), slicing=slicing)

    def _slicing(self, shape: tuple[int, ...]) -> Slicing | None:
        """How a volume is cut; None of images."""
        slices = self.pipeline.data.slicing
        if slices is None:
            return None
        i, j, k = shape
        axis, multiple = SLICE_AXES[slices.axis], self.translator.size_multiple
        rows, columns = (
            max(slices.size, math.ceil(n / multiple) * multiple)
            for n in (*shape[:axis], *shape[axis + 1 :])
        )
        return Slicing(axis, (i, j, k), (rows, columns))

    @functools.cached_property
    def _bytes_per_pixel(self) -> float:
        """Of activations, measured once on a small slice of zeros."""
        multiple = self.translator.size_multiple
        edge = math.ceil(_TRIAL / multiple) * multiple
        channels = self.pipeline.data.channels[self.inverse]
        example = torch.zeros(1, channels, edge, edge, device=self.engine.device)
        with evaluating(self.translator, as_trained=self._as_trained), self._reproducible(True):
            return peak_bytes(partial(self.translator, inverse=self.inverse), example) / edge**2

    @property
    def _as_trained(self) -> bool:
        return self.pipeline.inference.as_trained

    def _only(self, chosen: Plan, mask: Tensor) -> Plan:
        if chosen.slicing is None:
            return chosen
        inside = (mask[0] > 0).movedim(chosen.slicing.axis, 0).flatten(1).any(dim=1)
        return replace(chosen, wanted=tuple((n,) for n in inside.nonzero()[:, 0].tolist()))

    def enter(self, values: Tensor) -> Tensor:
        """Slices ``(N, C, *size)`` of a volume, or an image ``(1, C, *size)``."""
        slicing = self._slicing(tuple(values.shape[1:]))
        if slicing is None:
            multiple = self.translator.size_multiple
            return reflect_to_multiple(values[None], multiple, least=_LEAST)
        return slicing.forward(values, self.pipeline.data.background)

    def compute(self, x: Tensor, chosen: Plan, advance: Advance | None = None) -> Tensor:
        """Run the network on a few slices at a time; those that are not wanted are left."""
        wanted = torch.arange(len(x))
        if chosen.wanted is not None:
            wanted = torch.tensor(chosen.wanted, dtype=torch.long).flatten()
        data = self.pipeline.data
        channels = data.channels[not self.inverse]
        y = x.new_full((len(x), channels, *x.shape[2:]), data.background)
        as_trained = self._as_trained
        with evaluating(self.translator, as_trained=as_trained), self._reproducible(as_trained):
            for some in wanted.split(chosen.slab):
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
        slicing = self._slicing(shape)
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
