"""Invertible exchange of space for channels, in any number of dimensions."""

import math

from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import VolumePreserving, check_axes, check_channels


class SpaceToDepth(VolumePreserving):
    """Move every block of voxels into channels, and back; nothing is computed or lost.

    With blocks of r × … × r voxels, output channel ``c · r^d + offset`` holds channel c at the
    given offset inside the block, the last axis running fastest. In 2D this is
    ``torch.nn.PixelUnshuffle``, its inverse
    ``torch.nn.PixelShuffle``. `Checkerboard` is the same exchange in another order of channels.

    Args:
        factor: Block width r along every axis, or one for each axis.
        spatial_dims: Number of spatial axes d.

    Raises:
        ConfigError: If ``factor`` is smaller than 1, or not one number for each axis.
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

    def __init__(self, factor: int | tuple[int, ...], spatial_dims: int) -> None:
        super().__init__()
        widths = (factor,) * spatial_dims if isinstance(factor, int) else tuple(factor)
        if len(widths) != spatial_dims or min(widths) < 1:
            raise ConfigError(
                f"the factor of space-to-depth must be at least 1, got {factor}"
                if isinstance(factor, int)
                else f"the factor of space-to-depth must be at least 1 along each of "
                f"{spatial_dims} axes, got {factor}"
            )
        self.factor = factor
        self.widths = widths
        self.spatial_dims = spatial_dims

    @property
    def block(self) -> int:
        """Voxels of a block, by which the channels are multiplied."""
        return math.prod(self.widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C·r^d, *(spatial / r))."""
        d = self.spatial_dims
        check_axes(self, x, d, self.factor)
        batch, channels, *spatial = x.shape
        coarse = [size // r for size, r in zip(spatial, self.widths, strict=True)]
        blocks = [n for pair in zip(coarse, self.widths, strict=True) for n in pair]
        x = x.reshape(batch, channels, *blocks)  # (B, C, I/r, r, J/r, r, …)
        outer = [2 + 2 * i for i in range(d)]
        inner = [3 + 2 * i for i in range(d)]
        x = x.permute(0, 1, *inner, *outer)  # (B, C, r, r, …, I/r, J/r, …)
        return x.reshape(batch, channels * self.block, *coarse)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C·r^d, *spatial) to (B, C, *(spatial · r))."""
        d = self.spatial_dims
        check_axes(self, y, d)
        check_channels(self, y, multiple=self.block)
        batch, channels, *spatial = y.shape
        y = y.reshape(batch, channels // self.block, *self.widths, *spatial)
        order = [axis for i in range(d) for axis in (2 + d + i, 2 + i)]
        y = y.permute(0, 1, *order)  # (B, C, I, r, J, r, …)
        fine = (n * r for n, r in zip(spatial, self.widths, strict=True))
        return y.reshape(batch, channels // self.block, *fine)

    def extra_repr(self) -> str:
        """Show the factor and the number of axes."""
        return f"factor={self.factor}, spatial_dims={self.spatial_dims}"
