"""Networks as they are applied: evaluation mode, no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """``eval()`` and no gradients inside of a ``with`` block; every part as it was after it.

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
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True
