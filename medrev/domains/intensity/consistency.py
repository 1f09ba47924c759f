"""Fine volumes whose block means are those of their scan."""

import torch
from torch import Tensor

from medrev.domains.consistency import Consistency
from medrev.volumes import blocks_of, from_blocks, with_means

#: Coarse planes at a time.
_PLANES = 8
#: Of what details may be, so that rounding makes nothing negative.
_HAIR = 1 - 1e-6


def consistent_volume(
    values: Tensor, given: Tensor, mask: Tensor | None, factors: tuple[int, ...]
) -> tuple[Tensor, Consistency]:
    """Move every block so that its mean is the scan's; where that makes a voxel negative, smooth.

    Args:
        values: A network's ``(1, *(spatial · r))``.
        given: The scan's ``(1, *spatial)``. Where it is negative there is no answer.
        mask: ``(1, *spatial)``: what is compared (default: everything).
        factors: r along every axis.

    Returns:
        The volume, float32, and what was measured.
    """
    inside = torch.ones_like(given, dtype=torch.bool) if mask is None else mask > 0
    parts, left, moved, counts = [], [], [], [0, 0]
    fine = values.split(_PLANES * factors[0], dim=1)
    for high, low, where in zip(
        fine, given.float().split(_PLANES, dim=1), inside.split(_PLANES, dim=1), strict=True
    ):
        before = blocks_of(high, factors).double()
        details = before - before.mean(dim=-1, keepdim=True)
        deepest = -details.amin(dim=-1)
        share = (_HAIR * low.double() / deepest).where(deepest > low, 1.0).clamp(min=0)
        after = with_means(low.double()[..., None] + share[..., None] * details, low)
        impossible = low < 0
        after = torch.where(impossible[..., None], before.float().clamp(min=0), after)
        counts[0] += int((where & (share < 1) & ~impossible).sum())
        counts[1] += int((where & impossible).sum())
        compared = where & ~impossible
        left.append((after.double().mean(dim=-1) - low)[compared])
        moved.append((after - before)[compared].flatten())
        parts.append(from_blocks(after, factors))
    return torch.cat(parts, dim=1), Consistency.measured(
        torch.cat(left)[None],
        given[inside][None],
        torch.cat(moved),
        degradation="block mean",
        unit="arbitrary",
        smoothed=counts[0],
        impossible=counts[1],
    )
