"""Orthonormal Haar wavelets as invertible down-sampling."""

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.backend import is_tracing
from medrev.reversible.layer import OrthogonalLayer, check_axes, check_channels
from medrev.reversible.squeeze import SpaceToDepth

__all__ = ["Haar"]


class Haar(OrthogonalLayer):
    r"""Replace every 2 × … × 2 block by its 2^d Haar coefficients, one channel each, and back.

    .. math:: (a, b) \mapsto \tfrac{1}{\sqrt 2} (a + b,\; a - b) \quad \text{along every axis}

    Subband s has the difference along the axes where its binary digits are 1, the last axis being
    the last digit, and the sum along the others: 0 is the low pass (2^{d/2} times the block mean),
    and in 2D 1 is the difference along the last axis, 2 along the first and 3 along both. The
    transform is orthonormal (energy is kept, ln |det| = 0); it is computed by additions and one
    multiplication, without a convolution.

    Args:
        spatial_dims: Number of axes d: 1, 2 or 3.
        low_pass_first: The order of the channels. False: output channel ``c · 2^d + s`` has subband
            s of channel c, as in `SpaceToDepth`. True: channel ``s · C + c``, so that the first C
            channels are the image at half the size, and the rest, its detail, can be split off.

    Raises:
        ConfigError: If ``spatial_dims`` is not 1, 2 or 3.
        ValueError: On use, if a size is odd (or the channels, in `inverse`, cannot be divided).

    References:
        Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
        (arXiv:1907.02392), section 3.3.

    Example:
        >>> x = torch.randn(1, 3, 8, 8, 8)
        >>> haar = Haar(3, low_pass_first=True)
        >>> y = haar(x)
        >>> y.shape
        torch.Size([1, 24, 4, 4, 4])
        >>> torch.allclose(y[:, :3], torch.nn.functional.avg_pool3d(x, 2) * 8**0.5, atol=1e-6)
        True
    """

    def __init__(self, spatial_dims: int, *, low_pass_first: bool = False) -> None:
        super().__init__()
        if spatial_dims not in (1, 2, 3):
            raise ConfigError(f"spatial_dims must be 1, 2 or 3, got {spatial_dims}")
        self.spatial_dims = spatial_dims
        self.low_pass_first = low_pass_first
        self._squeeze = SpaceToDepth(2, spatial_dims)

    def _transform(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C·2^d, *(spatial / 2))."""
        check_axes(self, x, self.spatial_dims, 2)
        parts = [x]
        for axis in range(2, 2 + self.spatial_dims):
            pairs = [part.unflatten(axis, (-1, 2)).unbind(axis + 1) for part in parts]
            parts = [half for a, b in pairs for half in (a + b, a - b)]
        y = torch.stack(parts, 1 if self.low_pass_first else 2)
        return y.flatten(1, 2) * self._scale

    def _transform_back(self, y: Tensor) -> Tensor:
        """Map (B, C·2^d, *spatial) to (B, C, *(spatial · 2))."""
        subbands = 2**self.spatial_dims
        check_axes(self, y, self.spatial_dims)
        check_channels(self, y, multiple=subbands)
        sizes, axis = ((subbands, -1), 1) if self.low_pass_first else ((-1, subbands), 2)
        parts = y.unflatten(1, sizes).unbind(axis)
        for axis in range(2, 2 + self.spatial_dims):
            sums, differences = parts[: len(parts) // 2], parts[len(parts) // 2 :]
            parts = [_interleave(a, b, axis) for a, b in zip(sums, differences, strict=True)]
        return parts[0] * self._scale

    @property
    def _scale(self) -> float:
        return float(2 ** (-self.spatial_dims / 2))

    def extra_repr(self) -> str:
        """Show the number of axes and the order of the channels."""
        return f"spatial_dims={self.spatial_dims}, low_pass_first={self.low_pass_first}"


def _interleave(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Return a + b and a − b, alternating along the axis."""
    if is_tracing():
        return torch.stack((a + b, a - b), axis + 1).flatten(axis, axis + 1)
    # Several times faster than stacking along the last axis.
    pair = a.new_empty(*a.shape[: axis + 1], 2, *a.shape[axis + 1 :])
    even, odd = pair.unbind(axis + 1)
    torch.add(a, b, out=even)
    torch.sub(a, b, out=odd)
    return pair.flatten(axis, axis + 1)
