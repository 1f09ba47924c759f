"""Division of the channels, and their reunion."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import VolumePreserving, check_channels


class Split(VolumePreserving):
    """Divide the channels into parts; the inverse concatenates them.

    The parts are views of the tensor: nothing is copied. Part of the channels can so leave a
    network early, as in multi-scale flows.

    Args:
        sizes: Channels of each part, at least two parts; None means two halves.

    Raises:
        ConfigError: If there are fewer than two sizes, or one is smaller than 1.
        ValueError: On use, if the channels of x, or of the parts, are others.

    Example:
        >>> split = Split([2, 6])
        >>> low, high = split(torch.zeros(1, 8, 4, 4))
        >>> low.shape, high.shape
        (torch.Size([1, 2, 4, 4]), torch.Size([1, 6, 4, 4]))
        >>> split.inverse((low, high)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, sizes: Sequence[int] | None = None) -> None:
        super().__init__()
        if sizes is not None and (len(sizes) < 2 or min(sizes) < 1):
            raise ConfigError(f"sizes must be two or more positive numbers, got {list(sizes)}")
        self.sizes = None if sizes is None else tuple(sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Divide (B, C, *spatial) into parts (B, C_i, *spatial)."""
        if self.sizes is None:
            check_channels(self, x, multiple=2)
            return x.chunk(2, 1)
        check_channels(self, x, exactly=sum(self.sizes))
        return x.split(self.sizes, 1)

    def inverse(self, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate the parts (B, C_i, *spatial) to (B, C, *spatial)."""
        received = tuple(part.shape[1] for part in parts)
        if received != (self.sizes or (received[:1] * 2)):
            allowed = "two parts of equal size" if self.sizes is None else f"{self.sizes} channels"
            raise ValueError(f"Split.inverse takes parts of {allowed}, got {received}")
        return torch.cat(list(parts), 1)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.sizes}"
