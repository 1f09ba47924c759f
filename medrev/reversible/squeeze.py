"""Invertible exchange of space for channels, in any number of dimensions."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import OrthogonalLayer, VolumePreserving, check_axes, check_channels


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


class Checkerboard(OrthogonalLayer):
    """Move every 2 × … × 2 block of voxels into channels, even positions first.

    A position in the block is even if the sum of its indices is. The output's first half of the
    channels holds the even positions and its second half the odd ones, each in the order of their
    indices, and for each position all channels: in 2D (0,0), (1,1) | (0,1), (1,0), in 3D (0,0,0),
    (0,1,1), (1,0,1), (1,1,0) | (0,0,1), (0,1,0), (1,0,0), (1,1,1). The voxels of each half form a
    checkerboard over the whole image, so that neither stream of a coupling is blind to any part of
    it. In 1D the halves are the even and the odd samples.

    Args:
        spatial_dims: 1, 2 or 3.
        streams: 1 for an image that is not yet divided: its channels are spread over both halves.
            2 behind couplings: the rule is applied to each half of the channels by itself, so that
            what is in a stream stays in that stream.

    Raises:
        ConfigError: If an argument is not one of the above.
        ValueError: On use, if a size is odd or the channels cannot be divided.

    References:
        Schirrmeister et al., *Generative Reversible Networks*, figure 2, whose 2D order this is.

    Example:
        >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
        >>> Checkerboard(2)(x).flatten().tolist()
        [0.0, 3.0, 1.0, 2.0]
    """

    def __init__(self, spatial_dims: int, *, streams: int = 1) -> None:
        super().__init__()
        if spatial_dims not in (1, 2, 3):
            raise ConfigError(f"spatial_dims must be 1, 2 or 3, got {spatial_dims}")
        if streams not in (1, 2):
            raise ConfigError(f"streams must be 1 or 2, got {streams}")
        self.spatial_dims = spatial_dims
        self.streams = streams
        self._squeeze = SpaceToDepth(2, spatial_dims)
        offsets = list(product((0, 1), repeat=spatial_dims))
        self._order = sorted(range(len(offsets)), key=lambda i: (sum(offsets[i]) % 2, i))

    def _transform(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C·2^d, *(spatial / 2))."""
        check_axes(self, x, self.spatial_dims, 2)
        check_channels(self, x, multiple=self.streams)
        y = self._squeeze(x)
        parts = y.unflatten(1, (self.streams, -1, len(self._order))).unbind(3)
        return torch.stack([parts[i] for i in self._order], 2).flatten(1, 3)

    def _transform_back(self, y: Tensor) -> Tensor:
        """Map (B, C·2^d, *spatial) to (B, C, *(spatial · 2))."""
        positions = len(self._order)
        check_axes(self, y, self.spatial_dims)
        check_channels(self, y, multiple=self.streams * positions)
        parts = y.unflatten(1, (self.streams, positions, -1)).unbind(2)
        back = [parts[self._order.index(i)] for i in range(positions)]
        return self._squeeze.inverse(torch.stack(back, 3).flatten(1, 3))

    def extra_repr(self) -> str:
        """Show the number of axes and of streams."""
        return f"spatial_dims={self.spatial_dims}, streams={self.streams}"


class Flatten(VolumePreserving):
    """Make one vector of all numbers of a sample, in front of fully connected couplings.

    Args:
        shape: Shape (C, *spatial) of a sample.

    Raises:
        ConfigError: If a size is smaller than 1.
        ValueError: On use, if x has another shape.

    Example:
        >>> import torch
        >>> flatten = Flatten((2, 3, 4))
        >>> y = flatten(torch.zeros(5, 2, 3, 4))
        >>> y.shape, flatten.inverse(y).shape
        (torch.Size([5, 24]), torch.Size([5, 2, 3, 4]))
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        if not shape or min(shape) < 1:
            raise ConfigError(f"shape must hold sizes (C, *spatial) from 1 on, got {list(shape)}")
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C·I·J·…)."""
        self._check(x, self.shape)
        return x.flatten(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C·I·J·…) to (B, C, *spatial)."""
        self._check(y, (math.prod(self.shape),))
        return y.reshape(-1, *self.shape)

    @staticmethod
    def _check(x: Tensor, expected: tuple[int, ...]) -> None:
        if tuple(x.shape[1:]) != expected:
            raise ValueError(f"Flatten takes samples of shape {expected}, got {tuple(x.shape[1:])}")

    def extra_repr(self) -> str:
        """Show the shape."""
        return f"{self.shape}"
