"""Fixed permutations of the channels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.layer import OrthogonalLayer, check_channels


class Permutation(OrthogonalLayer):
    """Reorder the channels: output channel i is input channel ``order[i]``; exact in any type.

    The order is kept in the buffer ``order``, so that a state dict restores it.

    Args:
        order: Every number from 0 to C − 1 once. See also `random` and `reversal`.

    Raises:
        ConfigError: If ``order`` is not a permutation.
        ValueError: On use, if x has another number of channels.

    Example:
        >>> swap = Permutation([2, 3, 0, 1])  # the two streams of four channels change places
        >>> swap(torch.arange(4.0).reshape(1, 4)).tolist()
        [[2.0, 3.0, 0.0, 1.0]]
    """

    keeps_shape = True
    moves_only = True
    order: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if not len(order) or sorted(order) != list(range(len(order))):
            raise ConfigError(
                f"order must hold every number from 0 to {max(len(order), 1) - 1} once, "
                f"got {list(order)}"
            )
        self.register_buffer("order", torch.tensor(list(order), device="cpu"))

    @classmethod
    def random(cls, channels: int, *, seed: int) -> "Permutation":
        """Draw an order from a generator of its own, seeded by ``seed``.

        Example:
            >>> Permutation.random(4, seed=0).order.tolist()
            [0, 1, 3, 2]
        """
        generator = torch.Generator("cpu").manual_seed(seed)
        return cls(torch.randperm(channels, generator=generator, device="cpu").tolist())

    @classmethod
    def reversal(cls, channels: int) -> "Permutation":
        """Put the last channel first, as between the couplings of RealNVP and NICE.

        Example:
            >>> Permutation.reversal(4).order.tolist()
            [3, 2, 1, 0]
        """
        return cls(range(channels)[::-1])

    def _transform(self, x: Tensor) -> Tensor:
        check_channels(self, x, exactly=len(self.order))
        return x.index_select(1, self.order)

    def _transform_back(self, y: Tensor) -> Tensor:
        check_channels(self, y, exactly=len(self.order))
        return y.index_select(1, self.order.argsort())

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{len(self.order)}"
