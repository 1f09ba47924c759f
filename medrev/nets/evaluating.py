"""Networks as they are applied: evaluation mode, no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def evaluating(module: nn.Module, *, as_trained: bool = False) -> Iterator[None]:
    """``eval()`` and no gradients inside of a ``with`` block; every part as it was after it.

    Args:
        module: A network.
        as_trained: Batch normalisation takes the statistics of what it is given, without gathering
            them, and dropout drops, as pix2pix applies its networks.

    Example:
        >>> net = nn.Dropout(0.5)
        >>> with evaluating(net):
        ...     print(net.training, torch.is_grad_enabled())
        False False
        >>> net.training
        True
    """
    training = [part for part in module.modules() if part.training]
    module.eval()
    norms = []
    if as_trained:
        for part in module.modules():
            if isinstance(part, _BatchNorm | _DropoutNd):
                part.training = True
            if isinstance(part, _BatchNorm) and part.track_running_stats:
                part.track_running_stats = False
                norms.append(part)
    try:
        with torch.no_grad():
            yield
    finally:
        module.eval()
        for norm in norms:
            norm.track_running_stats = True
        for part in training:
            part.training = True
