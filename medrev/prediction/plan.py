"""Whole volume, exact halo tiles or blended windows: which, how large, how long; and doing so.

Lengths are counted in *cells*. A cell is the smallest block that both grids of the network share:
``2^downsamplings`` voxels of its input and ``scale`` times as many of its output. Tiles that begin
and end at cells keep strided layers aligned with the whole volume. What memory an unknown network
takes is counted on a small example.
"""

import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medrev.progress import format_bytes, format_seconds
from medrev.volumes import SLICE_AXES, Slicing


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages alive that were made while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._seen: set[int] = set()

    def ignore(self, tensor: torch.Tensor) -> None:
        """Never count a storage that was there before."""
        self._before = tensor.untyped_storage()  # kept alive, so that its id is not used again
        self._seen.add(id(self._before))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._track(leaf)
        return result

    def _track(self, tensor: torch.Tensor) -> None:
        owner: Any
        try:
            owner = tensor.untyped_storage()
            size = owner.nbytes()
        except (NotImplementedError, RuntimeError):  # oneDNN tensors have no storage
            owner, size = tensor, tensor.numel() * tensor.element_size()
        key = id(owner)
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(owner, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def peak_bytes(function: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> int:
    """Most bytes that intermediate results of one call on a small example take at a time.

    Counts what PyTorch allocates through its operators, output included and input excluded; the
    scratch space inside a convolution kernel is not seen.
    """
    counter = _LiveBytes()
    counter.ignore(example)
    with torch.no_grad(), counter:
        function(example)
    return counter.peak


#: Cells or voxels along i, j, k.
Shape = tuple[int, ...]
#: Peak in bytes of everything held, from the cells of a tile with its halo and the slab.
Memory = Callable[[Shape, int], int]

_VIEWS = {axis: view for view, axis in SLICE_AXES.items()}
#: Fewest planes of a slab: below, most of the work would be the planes around it.
_LEAST_SLAB = 2


@dataclass(frozen=True)
class Plan:
    """How a volume goes through the network.

    Attributes:
        kind: ``whole``: in one piece. ``tiles``: disjoint tiles, each computed with a halo of the
            receptive field and cropped, which changes nothing in the result. ``windows``:
            overlapping windows of the training patch's size, blended with Gaussian weights, for
            networks whose normalisation depends on what the window holds. ``slices``: one by one,
            through a 2D network. ``image``: as it is, through a 2D network.
        shape: Cells of the (padded) volume along i, j, k.
        tile: Cells of a tile or window along i, j, k.
        halo: Cells on every side of a tile.
        slab: Planes of cells that a layer handles at a time, for networks that are run plane by
            plane; slices that a 2D network is given at a time; else as many as a tile has.
        memory: Estimated peak in bytes, volume and result included.
        seconds: Estimated duration; None where it was not measured.
        slicing: How a volume is cut into slices.
        wanted: First cells of the tiles or windows (of slices: their numbers) in which results are
            wanted; None: those of all.
    """

    kind: Literal["whole", "tiles", "windows", "slices", "image"]
    shape: Shape
    tile: Shape
    halo: int
    slab: int
    memory: int
    seconds: float | None = None
    slicing: Slicing | None = None
    wanted: tuple[Shape, ...] | None = None

    @property
    def count(self) -> int:
        """Number of calls of the network, where everything is wanted."""
        return math.prod(len(starts) for starts in self.starts)

    @property
    def starts(self) -> list[list[int]]:
        """First cells of the tiles along i, j, k."""
        return [
            _window_starts(n, t) if self.kind == "windows" else list(range(0, n, t))
            for n, t in zip(self.shape, self.tile, strict=True)
        ]

    @property
    def parts(self) -> Sequence[Shape]:
        """First cells of the tiles or windows that are computed."""
        return list(itertools.product(*self.starts)) if self.wanted is None else self.wanted

    def only(self, cells: Tensor) -> "Plan":
        """Without tiles or windows that hold none of some cells (boolean, of the plan's shape)."""
        chosen = []
        for part in self.parts:
            place = tuple(slice(a, a + t) for a, t in zip(part, self.tile, strict=True))
            if bool(cells[place].any()):
                chosen.append(part)
        # At least one: the network says what its result looks like.
        return replace(self, wanted=tuple(chosen or self.parts[:1]))

    @property
    def amount(self) -> int:
        """Planes that are computed: of cells along i, those of all tiles together; slices."""
        if self.slicing is not None:
            return self.shape[self.slicing.axis] if self.wanted is None else len(self.wanted)
        return 1 if self.kind == "image" else sum(self.size_of(part)[0] for part in self.parts)

    def size_of(self, part: Shape) -> Shape:
        """Cells along i, j, k that the network computes for a tile or window, halo included."""
        return tuple(
            min(n, start + t + self.halo) - max(0, start - self.halo)
            for start, t, n in zip(part, self.tile, self.shape, strict=True)
        )

    def run(
        self,
        function: Callable[[Tensor], Tensor],
        volume: Tensor,
        *,
        cell_in: Shape,
        cell_out: Shape,
    ) -> Tensor:
        """Apply a network to a volume in tiles or windows, as planned.

        A tile is cropped to what its halo makes exact; windows are averaged with Gaussian weights,
        as in MONAI's sliding window. What is left out changes nothing in the others.

        Args:
            function: ``(1, C, *in) → (1, C', *out)`` with out = in · cell_out / cell_in.
            volume: ``(1, C, I, J, K)`` with I = cell_in[0] · shape[0], and so on.
            cell_in: Voxels per cell in the input, along i, j, k.
            cell_out: Voxels per cell in the output, along i, j, k.

        Returns:
            ``(1, C', I·cell_out/cell_in, …)`` on the device of the volume; zero where tiles or
            windows were left out.
        """
        size = [n * y for n, y in zip(self.shape, cell_out, strict=True)]
        weights = weight_sum = result = None
        if self.kind == "windows":
            tile = [n * y for n, y in zip(self.tile, cell_out, strict=True)]
            weights = _importance(tile).to(volume.device)
            weight_sum = torch.zeros(size, device=volume.device)
        cut: list[Any]
        keep: list[Any]
        place: list[Any]
        for starts in self.parts:
            cut, keep, place = [...], [...], [...]
            along = zip(starts, self.tile, self.shape, cell_in, cell_out, strict=True)
            for start, edge, length, x, y in along:
                stop = min(start + edge, length)  # at its edge a tile ends with the volume
                low, high = max(0, start - self.halo), min(length, stop + self.halo)
                cut.append(slice(low * x, high * x))
                keep.append(slice((start - low) * y, (stop - low) * y))
                place.append(slice(start * y, stop * y))
            piece = function(volume[*cut])
            if result is None:
                result = piece.new_zeros((*piece.shape[:2], *size))
            if weights is None or weight_sum is None:
                result[*place] = piece[*keep]
            else:
                result[*place].addcmul_(piece, weights)
                weight_sum[*place] += weights
        assert result is not None  # a plan has at least one tile
        return result if weight_sum is None else result.div_(weight_sum.clamp_(min=1e-12))

    def __str__(self) -> str:
        if self.slicing is not None:
            rows, columns = self.slicing.size
            return f"{_VIEWS[self.slicing.axis]} slices of {rows}×{columns} voxels"
        if self.kind == "image":
            return "whole image"
        size = "x".join(str(n) for n in self.tile)
        cost = f"about {format_bytes(self.memory)}"
        if self.seconds is not None:
            cost += f" and {format_seconds(math.ceil(self.seconds))}"
        if self.kind == "whole":
            return f"whole volume, {cost}"
        if self.kind == "tiles":
            return f"{self.count} tiles of {size} with a halo of {self.halo}, {cost}"
        return f"{self.count} blended windows of {size}, {cost}"


def plan(
    shape: Shape,
    *,
    memory: Memory,
    max_memory: float,
    halo: int,
    window: Shape | None = None,
    slab: int | None = None,
) -> Plan:
    """Choose how a volume goes through the network.

    Args:
        shape: Cells of the volume along i, j, k.
        memory: Peak of everything held in bytes.
        max_memory: Limit on it in GiB.
        halo: Receptive field to one side, in cells.
        window: Cells of the training patch along i, j, k, given for networks whose normalisation
            depends on the window; the volume must be at least as large.
        slab: Planes of a slab that is computed fastest, given for networks that are run plane by
            plane along i: slabs can be thinner, and tiles are as long as the volume along i.

    Returns:
        A whole-volume plan where it fits; else the fewest tiles that fit (or, where not even the
        smallest sensible tile fits, that one).
    """
    limit = max_memory * 2**30
    if window is not None:
        tile = tuple(min(w, n) for w, n in zip(window, shape, strict=True))
        bytes_ = memory(tile, tile[0])
        return Plan("windows", shape, tile, 0, tile[0], bytes_)

    streams = slab is not None
    planes = shape[0] if slab is None else min(slab, shape[0])
    bytes_ = memory(shape, planes)
    while bytes_ > limit and streams and planes > _LEAST_SLAB:
        planes = max(_LEAST_SLAB, planes // 2)
        bytes_ = memory(shape, planes)
    if bytes_ <= limit:
        return Plan("whole", shape, shape, 0, planes, bytes_)

    axes = (1, 2) if streams else (0, 1, 2)
    smallest = max(halo, 4)
    pieces = [1, 1, 1]
    tile = shape
    while bytes_ > limit:
        # Split the axis that is longest now: near-cubic tiles have the least halo.
        axis = max(axes, key=lambda a: tile[a])
        if tile[axis] <= smallest:
            break
        pieces[axis] += 1
        tile = tuple(math.ceil(n / p) for n, p in zip(shape, pieces, strict=True))
        # A tile in the middle of the volume has a halo on both sides.
        whole = tuple(min(t + 2 * halo, n) for t, n in zip(tile, shape, strict=True))
        planes = min(planes, whole[0]) if streams else whole[0]
        bytes_ = memory(whole, planes)
    if tile == shape:
        return Plan("whole", shape, shape, 0, planes, bytes_)
    return Plan("tiles", shape, tile, halo, planes, bytes_)


def _window_starts(length: int, window: int) -> list[int]:
    """Starts with an overlap of a quarter, in whole cells; the last window ends with the volume."""
    starts = list(range(0, length - window, max(1, window - math.ceil(window / 4))))
    return [*starts, length - window]


def _importance(size: list[int]) -> Tensor:
    """Gaussian weights of a window, sigma 1/8 of its edge, never below 1/1000."""
    weights = torch.ones(())
    for length in size:
        grid = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (grid / (0.125 * length)) ** 2)
    return weights.clamp(min=1e-3)
