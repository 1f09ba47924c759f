"""Couplings that bend a stream by monotone splines."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrev.reversible.coupling import Coupling, check_shape, no_log_det

#: Least width and height of a bin, as a share of the whole, and least slope.
_LEAST = 1e-3


class SplineCoupling(Coupling):
    r"""Coupling by monotone rational-quadratic splines, the identity outside of ±bound.

    Every number of a stream goes through a spline of its own, of K bins between −bound and bound,
    whose widths, heights and inner slopes a sub-network gives. The inverse solves one quadratic
    equation. With zero-initialised sub-networks it is the identity.

    Args:
        f: Sub-network (B, C2, *spatial) → (B, (3·K − 1)·C1, *spatial): all widths, all heights,
            then all slopes.
        g: Sub-network (B, C1, *spatial) → (B, (3·K − 1)·C2, *spatial).
        bins: Number K of bins, at least 2.
        bound: Where the spline ends.
        head: See `Coupling`.

    Raises:
        ValueError: If ``bins`` or ``bound`` is too small; on use, if a sub-network's output has
            another number of channels.

    References:
        Durkan et al., *Neural Spline Flows* (arXiv:1906.04032), section 3.1.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Linear(1, 3 * 8 - 1)
        >>> block = SplineCoupling(net, net)
        >>> x1, x2 = torch.randn(5, 1), torch.randn(5, 1)
        >>> restored, _ = block.inverse(*block(x1, x2))
        >>> torch.allclose(restored, x1, atol=1e-5)
        True
    """

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module,
        *,
        bins: int = 8,
        bound: float = 4.0,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__(f, g, head=head)
        if bins < 2:
            raise ValueError(f"a spline coupling needs at least 2 bins, got {bins}")
        if not 0 < bound < math.inf:
            raise ValueError(f"the bound of a spline coupling must be positive, got {bound}")
        self.bins = bins
        self.bound = bound

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the spline's values at the stream."""
        return self._values_and_log_slopes(stream, h)[0]

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return where the spline has the stream's values."""
        inside, y = self._inside(stream)
        bin_ = self._bin(y, h, of_values=True)
        rise, above = bin_.height / bin_.width, y - bin_.y
        bend = above * (bin_.slope_right + bin_.slope - 2 * rise)
        a = bin_.height * (rise - bin_.slope) + bend
        b = bin_.height * bin_.slope - bend
        c = -rise * above
        root = (b.square() - 4 * a * c).clamp_min(0).sqrt()
        place = 2 * c / (-b - root)
        return torch.where(inside, bin_.x + place * bin_.width, stream)

    def merge_log_det(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the sum of the logarithms of the slopes of every sample."""
        return self.merge_with_log_det(stream, h)[1]

    def merge_with_log_det(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, the splines being computed once."""
        y, log_slope = self._values_and_log_slopes(stream, h)
        return y, log_slope.flatten(1).sum(1, dtype=no_log_det(stream).dtype)

    def _values_and_log_slopes(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stream's new values and the logarithms of the slopes there."""
        inside, x = self._inside(stream)
        bin_ = self._bin(x, h, of_values=False)
        rise, place = bin_.height / bin_.width, (x - bin_.x) / bin_.width
        left = 1 - place
        both = place * left
        under = rise + (bin_.slope_right + bin_.slope - 2 * rise) * both
        y = bin_.y + bin_.height * (rise * place.square() + bin_.slope * both) / under
        slope = bin_.slope_right * place.square() + 2 * rise * both + bin_.slope * left.square()
        log_slope = 2 * rise.log() + slope.log() - 2 * under.log()
        zeros = torch.zeros_like(log_slope)
        return torch.where(inside, y, stream), torch.where(inside, log_slope, zeros)

    def _inside(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Say where the spline applies, and give numbers that it applies to everywhere."""
        inside = stream.abs() < self.bound
        return inside, torch.where(inside, stream, torch.zeros_like(stream))

    def _bin(self, values: Tensor, h: Tensor, *, of_values: bool) -> "_Bin":
        """Give, for every number, the bin in which it lies: by x, or by the spline's values."""
        bins = self.bins
        check_shape(values, h, 3 * bins - 1)
        h = h.to(values.dtype).unflatten(1, (3 * bins - 1, -1)).movedim(1, -1)
        widths, heights, slopes = h.split([bins, bins, bins - 1], -1)
        xs, ys = self._knots(widths), self._knots(heights)
        # Zero gives slope 1, which is that of the identity outside.
        inner = _LEAST + F.softplus(slopes + math.log(math.expm1(1 - _LEAST)))
        slopes = F.pad(inner, (1, 1), value=1.0)
        knots = (ys if of_values else xs).detach()
        index = torch.searchsorted(knots[..., 1:-1].contiguous(), values.detach()[..., None])

        def pick(of: Tensor, shift: int = 0) -> Tensor:
            return of.gather(-1, index + shift).squeeze(-1)

        x, y = pick(xs), pick(ys)
        return _Bin(x, y, pick(xs, 1) - x, pick(ys, 1) - y, pick(slopes), pick(slopes, 1))

    def _knots(self, raw: Tensor) -> Tensor:
        """Give the K + 1 borders of the bins, from −bound to bound."""
        shares = _LEAST + (1 - _LEAST * self.bins) * raw.softmax(-1)
        inner = shares[..., :-1].cumsum(-1)
        whole = F.pad(F.pad(inner, (1, 0)), (0, 1), value=1.0)
        return self.bound * (2 * whole - 1)

    def extra_repr(self) -> str:
        """Show the bins and the bound."""
        return f"bins={self.bins}, bound={self.bound}"


class _Bin(NamedTuple):
    """Lower corner, extent, and slopes at both ends of the bins, one for every number."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    slope: Tensor
    slope_right: Tensor
