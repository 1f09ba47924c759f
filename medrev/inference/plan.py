"""Whole volume, exact halo tiles or blended windows: which, how large, and why.

Lengths are counted in *cells*. A cell is the smallest block that both grids of the network share:
``2^downsamplings`` voxels of its input and ``scale`` times as many of its output. Tiles that begin
and end at cells keep strided layers aligned with the whole volume.
"""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Plan", "plan"]

Shape = tuple[int, int, int]

#: What the kernels of a network take beside the tensors that are counted.
_WORKSPACE = 1.5


@dataclass(frozen=True)
class Plan:
    """How a volume goes through the network.

    Attributes:
        kind: ``whole``: in one piece. ``tiles``: disjoint tiles, each computed with a halo of the
            receptive field and cropped, which changes nothing in the result. ``windows``:
            overlapping windows of the training patch's size, blended with Gaussian weights, for
            networks whose normalisation depends on what the window holds.
        shape: Cells of the (padded) volume along i, j, k.
        tile: Cells of a tile or window along i, j, k.
        halo: Cells on every side of a tile.
        memory: Estimated peak of activations in bytes.
        fits: Whether the estimate obeys the limit.
    """

    kind: Literal["whole", "tiles", "windows"]
    shape: Shape
    tile: Shape
    halo: int
    memory: int
    fits: bool = True

    @property
    def count(self) -> int:
        """Number of calls of the network."""
        return math.prod(len(starts) for starts in self.starts)

    @property
    def starts(self) -> tuple[list[int], list[int], list[int]]:
        """First cells of the tiles along i, j, k."""
        step = self.tile if self.kind != "windows" else tuple(_step(t) for t in self.tile)
        i, j, k = (
            _window_starts(n, t, s) if self.kind == "windows" else list(range(0, n, s))
            for n, t, s in zip(self.shape, self.tile, step, strict=True)
        )
        return i, j, k

    def __str__(self) -> str:
        size = "x".join(str(n) for n in self.tile)
        memory = f"about {self.memory / 2**30:.2f} GiB"
        if self.kind == "whole":
            return f"whole volume, {memory}"
        if self.kind == "tiles":
            return f"{self.count} tiles of {size} with a halo of {self.halo}, {memory}"
        return f"{self.count} blended windows of {size}, {memory}"


def plan(
    shape: Shape,
    *,
    bytes_per_cell: float,
    max_memory: float,
    halo: int,
    window: int | None = None,
) -> Plan:
    """Choose how a volume goes through the network.

    Args:
        shape: Cells of the volume along i, j, k.
        bytes_per_cell: Peak of activations per cell, in bytes (:func:`peak_bytes`).
        max_memory: Limit on activations in GiB.
        halo: Receptive field to one side, in cells.
        window: Edge of the training patch in cells, given for networks whose normalisation depends
            on the window; the volume must be at least as large.

    Returns:
        A whole-volume plan where it fits; else the fewest tiles that fit (or, where not even the
        smallest sensible tile fits, that one with ``fits`` false).
    """
    per_cell = bytes_per_cell * _WORKSPACE
    limit = max_memory * 2**30

    def cost(tile: Shape) -> int:
        # A tile in the middle of the volume has a halo on both sides.
        edges = (min(t + 2 * halo, n) for t, n in zip(tile, shape, strict=True))
        return math.ceil(math.prod(edges) * per_cell)

    if window is not None:
        i, j, k = (min(window, n) for n in shape)
        memory = math.ceil(i * j * k * per_cell)
        return Plan("windows", shape, (i, j, k), 0, memory, memory <= limit)
    whole = math.ceil(math.prod(shape) * per_cell)
    if whole <= limit:
        return Plan("whole", shape, shape, 0, whole)
    smallest = max(halo, 4)
    pieces = [1, 1, 1]

    def tile_of(pieces: list[int]) -> Shape:
        i, j, k = (math.ceil(n / p) for n, p in zip(shape, pieces, strict=True))
        return i, j, k

    tile = tile_of(pieces)
    while cost(tile) > limit:
        # Halve the axis that is longest now: near-cubic tiles have the least halo.
        axis = max(range(3), key=lambda a: tile[a])
        if tile[axis] <= smallest:
            break
        pieces[axis] += 1
        tile = tile_of(pieces)
    memory = cost(tile)
    if tile == shape:
        return Plan("whole", shape, shape, 0, memory, False)
    return Plan("tiles", shape, tile, halo, memory, memory <= limit)


def _step(window: int) -> int:
    """Distance between windows: an overlap of a quarter, in whole cells."""
    return max(1, window - math.ceil(window / 4))


def _window_starts(length: int, window: int, step: int) -> list[int]:
    """Starts at every step; the last window ends with the volume."""
    starts = list(range(0, length - window, step))
    return [*starts, length - window]
