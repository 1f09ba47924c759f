"""Coupling blocks: two streams that change each other in turn, and can be changed back exactly.

References:
    Dinh et al., *NICE* (arXiv:1410.8516) and *Real NVP* (arXiv:1605.08803);
    Gomez et al., *The Reversible Residual Network* (arXiv:1707.04585);
    van der Ouderaa and Worrall, *Reversible GANs* (arXiv:1902.02729), eq. 8–9.
"""

import torch
from torch import Tensor, nn


class Coupling(nn.Module):
    """Base of the couplings: ``f`` reads stream 2 and changes stream 1, then ``g`` the reverse.

    A subclass says how a sub-network's output ``h`` changes a stream (`merge`), how that is undone
    (`unmerge`) and what it does to volumes (`merge_log_det`). None may modify its arguments. They
    may use parameters of the coupling's own, but nothing that changes from call to call.

    Args:
        f: Sub-network from stream 2, shape (B, C2, *spatial), to what changes stream 1.
        g: Sub-network from stream 1, shape (B, C1, *spatial), to what changes stream 2. None: only
            stream 1 is changed.
        head: Makes one tensor of the conditions, which ``f`` and ``g`` get in their place. It is
            evaluated once for both. None: they get the conditions themselves.
    """

    #: `merge` is ``stream + h`` and nothing else: cheaper gradients, in-place sums, exact mode.
    is_additive = False
    #: The streams are handed on in exchanged order.
    swaps = False

    def __init__(
        self, f: nn.Module, g: nn.Module | None = None, *, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.f = f
        self.g = g
        self.head = head

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the stream changed by ``h``."""
        raise NotImplementedError

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the stream before ``h`` changed it."""
        raise NotImplementedError

    def merge_log_det(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return log |det| of `merge` as a map of the stream, shape (B,), in at least float32.

        ``stream`` is the one that `merge` is given, and ``h`` is held fixed.
        """
        raise NotImplementedError

    def merge_with_log_det(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return `merge` and `merge_log_det`; to be overridden where they share work."""
        return self.merge(stream, h), self.merge_log_det(stream, h)

    def unmerge_with_grads(
        self, stream: Tensor, h: Tensor, grad: Tensor | None, grad_log_det: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None] | None:
        """Undo `merge` and take gradients through `merge_with_log_det`, by a formula.

        Args:
            stream: What `merge` returned.
            h: What it was given.
            grad: Gradient of what it returned.
            grad_log_det: Gradient of the log |det|, (B,).

        Returns:
            The stream before, its gradient and that of ``h``; None where there is no formula, so
            that autograd must find them.
        """
        return None

    def half_steps(self) -> tuple[tuple[str, nn.Module, int], ...]:
        """List (name, sub-network, index of the stream it changes) in the order of `forward`."""
        steps = (("f", self.f, 0), ("g", self.g, 1))
        return tuple((name, net, target) for name, net, target in steps if net is not None)

    def forward(self, x1: Tensor, x2: Tensor, *condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map the streams (x1, x2) to (y1, y2), each with shape (B, C1 or C2, *spatial)."""
        given = self._read(condition)
        streams = [x1, x2]
        for _, net, target in self.half_steps():
            streams[target] = self.merge(streams[target], net(streams[1 - target], *given))
        return (streams[1], streams[0]) if self.swaps else (streams[0], streams[1])

    def inverse(self, y1: Tensor, y2: Tensor, *condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map (y1, y2) back to (x1, x2)."""
        given = self._read(condition)
        streams = [y2, y1] if self.swaps else [y1, y2]
        for _, net, target in reversed(self.half_steps()):
            h = run_net(net, streams[1 - target], given, inverse=True)
            streams[target] = self.unmerge(streams[target], h)
        return streams[0], streams[1]

    def log_det(self, x1: Tensor, x2: Tensor, *condition: Tensor) -> Tensor:
        """Return log |det ∂(y1, y2)/∂(x1, x2)| of `forward`, natural logarithm, shape (B,)."""
        given = self._read(condition)
        streams = [x1, x2]
        total = no_log_det(x1)
        for _, net, target in self.half_steps():
            h = net(streams[1 - target], *given)
            streams[target], log_det = self.merge_with_log_det(streams[target], h)
            total = total + log_det
        return total

    def _read(self, condition: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return condition if self.head is None else (self.head(*condition),)


class AdditiveCoupling(Coupling):
    r"""Additive coupling, the reversible residual block of RevGAN (eq. 8–9).

    .. math:: y_1 = x_1 + f(x_2), \qquad y_2 = x_2 + g(y_1)

    Args:
        f: Sub-network (B, C2, *spatial) → (B, C1, *spatial).
        g: Sub-network (B, C1, *spatial) → (B, C2, *spatial).

    Raises:
        ValueError: On use, if a sub-network's output has another shape than the stream it changes.

    Example:
        >>> block = AdditiveCoupling(nn.Conv3d(2, 2, 3, padding=1), nn.Conv3d(2, 2, 3, padding=1))
        >>> x1, x2 = torch.randn(1, 2, 4, 4, 4), torch.randn(1, 2, 4, 4, 4)
        >>> restored, _ = block.inverse(*block(x1, x2))
        >>> torch.allclose(restored, x1, atol=1e-6)
        True
    """

    is_additive = True

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``stream + h``."""
        check_shape(stream, h, 1)
        return stream + h

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``stream − h``."""
        check_shape(stream, h, 1)
        return stream - h

    def merge_log_det(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return zeros: a shift keeps volumes."""
        return no_log_det(stream)


class SwappedAdditiveCoupling(AdditiveCoupling):
    r"""Additive coupling that exchanges its streams, as generative reversible nets do.

    .. math:: y_1 = f(x_1) + x_2, \qquad y_2 = g(y_1) + x_1

    With ``f`` from C1 to C2 channels and ``g`` back, y_1 has the C2 channels of x_2. In a
    `ReversibleSequence` the exchange costs nothing: only the names of the streams change.

    Args:
        f: Sub-network (B, C1, *spatial) → (B, C2, *spatial).
        g: Sub-network (B, C2, *spatial) → (B, C1, *spatial).

    Raises:
        ValueError: On use, if a sub-network's output has another shape than the stream it changes.

    References:
        The public code of Schirrmeister et al., *Training Generative Reversible Networks*
        (arXiv:1806.01610). Their eq. 1 does not exchange the streams: it is `AdditiveCoupling`.
    """

    swaps = True

    def half_steps(self) -> tuple[tuple[str, nn.Module, int], ...]:
        """List (name, sub-network, index of the stream it changes): x_2 first."""
        return tuple((name, net, 1 - target) for name, net, target in super().half_steps())


def run_net(
    net: nn.Module, source: Tensor, condition: tuple[Tensor, ...], *, inverse: bool
) -> Tensor:
    """Evaluate a sub-network; one that has ``knows_direction`` set is told of an inverse run."""
    if inverse and getattr(net, "knows_direction", False):
        h: Tensor = net(source, *condition, inverse=True)
        return h
    h = net(source, *condition)
    return h


def no_log_det(x: Tensor) -> Tensor:
    """Give zeros, shape (B,), of the type of ``x``, but at least float32."""
    return x.new_zeros((x.shape[0],), dtype=torch.promote_types(x.dtype, torch.float32))


def check_shape(stream: Tensor, h: Tensor, factor: int) -> None:
    """Raise unless ``h`` has the stream's shape, with ``factor`` times its channels."""
    expected = (stream.shape[0], factor * stream.shape[1], *stream.shape[2:])
    if tuple(h.shape) != expected:
        raise ValueError(f"its output must have shape {expected}, got {tuple(h.shape)}")
