"""Optimisers and learning-rate schedules."""

import math
from collections.abc import Iterable

from torch import nn, optim

from medrev.config.schema import Optimizer, Schedule

__all__ = ["build_optimizer", "learning_rate_factor"]


def build_optimizer(
    config: Optimizer, groups: Iterable[tuple[list[nn.Parameter], float]]
) -> optim.Optimizer:
    """Build Adam or AdamW.

    Args:
        config: Learning rate, betas, weight decay.
        groups: Parameters, each with a factor on the learning rate, which becomes the entry
            ``share`` of its ``param_groups``.
    """
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[config.kind]
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
