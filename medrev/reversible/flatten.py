"""Images as vectors, and back."""

import math
from collections.abc import Sequence

from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import VolumePreserving


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
