"""Invertible down-sampling by checkerboards, after which both streams see the whole image."""

from itertools import product

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import OrthogonalLayer, check_axes, check_channels
from medrev.reversible.squeeze import SpaceToDepth


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
