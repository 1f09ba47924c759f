"""Fine voxels by the coarse voxel that they lie in, and values whose block means are given."""

from torch import Tensor

from medrev.volumes.resample import block_mean, upsample


def blocks_of(values: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Fine voxels ``(C, *(spatial · r))`` as blocks ``(C, *spatial, R)`` of R voxels each.

    Example:
        >>> import torch
        >>> blocks_of(torch.arange(4.0).reshape(1, 4, 1), (2, 1))
        tensor([[[[0., 1.]],
        <BLANKLINE>
                 [[2., 3.]]]])
    """
    axes = len(factors)
    shape = [n // r for n, r in zip(values.shape[1:], factors, strict=True)]
    pairs = [edge for pair in zip(shape, factors, strict=True) for edge in pair]
    split = values.reshape(len(values), *pairs)
    coarse, fine = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    return split.permute(0, *coarse, *fine).reshape(len(values), *shape, -1)


def from_blocks(blocks: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Undo :func:`blocks_of`."""
    channels, *shape, _ = blocks.shape
    axes = len(factors)
    split = blocks.reshape(channels, *shape, *factors)
    order = [axis for n in range(1, axes + 1) for axis in (n, axes + n)]
    fine = [n * r for n, r in zip(shape, factors, strict=True)]
    return split.permute(0, *order).reshape(channels, *fine)


def onto_means(y: Tensor, x: Tensor, factor: int | tuple[int, ...]) -> Tensor:
    """The values nearest to y whose block mean is x: every voxel of a block moves by as much.

    Args:
        y: ``(B, C, *(spatial · r))``.
        x: ``(B, C, *spatial)``.
        factor: Block width r, one for all axes or one for each.
    """
    return y + upsample(x - block_mean(y, factor), factor, "nearest")


def with_means(blocks: Tensor, means: Tensor) -> Tensor:
    """The same of blocks, as float32 numbers whose mean is what was asked for once more.

    What rounding leaves over is given to the voxel of the block that is nearest to zero, whose
    numbers lie closest together.

    Args:
        blocks: ``(…, R)``.
        means: ``(…)``, float32.

    Returns:
        ``(…, R)``, float32, whose mean in float64 is that of ``means`` within one unit in the last
        place of the smallest of the R numbers, divided by R.
    """
    wanted = means.double()
    moved = blocks.double() + (wanted - blocks.double().mean(dim=-1))[..., None]
    rounded = moved.float()
    left = (wanted - rounded.double().mean(dim=-1)) * blocks.shape[-1]
    place = rounded.abs().argmin(dim=-1, keepdim=True)
    last = rounded.gather(-1, place).double() + left[..., None]
    return rounded.scatter_(-1, place, last.float())
