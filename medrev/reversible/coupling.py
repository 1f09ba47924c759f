"""Coupling blocks: two streams that change each other in turn, and can be changed back exactly.

References:
    Dinh et al., *NICE* (arXiv:1410.8516) and *Real NVP* (arXiv:1605.08803);
    Gomez et al., *The Reversible Residual Network* (arXiv:1707.04585);
    van der Ouderaa and Worrall, *Reversible GANs* (arXiv:1902.02729), eq. 8–9.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["AdditiveCoupling", "AffineCoupling", "Coupling"]


class Coupling(nn.Module):
    """Base of the couplings: ``f`` reads stream 2 and changes stream 1, then ``g`` the reverse.

    A subclass says how a sub-network's output ``h`` changes a stream (`merge`) and how that is
    undone (`unmerge`). Neither may modify its arguments.

    Args:
        f: Sub-network from stream 2, shape (B, C2, *spatial), to what changes stream 1.
        g: Sub-network from stream 1, shape (B, C1, *spatial), to what changes stream 2.
    """

    is_additive = False

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f = f
        self.g = g

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the stream changed by ``h``."""
        raise NotImplementedError

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return the stream before ``h`` changed it."""
        raise NotImplementedError

    def half_steps(self) -> tuple[tuple[str, nn.Module, int], ...]:
        """List (name, sub-network, index of the stream it changes) in the order of `forward`."""
        return ("f", self.f, 0), ("g", self.g, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Map the streams (x1, x2) to (y1, y2), each with shape (B, C1 or C2, *spatial)."""
        streams = [x1, x2]
        for _, net, target in self.half_steps():
            streams[target] = self.merge(streams[target], net(streams[1 - target]))
        return streams[0], streams[1]

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """Map (y1, y2) back to (x1, x2)."""
        streams = [y1, y2]
        for _, net, target in reversed(self.half_steps()):
            streams[target] = self.unmerge(streams[target], net(streams[1 - target]))
        return streams[0], streams[1]


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
        _check_shape(stream, h, 1)
        return stream + h

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``stream − h``."""
        _check_shape(stream, h, 1)
        return stream - h


class AffineCoupling(Coupling):
    r"""Affine coupling with a soft clamp of true unit slope at zero.

    .. math:: y_1 = x_1 \odot e^{s(a)} + t, \quad (a, t) = f(x_2), \quad
        s(a) = \tfrac{2\alpha}{\pi} \arctan\!\left(\tfrac{\pi a}{2\alpha}\right)

    and the same for stream 2 with ``g``. With zero-initialised sub-networks it is the identity.

    Args:
        f: Sub-network (B, C2, *spatial) → (B, 2·C1, *spatial): log-scales first, then shifts.
        g: Sub-network (B, C1, *spatial) → (B, 2·C2, *spatial).
        clamp: The bound α of the log-scale.

    Raises:
        ValueError: On use, if a sub-network's output does not have twice the stream's channels.
    """

    def __init__(self, f: nn.Module, g: nn.Module, *, clamp: float = 2.0) -> None:
        super().__init__(f, g)
        self.clamp = clamp

    def log_scale(self, a: Tensor) -> Tensor:
        """Clamp raw log-scales softly to (−α, α)."""
        slope = math.pi / (2 * self.clamp)
        return torch.atan(a * slope) / slope

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``stream · exp(s) + t``."""
        _check_shape(stream, h, 2)
        a, t = h.to(stream.dtype).chunk(2, dim=1)
        return stream * self.log_scale(a).exp() + t

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        """Return ``(stream − t) · exp(−s)``."""
        _check_shape(stream, h, 2)
        a, t = h.to(stream.dtype).chunk(2, dim=1)
        return (stream - t) * (-self.log_scale(a)).exp()


def _check_shape(stream: Tensor, h: Tensor, factor: int) -> None:
    expected = (stream.shape[0], factor * stream.shape[1], *stream.shape[2:])
    if tuple(h.shape) != expected:
        raise ValueError(f"its output must have shape {expected}, got {tuple(h.shape)}")
