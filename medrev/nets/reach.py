"""How far a voxel of the result depends on voxels of the input, layer by layer.

A layer maps an interval of voxels of its output, both ends included, to the interval of voxels of
its input that they depend on. A network is the list of its layers from first to last.
"""

from collections.abc import Callable, Sequence

Interval = tuple[int, int]
Layer = Callable[[int, int], Interval]


def convolution(kernel: int, *, stride: int = 1, padding: int | None = None) -> Layer:
    """Reach of a convolution; ``padding`` None means ``kernel // 2``."""
    before = kernel // 2 if padding is None else padding
    return lambda a, b: (stride * a - before, stride * b - before + kernel - 1)


def transposed(kernel: int, *, padding: int = 1) -> Layer:
    """Reach of a transposed convolution of stride 2."""
    return lambda a, b: (-(-(a + padding - kernel + 1) // 2), (b + padding) // 2)


def space_to_depth(factor: int = 2) -> Layer:
    """Reach of moving blocks of voxels into channels."""
    return lambda a, b: (factor * a, factor * b + factor - 1)


def depth_to_space(factor: int = 2) -> Layer:
    """Reach of moving channels into blocks of voxels, or of nearest-neighbour up-sampling."""
    return lambda a, b: (a // factor, b // factor)


def linear(factor: int = 2) -> Layer:
    """Reach of linear up-sampling by an even factor, the corners of the field of view kept."""
    half = factor // 2
    return lambda a, b: ((a - half) // factor, (b - half) // factor + 1)


def radius(layers: Sequence[Layer], cell: int = 1) -> int:
    """Largest distance between a voxel of the result and one that it depends on, along an axis.

    Args:
        layers: From first to last; the last one's output has the grid of the first one's input.
        cell: Period of the network in voxels: its total down-sampling.

    Example:
        >>> radius([convolution(7), convolution(3, stride=2), transposed(3), convolution(7)], 2)
        8
    """
    farthest = 0
    for voxel in range(cell):
        a = b = voxel
        for layer in reversed(layers):
            a, b = layer(a, b)
        farthest = max(farthest, voxel - a, b - voxel)
    return farthest


def cells_of_lift(layers: Sequence[Layer], cell: int) -> int:
    """Cells to each side that a cell depends on, through layers from voxels to cells.

    Args:
        layers: From first to last.
        cell: Voxels per cell along an axis.
    """
    a = b = 0
    for layer in reversed(layers):
        a, b = layer(a, b)
    return max(-(a // cell), b // cell)


def cells_of_project(layers: Sequence[Layer], cell: int) -> int:
    """Cells to each side that the voxels of a cell depend on, through layers from cells to voxels.

    Args:
        layers: From first to last.
        cell: Voxels per cell along an axis.
    """
    a, b = 0, cell - 1
    for layer in reversed(layers):
        a, b = layer(a, b)
    return max(-a, b)
