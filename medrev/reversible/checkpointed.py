"""Checkpointing: the way to save memory where a part of a network has no inverse."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medrev.errors import ConfigError
from medrev.reversible.backend import is_tracing
from medrev.reversible.replay import Record


class Checkpointed(nn.Module):
    """Any module with less memory: activations are dropped in forward and made again in backward.

    For what has no inverse (lifts, projections, U-Nets, blocks that change the shape), in front of,
    behind or inside a `ReversibleSequence`. A chain (``nn.Sequential``) of R layers is cut into
    segments of about equal length, √R of them by default: what passes between the segments is kept,
    and in backward the activations of one segment at a time. So memory grows with √R (with R for
    plain autograd, not at all for a `ReversibleSequence`), and every layer is evaluated twice. Any
    other module is one segment.

    The second evaluation sees the random numbers (dropout), autocast and, unlike bare
    ``torch.utils.checkpoint``, the buffers of the first: statistics of batch-norm are updated once
    a step, and spectral norm is replayed. Without gradients, and where the operations are compiled
    or exported, it is a plain call. Hooks of the layers run at both evaluations (the second ends
    where all activations are made); those of the chain itself do not run.

    Args:
        module: What to evaluate; its state dict gets the prefix ``module.``.
        segments: Number of segments of a chain, from 1 to its length; None: ⌈√R⌉.

    Raises:
        ConfigError: If ``segments`` is out of range.

    References:
        Chen et al., *Training Deep Nets with Sublinear Memory Cost* (arXiv:1604.06174).

    Example:
        >>> layers = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(10)]
        >>> deep = Checkpointed(nn.Sequential(*layers))
        >>> deep.lengths
        [2, 3, 2, 3]
        >>> deep(torch.randn(1, 4, 8, 8)).sum().backward()
    """

    def __init__(self, module: nn.Module, *, segments: int | None = None) -> None:
        super().__init__()
        self.module = module
        length = len(self._layers())
        if segments is not None and not 1 <= segments <= max(length, 1):
            raise ConfigError(
                f"segments must be from 1 to {max(length, 1)}, the number of layers, got {segments}"
            )
        self.segments = segments or max(1, math.ceil(math.sqrt(length)))

    @property
    def lengths(self) -> list[int]:
        """Number of layers in each segment."""
        return [len(segment) for segment in self._cut()]

    def forward(self, x: Any) -> Any:
        """Evaluate the module on ``x``: a tensor or a tuple, handed on from layer to layer."""
        if is_tracing() or not torch.is_grad_enabled():
            return self.module(x)
        for layers in self._cut():
            x = _evaluate(layers, x)
        return x

    def _layers(self) -> Sequence[nn.Module]:
        # A subclass that runs its layers in a way of its own must not be cut.
        if type(self.module).forward is nn.Sequential.forward:
            return list(self.module.children())
        return [self.module]

    def _cut(self) -> list[Sequence[nn.Module]]:
        layers = self._layers()
        ends = [i * len(layers) // self.segments for i in range(self.segments + 1)]
        return [layers[a:b] for a, b in pairwise(ends)]

    def extra_repr(self) -> str:
        """Show the number of segments."""
        return f"segments={self.segments}"


def _evaluate(layers: Sequence[nn.Module], x: Any) -> Any:
    """Evaluate a segment under a checkpoint."""
    is_tuple = isinstance(x, tuple)

    def run(*inputs: Any) -> Any:
        y = inputs if is_tuple else inputs[0]
        for layer in layers:
            y = layer(y)
        return y

    buffers = tuple(
        (module, name, buffer.clone())
        for layer in layers
        for module in layer.modules()
        if module.training
        for name, buffer in module._buffers.items()
        if buffer is not None
    )
    again = _Again(Record(buffers=buffers))
    inputs = x if is_tuple else (x,)  # tensors inside of a tuple would be overlooked
    return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), again))


class _Again(AbstractContextManager[None]):
    """The context of the second evaluation; it is entered once per backward."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        self.entered.append(self.record.restore())
        self.entered[-1].__enter__()

    def __exit__(self, *error: Any) -> None:
        self.entered.pop().__exit__(*error)
