"""Means of blocks and of slices, and interpolation, by whole factors, with the field of view kept.

The corner of the grid stays where it was: fine voxel ``j`` lies at coarse coordinate
``(j + 0.5) / r − 0.5``, so a fine voxel's centre is the same world point as in
`medrev.volumes`' affines, and a linear ramp in world coordinates is reproduced exactly away from
the border. Beyond the border the outermost voxels are repeated.

References:
    Keys, *Cubic convolution interpolation for digital image processing*, IEEE TASSP 1981.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medrev.errors import ConfigError

#: Voxels per voxel: one number for all axes, or one for each.
Factor = int | tuple[int, ...]


def per_axis(factor: Factor, axes: int = 3) -> tuple[int, ...]:
    """A number for each axis.

    Raises:
        ValueError: There are numbers, but not as many as axes.

    Example:
        >>> per_axis(2), per_axis((1, 1, 4))
        ((2, 2, 2), (1, 1, 4))
    """
    factors = (factor,) * axes if isinstance(factor, int) else tuple(factor)
    if len(factors) != axes:
        raise ValueError(f"one factor or {axes} are needed, got {factor}")
    return factors


def block_mean(x: Tensor, factor: Factor) -> Tensor:
    """Average r × … × r blocks of voxels.

    Args:
        x: Tensor with shape (B, C, *spatial), 2 or 3 spatial axes, sizes divisible by ``factor``.
        factor: Block width r, one for all axes or one for each.

    Returns:
        Tensor with shape (B, C, *(spatial / r)).

    Raises:
        ValueError: If a size is not a multiple of ``factor``.
    """
    spatial = x.shape[2:]
    factors = per_axis(factor, len(spatial))
    if any(n % r for n, r in zip(spatial, factors, strict=True)):
        raise ValueError(
            f"a block mean by {factor} needs sizes that are multiples of {factor}, "
            f"got {tuple(spatial)}; crop or pad the volume first"
        )
    if set(factors) == {1}:
        return x
    return F.avg_pool2d(x, factors) if len(spatial) == 2 else F.avg_pool3d(x, factors)


def upsample(x: Tensor, factor: Factor, mode: str) -> Tensor:
    """Interpolate a grid to one ``factor`` times finer over the same field of view.

    Args:
        x: Tensor with shape (B, C, *spatial), any number of spatial axes.
        factor: Fine voxels per coarse voxel, one number for all axes or one for each.
        mode: ``"nearest"``, ``"trilinear"`` (linear along each axis, bilinear in 2D) or
            ``"cubic"`` (Keys' kernel with a = −0.5 along each axis).

    Returns:
        Tensor with shape (B, C, *(spatial · factor)).

    Raises:
        ConfigError: If ``mode`` is not one of the above.

    Example:
        >>> upsample(torch.tensor([[[0.0, 4.0, 8.0]]]), 2, "trilinear")
        tensor([[[0., 1., 3., 5., 7., 8.]]])
    """
    if mode not in ("nearest", "trilinear", "cubic"):
        raise ConfigError(f"interpolation must be 'nearest', 'trilinear' or 'cubic', got {mode!r}")
    for axis, ratio in enumerate(per_axis(factor, x.dim() - 2), start=2):
        if ratio == 1:
            continue
        if mode == "nearest":
            x = x.repeat_interleave(ratio, dim=axis)
        else:
            x = _interpolate_axis(x, ratio, axis, mode)
    return x


def _interpolate_axis(x: Tensor, factor: int, axis: int, mode: str) -> Tensor:
    """Interpolate along one axis: each of the ``factor`` phases is a sum of shifted copies."""
    size, reach = x.shape[axis], 1 if mode == "trilinear" else 2
    ends = [x.narrow(axis, i, 1).repeat_interleave(reach, dim=axis) for i in (0, size - 1)]
    padded = torch.cat([ends[0], x, ends[1]], dim=axis)
    phases = []
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5  # of the fine voxel from its coarse one, in voxels
        terms = (
            padded.narrow(axis, reach + shift, size) * weight
            for shift in range(-reach, reach + 1)
            if (weight := _kernel(offset - shift, mode)) != 0
        )
        total = next(terms)
        for term in terms:
            total += term  # in place: half the time on large volumes
        phases.append(total)
    return torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)


def _kernel(t: float, mode: str) -> float:
    """Evaluate the interpolation kernel at distance ``t`` in voxels."""
    t = abs(t)
    if mode == "trilinear":
        return max(0.0, 1.0 - t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    if t < 2:
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return 0.0


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


Profile = Literal["box", "gaussian"]
#: How much of a slice each point of it contributes.
PROFILES: tuple[Profile, ...] = ("box", "gaussian")

#: Full width at half maximum of a Gaussian, in standard deviations.
_FWHM = 2 * math.sqrt(2 * math.log(2))


def coarsen(x: Tensor, factor: Factor, *, profile: Profile = "box", gap: float = 0.0) -> Tensor:
    """Average fine voxels into coarse ones over the same field of view.

    Along every axis of factor r > 1, a coarse voxel is the mean of the fine ones with the weights
    of a slice profile around its centre, r fine voxels apart. ``box``: all of the slice's thickness
    counts alike; without a gap this is the block mean. ``gaussian``: the thickness is the full
    width at half maximum, as of slice-selective pulses; neighbouring slices then overlap.

    Args:
        x: Tensor with shape (B, C, *spatial), sizes divisible by ``factor``.
        factor: Fine voxels per coarse voxel, one for all axes or one for each.
        profile: Weights along the axes that are made coarser.
        gap: Share of the distance between slices that lies between them, from 0 up to below 1: the
            slices are (1 − gap) · r fine voxels thick.

    Returns:
        Tensor with shape (B, C, *(spatial / r)).

    Raises:
        ConfigError: The profile is not listed, or the gap is out of its range.
        ValueError: If a size is not a multiple of ``factor``.

    Example:
        >>> coarsen(torch.tensor([[[0.0, 1.0, 2.0, 9.0]]])[..., None], (4, 1), gap=0.5).flatten()
        tensor([1.5000])
    """
    if profile not in PROFILES:
        raise ConfigError(f"the slice profile must be one of {', '.join(PROFILES)}, got {profile}")
    if not 0 <= gap < 1:
        raise ConfigError(f"the gap must be a share from 0 up to below 1, got {gap:g}")
    factors = per_axis(factor, x.dim() - 2)
    if profile == "box" and gap == 0:
        return block_mean(x, factors)
    if any(n % r for n, r in zip(x.shape[2:], factors, strict=True)):
        return block_mean(x, factors)  # which says so
    for axis, ratio in enumerate(factors, start=2):
        if ratio > 1:
            x = _slices(x, ratio, axis, slice_weights(ratio, profile, gap))
    return x


def slice_weights(ratio: int, profile: Profile, gap: float) -> Tensor:
    """Weights, summing to 1, of the fine voxels around the centre of a coarse one.

    Fine voxels are integrated over the profile, so that a slice need not begin at a voxel's edge.

    Args:
        ratio: Fine voxels between the centres of neighbouring slices.
        profile: As of :func:`coarsen`.
        gap: As of :func:`coarsen`.

    Returns:
        ``(count,)``, float64; the count is even where the ratio is, and the middle is the centre.
    """
    thickness = ratio * (1 - gap)
    reach = thickness / 2 if profile == "box" else 1.5 * thickness
    count = ratio + 2 * max(0, math.ceil(reach - ratio / 2))
    edges = torch.arange(count + 1, dtype=torch.float64) - count / 2
    if profile == "box":
        below = edges.clamp(-thickness / 2, thickness / 2)
    else:
        below = torch.special.ndtr(edges * _FWHM / thickness)
    weights = below.diff()
    return weights / weights.sum()


def _slices(x: Tensor, ratio: int, axis: int, weights: Tensor) -> Tensor:
    """The weighted means along an axis; beyond the border the outermost voxels are repeated."""
    margin = (len(weights) - ratio) // 2
    moved = x.movedim(axis, -1)
    lines = moved.reshape(-1, 1, moved.shape[-1])
    if margin:
        lines = F.pad(lines, (margin, margin), mode="replicate")
    means = F.conv1d(lines, weights.to(lines)[None, None], stride=ratio)
    return means.reshape(*moved.shape[:-1], -1).movedim(-1, axis).contiguous()
