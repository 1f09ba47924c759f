"""Invertible exchange of space for channels, in any number of dimensions."""

from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import VolumePreserving, check_axes, check_channels

__all__ = ["SpaceToDepth"]


class SpaceToDepth(VolumePreserving):
    """Move every r × … × r block of voxels into channels, and back; nothing is computed or lost.

    Output channel ``c · r^d + offset`` holds channel c at the given offset inside the block, the
    last axis running fastest. In 2D this is ``torch.nn.PixelUnshuffle`` and its inverse
    ``torch.nn.PixelShuffle``. `Checkerboard` is the same exchange in another order of channels.

    Args:
        factor: Block width r along every axis.
        spatial_dims: Number of spatial axes d.

    Raises:
        ConfigError: If ``factor`` is smaller than 1.
        ValueError: On use, if the size (or the number of channels, in `inverse`) cannot be divided.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 6, 8, 8, 8)
        >>> squeeze = SpaceToDepth(2, 3)
        >>> squeeze(x).shape
        torch.Size([1, 48, 4, 4, 4])
        >>> torch.equal(squeeze.inverse(squeeze(x)), x)
        True
    """

    def __init__(self, factor: int, spatial_dims: int) -> None:
        super().__init__()
        if factor < 1:
            raise ConfigError(f"the factor of space-to-depth must be at least 1, got {factor}")
        self.factor = factor
        self.spatial_dims = spatial_dims

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C·r^d, *(spatial / r))."""
        r, d = self.factor, self.spatial_dims
        check_axes(self, x, d, r)
        batch, channels, *spatial = x.shape
        blocks = [n for size in spatial for n in (size // r, r)]
        x = x.reshape(batch, channels, *blocks)  # (B, C, I/r, r, J/r, r, …)
        outer = [2 + 2 * i for i in range(d)]
        inner = [3 + 2 * i for i in range(d)]
        x = x.permute(0, 1, *inner, *outer)  # (B, C, r, r, …, I/r, J/r, …)
        return x.reshape(batch, channels * r**d, *(n // r for n in spatial))

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C·r^d, *spatial) to (B, C, *(spatial · r))."""
        r, d = self.factor, self.spatial_dims
        check_axes(self, y, d)
        check_channels(self, y, multiple=r**d)
        batch, channels, *spatial = y.shape
        y = y.reshape(batch, channels // r**d, *[r] * d, *spatial)
        order = [axis for i in range(d) for axis in (2 + d + i, 2 + i)]
        y = y.permute(0, 1, *order)  # (B, C, I, r, J, r, …)
        return y.reshape(batch, channels // r**d, *(n * r for n in spatial))

    def extra_repr(self) -> str:
        """Show the factor and the number of axes."""
        return f"factor={self.factor}, spatial_dims={self.spatial_dims}"
