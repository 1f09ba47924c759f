"""One optimiser step, and everything whose state makes the next one what it is."""

import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from medrev.config.schema import TrainingConfig
from medrev.data import EpochBatches
from medrev.errors import CheckpointError, ConfigError, DivergedError, counted
from medrev.methods import Batch, Cache, Logs, Method
from medrev.prediction.engines import prefers_bfloat16
from medrev.training.distributed import World
from medrev.training.meter import Meter
from medrev.training.optim import MovingAverage, Plateau, build_optimizer, learning_rate_factor
from medrev.training.seeding import random_state, set_random_state

#: Losses that are remembered, that are needed to judge one, and outsiders that are let pass in a
#: row: after these, what was unusual is usual.
WINDOW, LEAST, PATIENCE = 101, 50, 10


class Guard:
    """Tells whether a loss is many times the median of those before.

    Args:
        factor: How many times; None: none is.

    Attributes:
        skipped: Steps that were not taken so far.

    Example:
        >>> guard = Guard(20)
        >>> [guard.stops(1.0) for _ in range(50)].count(True), guard.stops(21.0), guard.stops(1.5)
        (0, True, False)
    """

    def __init__(self, factor: float | None) -> None:
        self.factor = math.inf if factor is None else factor
        self.skipped = self._in_a_row = 0
        self._seen: deque[float] = deque(maxlen=WINDOW)

    @property
    def usual(self) -> float:
        """Median of the losses that were remembered."""
        return statistics.median(self._seen) if self._seen else math.nan

    def stops(self, loss: float) -> bool:
        """Whether the step with this loss is not to be taken; else the loss is remembered.

        Losses that have become negative, such as likelihoods, are not judged.
        """
        outside = len(self._seen) >= LEAST and loss > self.factor * self.usual > 0
        if outside and self._in_a_row < PATIENCE:
            self._in_a_row += 1
            self.skipped += 1
            return True
        self._in_a_row = 0
        self._seen.append(loss)
        return False

    def state_dict(self) -> dict[str, Any]:
        """What the next answer depends on."""
        return {"seen": list(self._seen), "skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self._seen.clear()
        self._seen.extend(state["seen"])
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]


