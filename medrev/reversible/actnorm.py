"""Learnt scales and shifts of the channels, which start by normalising the first batch."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible.backend import is_tracing, is_transformed
from medrev.reversible.coupling import no_log_det
from medrev.reversible.layer import InvertibleLayer, check_channels

#: Channels that hardly vary are not blown up.
_SMALLEST_STD = 1e-3


class ActNorm(InvertibleLayer):
    r"""Scale and shift every channel: :math:`y = x \odot e^{s} + b`, with s and b learnt.

    The first batch that passes forward in training mode sets them so that every channel of y has
    mean 0 and standard deviation 1 over the batch and all voxels (of all processes, if
    ``torch.distributed`` runs). Until then the layer is the identity. The buffer ``initialised``
    keeps in a state dict whether that has happened.

    Raises:
        ConfigError: If ``channels`` is smaller than 1.
        ValueError: On use, if x has another number of channels.

    References:
        Kingma and Dhariwal, *Glow* (arXiv:1807.03039), section 3.1.

    Example:
        >>> norm = ActNorm(3)
        >>> y = norm(5 + 2 * torch.randn(4, 3, 8, 8))
        >>> torch.allclose(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
        True
    """

    keeps_shape = True
    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels must be at least 1, got {channels}")
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))
        self._is_known_ready = False  # spares a GPU from being waited for in every step

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to the same shape."""
        check_channels(self, x, exactly=len(self.log_scale))
        if self.training and not self._is_ready() and not (is_tracing() or is_transformed()):
            self._initialise(x)
        scale, shift = self._spread(self.log_scale.exp(), x), self._spread(self.shift, x)
        return x * scale + shift

    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x."""
        check_channels(self, y, exactly=len(self.log_scale))
        scale, shift = self._spread((-self.log_scale).exp(), y), self._spread(self.shift, y)
        return (y - shift) * scale

    def log_det(self, x: Tensor) -> Tensor:
        """Return the sum of the log-scales of all numbers of a sample, shape (B,)."""
        check_channels(self, x, exactly=len(self.log_scale))
        return no_log_det(x) + x.shape[2:].numel() * self.log_scale.sum()

    def _is_ready(self) -> bool:
        if not self._is_known_ready:
            self._is_known_ready = bool(self.initialised)
        return self._is_known_ready

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        moments = torch.stack([f(x.to(self.shift.dtype)) for f in (_mean, _mean_of_squares)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(moments)
            moments /= dist.get_world_size()
        mean, squares = moments
        std = (squares - mean.square()).clamp_min(0).sqrt().clamp_min(_SMALLEST_STD)
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-mean / std)
        self.initialised.fill_(True)

    @staticmethod
    def _spread(values: Tensor, x: Tensor) -> Tensor:
        return values.to(x.dtype).reshape(1, -1, *[1] * (x.dim() - 2))

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        self._is_known_ready = False
        super()._load_from_state_dict(*arguments, **options)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{len(self.log_scale)}"


def _mean(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1).mean(1)


def _mean_of_squares(x: Tensor) -> Tensor:
    return _mean(x.square())
