"""Exponential moving average of weights."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["MovingAverage"]


class MovingAverage:
    """A copy of a network whose weights trail those of the original.

    The decay at update n is min(decay, (1 + n) / (10 + n)), so that the random start is forgotten
    in short trainings too. Buffers are copied, not averaged.

    Args:
        module: The network in training.
        decay: Share of the old average that each update keeps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the weights of a network."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, value in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        for old, new in zip(self.module.buffers(), module.buffers(), strict=True):
            old.copy_(new)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights and the number of updates."""
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.module.load_state_dict(state["module"])
        self.updates = int(state["updates"])