def total_steps(config: TrainingConfig, batches_per_epoch: int) -> int:
    """Optimiser steps of a whole training."""
    if config.steps is not None:
        return config.steps
    return max(1, (config.epochs or 1) * batches_per_epoch // config.accumulate)


def precision_on(device: torch.device, wanted: str) -> str:
    """``fp32`` or ``bf16``; for ``auto`` bf16 where it is the faster one.

    Raises:
        ConfigError: The device cannot train in bf16, which was wanted.
    """
    unsupported = (device.type == "cuda" and not torch.cuda.is_bf16_supported()) or (
        device.type not in ("cuda", "cpu")
    )
    if wanted == "bf16" and unsupported:
        raise ConfigError(
            f"training.precision bf16 is not supported by the device {device}; "
            "set training.precision=fp32"
        )
    if wanted == "auto":
        return "bf16" if not unsupported and prefers_bfloat16(device) else "fp32"
    return wanted


class Trainer:
    """Takes optimiser steps of a method on batches.

    Within a step every batch runs through all phases in order before the next batch does; the
    optimisers step when all ``accumulate`` batches are through. As no phase leaves a gradient in
    the parameters of another, this equals phase after phase.

    Args:
        method: What is learnt and how; moved to the device.
        batches: Training batches; in several processes each has its slice.
        config: Accumulation, clipping, schedule, moving average, precision.
        total: Steps of the whole training, for the schedule.
        device: Where to compute.
        world: This process among all.
    """

    def __init__(
        self,
        method: Method,
        batches: EpochBatches,
        config: TrainingConfig,
        *,
        total: int,
        device: torch.device,
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        self.precision = self.world.broadcast(precision_on(device, config.precision))
        self.method = method.to(device).train()
        self.batches = batches
        self.config = config
        self.total = total
        self.device = device
        self.step_number = 0
        self.meter = Meter()
        self.plateau = Plateau(config.schedule)
        self.guard = Guard(config.skip_above)
        self.optimizers = {
            name: build_optimizer(phase.optimizer, phase.groups())
            for name, phase in method.phases.items()
        }
        self.average = MovingAverage(method.translator, config.ema) if config.ema else None
        self._calls = {
            name: phase if self.world.size == 1 else _distributed(phase)
            for name, phase in method.phases.items()
        }
        self._iterator: Iterator[dict[str, Tensor]] = iter(())

    @property
    def translator(self) -> nn.Module:
        """The translator to validate and to save: the moving average where there is one."""
        return self.average.module if self.average else self.method.translator

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step_number * self.config.accumulate // len(self.batches)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last step of the first phase."""
        return float(next(iter(self.optimizers.values())).param_groups[0]["lr"])

    def step(self) -> dict[str, float]:
        """Take one optimiser step in every phase and return the loss of each.

        The batches are used up and the loss is logged, but nothing is learnt, where the first loss
        is far outside of those before (`Guard`).

        Raises:
            DivergedError: A loss or gradient is not finite; the weights are as before.
        """
        share = 1 / self.config.accumulate
        losses: dict[str, Tensor] = {}
        terms: dict[str, Tensor] = {}
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        for number in range(1, self.config.accumulate + 1):
            batch, cache = self._next_batch(), Cache()
            for name, call in self._calls.items():
                with self._gradients_stay_here(call, number):
                    with self.autocast():
                        loss, logs = self._told(call, batch, cache)
                    (share * loss).backward()
                _accumulate(losses, {name: share * loss.detach()})
                _accumulate(terms, {key: share * value for key, value in logs.items()})
        values = self._checked(losses, self._clip())
        self.meter.add({f"loss_{name}": loss for name, loss in losses.items()} | terms)
        # Of all processes, so that all judge alike and the state of one is that of all.
        first = self.world.mean(next(iter(losses.values())).float().clone())
        if self.guard.stops(float(first)):
            self.step_number += 1
        else:
            self._update()
        return values

    def _told(self, call: nn.Module, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """The loss of a phase; where it is no number, with the step."""
        try:
            loss, logs = call(batch, cache)
        except DivergedError as error:
            raise DivergedError(f"step {self.step_number + 1}: {error}") from None
        return loss, logs

    def _next_batch(self) -> dict[str, Tensor]:
        """The next batch on the device, epoch after epoch."""
        batch = next(self._iterator, None)
        if batch is None:
            self._iterator = iter(self.batches)
            batch = next(self._iterator)
        return {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def _gradients_stay_here(self, call: nn.Module, number: int) -> AbstractContextManager[Any]:
        """Average gradients over processes with the last batch of a step only."""
        last = number == self.config.accumulate
        if isinstance(call, DistributedDataParallel) and not last:
            return call.no_sync()
        return nullcontext()

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of training inside of a ``with`` block."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _clip(self) -> list[Tensor]:
        """Clip the gradients of every phase; return the norms from before."""
        limit = self.config.clip_norm or float("inf")
        return [
            torch.nn.utils.clip_grad_norm_(list(phase.parameters()), limit)
            for phase in self.method.phases.values()
        ]

    def _checked(self, losses: Mapping[str, Tensor], norms: list[Tensor]) -> dict[str, float]:
        """The losses as numbers, unless one of them or a gradient is not finite.

        Gradients are averaged over processes, so all processes find the same.
        """
        norm = torch.stack([norm.float() for norm in norms])
        found = torch.cat([torch.stack([loss.float() for loss in losses.values()]), norm])
        numbers = found.tolist()  # waits for the device
        finite_gradients = bool(torch.isfinite(found[len(losses) :]).all())
        finite_losses = bool(torch.isfinite(found[: len(losses)]).all())
        if not finite_gradients or (self.world.size == 1 and not finite_losses):
            shown = ", ".join(
                f"{name} {value:.4g}" for name, value in zip(losses, numbers, strict=False)
            )
            raise DivergedError(
                f"step {self.step_number + 1}: loss or gradient is not a finite number "
                f"(losses: {shown}); lower method.optimizer.lr or set training.clip_norm=1"
            )
        return dict(zip(losses, numbers, strict=False))

    def _update(self) -> None:
        """Step the optimisers at the learning rate of the schedule, and the moving average."""
        factor = self.plateau.factor * learning_rate_factor(
            self.config.schedule,
            self.step_number,
            self.total,
            epoch=self.epoch,
            epochs=-(-self.total * self.config.accumulate // len(self.batches)),
        )
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.method.phases[name].optimizer.lr * factor * group["share"]
            optimizer.step()
        if self.average:
            self.average.update(self.method.translator)
        self.step_number += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; all processes must call it together.

        Complete in process 0; of plain types and tensors.
        """
        own = {
            "batches": self.batches.state_dict(),
            "memory": self.method.memory(),
            "meter": self.meter.state_dict(),
            "random": random_state(),
        }
        return {
            "step": self.step_number,
            "precision": self.precision,
            "phases": {name: phase.state_dict() for name, phase in self.method.phases.items()},
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "average": self.average.state_dict() if self.average else None,
            "plateau": self.plateau.state_dict(),
            "guard": self.guard.state_dict(),
            "processes": self.world.gather(own),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave.

        Raises:
            CheckpointError: It was saved by another number of processes or from other data.
        """
        processes = state["processes"]
        if len(processes) != self.world.size:
            raise CheckpointError(
                f"the checkpoint was saved by {counted(len(processes), 'process', 'processes')}, "
                f"but {self.world.size} want to resume it; start as many as before"
            )
        for name, phase in self.method.phases.items():
            phase.load_state_dict(state["phases"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        if self.average:
            self.average.load_state_dict(state["average"])
        # Older states lack the next three.
        if "plateau" in state:
            self.plateau.load_state_dict(state["plateau"])
        if "guard" in state:
            self.guard.load_state_dict(state["guard"])
        if "precision" in state:
            self.precision = precision_on(self.device, state["precision"])
        own = processes[self.world.rank]
        self.batches.load_state_dict(own["batches"])
        self._iterator = iter(())
        self.method.load_memory(own["memory"])
        self.meter.load_state_dict(own["meter"], self.device)
        self.step_number = int(state["step"])
        set_random_state(own["random"])


def _distributed(phase: nn.Module) -> DistributedDataParallel:
    """Wrap a phase so that its gradients are averaged over processes.

    No ``device_ids``: with them the wrapper would copy the cache that phases share.
    """
    return DistributedDataParallel(
        phase, find_unused_parameters=not getattr(phase, "uses_all_parameters", True)
    )


def _accumulate(total: dict[str, Tensor], terms: Mapping[str, Tensor]) -> None:
    for name, value in terms.items():
        total[name] = total[name] + value if name in total else value
