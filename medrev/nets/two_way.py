"""Batch normalisation of a network that runs both ways: statistics of each direction's own."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: The usual layers by number of axes.
BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_BACK = {"running_mean": "inverse_running_mean", "running_var": "inverse_running_var"}


class TwoWayBatchNorm(_BatchNorm):
    """Batch normalisation that gathers statistics for each direction apart; one scale and shift.

    What the sub-networks of a reversible core are given comes of x in one direction and of y in the
    other, and each training batch is of one of them: means and variances gathered from both in
    turns are those of neither. Weights that were saved with one set get it for both directions.

    Args:
        channels: Number of channels C.

    Attributes:
        running_mean: Gathered from forward runs, (C,).
        running_var: The same.
        inverse_running_mean: Gathered from inverse runs, (C,).
        inverse_running_var: The same.

    Example:
        >>> import torch
        >>> norm = TwoWayBatchNorm(1)
        >>> for _ in range(200):
        ...     y = norm(torch.randn(8, 1, 4, 4)), norm(5 + torch.randn(8, 1, 4, 4), inverse=True)
        >>> [round(mean.item()) for mean in (norm.running_mean, norm.inverse_running_mean)]
        [0, 5]
    """

    inverse_running_mean: Tensor
    inverse_running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_buffer("inverse_running_mean", torch.zeros(channels))
        self.register_buffer("inverse_running_var", torch.ones(channels))

    def forward(self, x: Tensor, *, inverse: bool = False) -> Tensor:
        """Normalise ``x`` with shape (B, C, *spatial), or (B, C); the shape is kept.

        Args:
            x: Of any number of spatial axes.
            inverse: It belongs to the inverse direction.
        """
        mean, var = self._statistics(inverse)
        if self.training and self.num_batches_tracked is not None:
            if self.track_running_stats:
                self.num_batches_tracked.add_(1)
            else:
                mean = var = None
        return F.batch_norm(
            x,
            mean,
            var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )

    def one_way(self, inverse: bool, spatial_dims: int) -> nn.Module:
        """The usual layer for a direction, which shares all its tensors."""
        norm = BATCH_NORMS[spatial_dims](self.num_features, eps=self.eps, device="meta")
        norm.weight, norm.bias = self.weight, self.bias
        norm.running_mean, norm.running_var = self._statistics(inverse)
        norm.num_batches_tracked = self.num_batches_tracked
        return norm.train(self.training)

    def _statistics(self, inverse: bool) -> tuple[Tensor | None, Tensor | None]:
        if inverse:
            return self.inverse_running_mean, self.inverse_running_var
        return self.running_mean, self.running_var

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of axes."""

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        _complete(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def complete_statistics(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Give weights that were saved with one set of statistics the same set for both directions.

    Args:
        network: The network that they are for.
        state: They, by name; entries are added.
    """
    for name, module in network.named_modules():
        if isinstance(module, TwoWayBatchNorm):
            _complete(state, f"{name}.")


def _complete(state: dict[str, Any], prefix: str) -> None:
    for one, other in _BACK.items():
        if prefix + one in state:
            state.setdefault(prefix + other, state[prefix + one])
