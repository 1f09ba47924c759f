"""Orthonormal Haar wavelets as invertible down-sampling."""

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.backend import is_tracing
from medrev.reversible.layer import OrthogonalLayer, check_axes, check_channels
from medrev.reversible.squeeze import SpaceToDepth


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
        if is_tracing():
            return self._merge_subbands(self._mix(self._squeeze(x).unflatten(1, (x.shape[1], -1))))
        batch, channels, *sizes = x.shape
        part = x.unsqueeze(2)  # (B, C, subbands so far, *spatial)
        for axis, buffer in enumerate(self._memory(x)):
            sizes[axis] //= 2
            even, odd = part.unflatten(3 + axis, (-1, 2)).unbind(4 + axis)
            if self.low_pass_first and axis == self.spatial_dims - 1:
                y = buffer.view(batch, 2**axis, 2, channels, *sizes).movedim(3, 1)
            else:
                y = buffer.view(batch, channels, 2**axis, 2, *sizes)
            torch.add(even, odd, out=y[:, :, :, 0])
            torch.sub(even, odd, out=y[:, :, :, 1])
            part = y.flatten(2, 3)
        return self._merge_subbands(part).mul_(self._scale)

    def _transform_back(self, y: Tensor) -> Tensor:
        """Map (B, C·2^d, *spatial) to (B, C, *(spatial · 2))."""
        check_axes(self, y, self.spatial_dims)
        check_channels(self, y, multiple=2**self.spatial_dims)
        part = self._divide_subbands(y)
        if is_tracing():
            return self._squeeze.inverse(self._mix(part).flatten(1, 2))
        batch, channels, subbands, *sizes = part.shape
        for axis, buffer in enumerate(self._memory(y)):
            subbands //= 2
            low, high = part.unflatten(2, (2, -1)).unbind(2)
            before, after = sizes[: axis + 1], sizes[axis + 1 :]
            x = buffer.view(batch, channels, subbands, *before, 2, *after)
            even, odd = x.unbind(4 + axis)
            torch.add(low, high, out=even)
            torch.sub(low, high, out=odd)
            part = x.flatten(3 + axis, 4 + axis)
            sizes[axis] *= 2
        return part.squeeze(2).mul_(self._scale)

    def _memory(self, x: Tensor) -> list[Tensor]:
        """Two pieces of memory, taken in turn: one to read from while the other is written."""
        pair = [x.new_empty(x.numel()) for _ in range(min(2, self.spatial_dims))]
        return [pair[axis % 2] for axis in range(self.spatial_dims)]

    def _divide_subbands(self, y: Tensor) -> Tensor:
        """View (B, C·2^d, …) as (B, C, 2^d, …)."""
        subbands = 2**self.spatial_dims
        if self.low_pass_first:
            return y.unflatten(1, (subbands, -1)).transpose(1, 2)
        return y.unflatten(1, (-1, subbands))

    def _merge_subbands(self, part: Tensor) -> Tensor:
        """View (B, C, 2^d, …) as (B, C·2^d, …)."""
        return (part.transpose(1, 2) if self.low_pass_first else part).flatten(1, 2)

    def _mix(self, part: Tensor) -> Tensor:
        """Multiply the axis of the subbands (B, C, 2^d, …) by the symmetric Haar matrix."""
        one = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=part.dtype, device=part.device)
        matrix = one
        for _ in range(self.spatial_dims - 1):
            matrix = torch.kron(matrix, one)
        return torch.einsum("st,bct...->bcs...", matrix, part) * self._scale

    @property
    def _scale(self) -> float:
        return float(2 ** (-self.spatial_dims / 2))

    def extra_repr(self) -> str:
        """Show the number of axes and the order of the channels."""
        return f"spatial_dims={self.spatial_dims}, low_pass_first={self.low_pass_first}"
