"""Couplings that scale a stream and shift it."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from medrev.reversible.coupling import Coupling, check_shape, no_log_det

ClampForm = Literal["unit-slope", "cinn"]


class AffineCoupling(Coupling):
    r"""Affine coupling with a soft clamp of its log-scales.

    .. math:: y_1 = x_1 \odot e^{s(a)} + t, \quad (a, t) = f(x_2)

    and the same for stream 2 with ``g``. With zero-initialised sub-networks it is the identity.
    Both clamps keep s between −α and α and differ in what they do to small values:

    .. math:: s(a) = \tfrac{2\alpha}{\pi} \arctan\!\left(\tfrac{\pi a}{2\alpha}\right)
        \;\text{(``"unit-slope"``)}, \qquad
        s(a) = \tfrac{2\alpha}{\pi} \arctan\!\left(\tfrac{a}{\alpha}\right)
        \;\text{(``"cinn"``)}

    The first has slope 1 at zero: s ≈ a for small a, as the paper says of its eq. 7. The second is
    eq. 7 as it is written, whose slope at zero is 2/π ≈ 0.64.

    Args:
        f: Sub-network (B, C2, *spatial) → (B, 2·C1, *spatial): log-scales first, then shifts.
        g: Sub-network (B, C1, *spatial) → (B, 2·C2, *spatial).
        clamp: The bound α of the log-scale; None: no clamp, s(a) = a.
        clamp_form: ``"unit-slope"`` or ``"cinn"``.
        head: See `Coupling`.

    Raises:
        ValueError: If ``clamp`` is not positive or ``clamp_form`` is another; on use, if a
            sub-network's output does not have twice the stream's channels.

    References:
        Dinh et al., *Real NVP* (arXiv:1605.08803); Ardizzone et al., *Guided Image Generation with
        Conditional Invertible Neural Networks* (arXiv:1907.02392), eq. 1 and 7.
    """

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module | None = None,
        *,
        clamp: float | None = 2.0,
        clamp_form: ClampForm = "unit-slope",
        head: nn.Module | None = None,
    ) -> None:
        super().__init__(f, g, head=head)
        if clamp is not None and not 0 < clamp < math.inf:
            raise ValueError(f"the clamp of an affine coupling must be positive, got {clamp}")
        if clamp_form not in ("unit-slope", "cinn"):
            raise ValueError(f"clamp_form must be 'unit-slope' or 'cinn', got {clamp_form!r}")
        self.clamp = clamp
        self.clamp_form = clamp_form

    def log_scale(self, a: Tensor) -> Tensor:
        """Clamp raw log-scales softly to (−α, α)."""
        if self.clamp is None:
            return a
        outer, inner = self._widths(self.clamp)
        return torch.atan(a / inner) * outer

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``stream · exp(s) + t``."""
        log_scale, shift = self._parameters_of(stream, h)
        return stream * log_scale.exp() + shift

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``(stream − t) · exp(−s)``."""
        log_scale, shift = self._parameters_of(stream, h)
        return (stream - shift) * (-log_scale).exp()

    def merge_log_det(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the sum of the log-scales s of every sample."""
        log_scale, _ = self._parameters_of(stream, h)
        return _sum_of_samples(log_scale, stream)

    def merge_with_log_det(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, the scales being computed once."""
        log_scale, shift = self._parameters_of(stream, h)
        return stream * log_scale.exp() + shift, _sum_of_samples(log_scale, stream)

    def unmerge_with_grads(
        self, stream: Tensor, h: Tensor, grad: Tensor | None, grad_log_det: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
        """Undo `merge` and give its gradients, the scales being computed once."""
        kind = type(self)
        if kind.merge is not AffineCoupling.merge or kind.log_scale is not AffineCoupling.log_scale:
            return None  # of another coupling
        log_scale, shift = self._parameters_of(stream, h)
        scale, scaled = log_scale.exp(), stream - shift
        # d(x·eˢ + t)/ds = x·eˢ, which is `scaled`; dt/dt = 1.
        of_scale = torch.zeros_like(stream) if grad is None else grad * scaled
        if grad_log_det is not None:
            of_scale += grad_log_det.to(stream.dtype).reshape(-1, *[1] * (stream.dim() - 1))
        if self.clamp is not None:  # ds/da
            outer, inner = self._widths(self.clamp)
            a = h[:, : stream.shape[1]].to(stream.dtype)
            of_scale *= (a / inner).square_().add_(1).reciprocal_().mul_(outer / inner)
        of_shift = torch.zeros_like(stream) if grad is None else grad
        of_h = torch.cat([of_scale, of_shift], 1).to(h.dtype)
        return scaled / scale, None if grad is None else grad * scale, of_h

    def _widths(self, clamp: float) -> tuple[float, float]:
        """Give 2α/π, the bound per unit of the arctangent, and what its argument is divided by."""
        outer = 2 * clamp / math.pi
        return outer, outer if self.clamp_form == "unit-slope" else clamp

    def _parameters_of(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        check_shape(stream, h, 2)
        a, shift = h.to(stream.dtype).chunk(2, dim=1)
        return self.log_scale(a), shift

    def extra_repr(self) -> str:
        """Show the clamp."""
        return f"clamp={self.clamp}, clamp_form={self.clamp_form!r}"


def _sum_of_samples(log_scale: Tensor, stream: Tensor) -> Tensor:
    return log_scale.flatten(1).sum(1, dtype=no_log_det(stream).dtype)
