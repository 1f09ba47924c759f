"""Fine tensors that give back their scan when they are made coarse again as the scanner does it."""

import torch
from torch import Tensor

from medrev.domains.guarantee import Consistency
from medrev.dti import LinearFit, Signal, is_positive_definite
from medrev.dti.spd import FLOOR
from medrev.volumes import blocks_of, from_blocks, upsample, with_means

#: Blocks at a time.
_CHUNK = 20_000
#: How often the details of a block are halved, so that its tensors stay positive definite, before
#: they are left out.
_HALVINGS = 5
#: Largest difference between refit and scan, as a share of the scan's largest value.
_TOLERANCE = 1e-6
#: Of S0, as a share of its median in the mask: what lies below, such as the black around a brain,
#: would ring in its logarithm.
_DARK = 0.1
#: Smallest S0 of the scan whose logarithm is taken.
_LEAST = 1e-30


def consistent_tensors(
    values: Tensor,
    given: Tensor,
    mask: Tensor,
    factors: tuple[int, ...],
    *,
    signal: Signal | None = None,
    s0: Tensor | None = None,
    positive: bool = True,
) -> tuple[Tensor, Tensor | None, Consistency]:
    """Move the tensors of every block by one increment, so that they give back the scan's.

    Ready tensors are averaged. Of raw DWI, the signals of the fine tensors are averaged and fitted
    as the scan was, with S0 on the fine grid, which gets the same increments in its logarithm.

    Args:
        values: A network's ``(6, I·r, J·r, K·r)``, mm²/s.
        given: The scan's ``(6, I, J, K)``.
        mask: ``(1, I, J, K)``, boolean: where they shall be given back.
        factors: r along every axis.
        signal: What the scan's tensors were fitted to; None: they are ready tensors.
        s0: A guess at S0 on the fine grid ``(1, I·r, J·r, K·r)``, with signals only (default: the
            cubic interpolation of its logarithm).
        positive: The result must be positive definite: where details stand against it they are
            halved, and where the scan's own tensor is not, the block stays as it is.

    Returns:
        Tensors, zero outside of the mask; S0 ``(1, I·r, J·r, K·r)`` of raw DWI; and what was
        measured.
    """
    inside = mask[0]
    fit = None if signal is None else LinearFit(signal.gradients, weighted=signal.method == "WLS")
    fine, coarse = values, given
    if signal is not None:
        dark = _DARK * float(signal.s0[mask].median())
        if s0 is None:
            s0 = upsample(signal.s0.clamp(min=dark).log()[None], factors, "cubic")[0].exp()
        fine = torch.cat([values, s0.clamp(min=dark).log()])
        coarse = torch.cat([given, signal.s0.clamp(min=_LEAST).log()])
    theta = blocks_of(fine, factors)[:, inside].movedim(0, -1)  # (V, R, 6 or 7)
    wanted = coarse[:, inside].T  # (V, 6 or 7)
    parts = [
        _answer(a.double(), b.double(), fit, positive)
        for a, b in zip(theta.split(_CHUNK), wanted.split(_CHUNK), strict=True)
    ]
    found, left, smoothed, impossible = (torch.cat(each) for each in zip(*parts, strict=True))
    blocks = found.new_zeros((found.shape[2], *mask.shape[1:], found.shape[1]))
    blocks[:, inside] = found.movedim(-1, 0)
    result = from_blocks(blocks, factors)
    possible = ~impossible
    consistency = Consistency.measured(
        left[possible].T,
        wanted[possible, :6].T,
        (found - theta)[..., :6][possible],
        degradation="block mean" if fit is None else "refit of the block mean of its signals",
        unit="mm^2/s",
        smoothed=int(smoothed.sum()),
        impossible=int(impossible.sum()),
    )
    if fit is None:
        return result, None, consistency
    fine_mask = from_blocks(mask[..., None].expand(*mask.shape, theta.shape[1]), factors)
    return result[:6], result[6:].exp() * fine_mask, consistency


def _answer(
    theta: Tensor, wanted: Tensor, fit: LinearFit | None, positive: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Blocks (V, R, C) with the fits wanted (V, C).

    Returns:
        Blocks, float32; what is left between their tensors and those wanted (V, 6); where details
        were made smaller; and where there is no answer.
    """
    details = theta - theta.mean(dim=1, keepdim=True)
    tolerance = _TOLERANCE * float(wanted[:, :6].abs().max())

    def moved(details: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Blocks, what is left, and whether something is wrong with them."""
        base = wanted[:, None] + details
        if fit is None:
            blocks = with_means(base.movedim(1, -1), wanted.float()).movedim(-1, 1)
            left = blocks.double().mean(dim=1) - wanted
        else:
            blocks = (base + fit.increments(base, wanted)[:, None]).float()
            left = (fit.of_blocks(blocks.double()) - wanted)[:, :6]
        wrong = ~(left.abs().amax(dim=1) <= tolerance)
        if positive:
            wrong |= ~_positive(blocks).all(dim=1)
        return blocks, left, wrong

    result, left = theta.float(), wanted.new_zeros(len(theta), 6)
    impossible, smoothed = torch.zeros(2, len(theta), dtype=torch.bool)
    todo = torch.arange(len(theta))
    for share in (*(0.5**n for n in range(_HALVINGS + 1)), 0.0):
        blocks, rest, wrong = moved(details[todo] * share, wanted[todo])
        result[todo], left[todo] = blocks, rest
        smoothed[todo[~wrong]] = share < 1
        todo = todo[wrong]
        if not len(todo):
            break
    impossible[todo] = True
    result[todo] = theta[todo].float()
    return result, left, smoothed, impossible


def _positive(blocks: Tensor) -> Tensor:
    """Where tensors (V, R, 6 or more) are positive definite: (V, R)."""
    return is_positive_definite(blocks[..., :6].movedim(-1, 0)[..., None], FLOOR)[..., 0]
