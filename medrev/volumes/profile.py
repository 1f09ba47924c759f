"""Coarse voxels as a scanner makes them: weighted means of what lies in a slice."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medrev.errors import ConfigError
from medrev.volumes.resample import Factor, block_mean, per_axis

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
