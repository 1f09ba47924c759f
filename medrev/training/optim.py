"""Optimisers, learning-rate schedules, and the moving average of weights."""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn, optim

from medrev.config.schema import Optimizer, Schedule
from medrev.training.muon import Muon


class Plateau:
    """Lowers the learning rate where the validation error no longer falls.

    Args:
        schedule: Kind plateau: by which factor, after how many validations; else nothing is done.

    Attributes:
        factor: On the learning rate.

    Example:
        >>> plateau = Plateau(Schedule(kind="plateau", plateau_factor=0.5, plateau_patience=2))
        >>> for error in (3.0, 2.0, 2.0, 2.0):
        ...     plateau.see(error)
        >>> plateau.factor
        0.5
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.factor, self.best, self.stale = 1.0, math.inf, 0

    def see(self, error: float) -> None:
        """Take note of a validation error."""
        if self.schedule.kind != "plateau":
            return
        self.stale = 0 if error < self.best else self.stale + 1
        self.best = min(self.best, error)
        if self.stale >= self.schedule.plateau_patience:
            self.factor *= self.schedule.plateau_factor
            self.stale = 0

    def state_dict(self) -> dict[str, float]:
        """What the next validations depend on."""
        return {"factor": self.factor, "best": self.best, "stale": self.stale}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.factor, self.best, self.stale = state["factor"], state["best"], int(state["stale"])


def build_optimizer(
    config: Optimizer, groups: Iterable[tuple[list[nn.Parameter], float]]
) -> optim.Optimizer:
    """Build Adam, AdamW or Muon.

    Args:
        config: Learning rate, betas, weight decay.
        groups: Parameters, each with a factor on the learning rate, which becomes the entry
            ``share`` of its ``param_groups``.
    """
    kind = {"adam": optim.Adam, "adamw": optim.AdamW, "muon": Muon}[config.kind]
    listed = [{"params": parameters, "share": share} for parameters, share in groups]
    return kind(listed, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)


def learning_rate_factor(
    schedule: Schedule, step: int, total: int, *, epoch: int = 0, epochs: int = 1
) -> float:
    """Return the factor on the learning rate for one optimiser step.

    Args:
        schedule: Its kind and corners.
        step: Steps already taken, from 0 to total − 1.
        total: Steps of the whole training.
        epoch: Whole epochs already done; with ``per_epoch``.
        epochs: Epochs of the whole training, the last one counted whole; with ``per_epoch``.

    Example:
        >>> [learning_rate_factor(Schedule(kind="linear"), step, 8) for step in (0, 4, 6)]
        [1.0, 1.0, 0.5]
    """
    done, length = (epoch, epochs) if schedule.per_epoch else (step, total)
    if schedule.kind == "linear":
        # By epochs the last one is to learn too: there the fall would end one epoch later.
        falling = length * (1 - schedule.decay_start) + schedule.per_epoch
        factor = min(1.0, (length - done) / falling) if falling > 0 else 1.0
    elif schedule.kind == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * min(done / length, 1)))
    else:
        factor = 1.0
    if step < schedule.warmup_steps:
        factor *= (step + 1) / schedule.warmup_steps
    return max(factor, 0.0)


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
