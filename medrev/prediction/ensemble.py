"""All runs of networks that one prediction needs: models on turned grids, and once back.

The mean and spread of several estimates of one volume are kept in constant memory.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain, Symmetry
from medrev.domains.values import Prediction
from medrev.dti import apply_symmetry_scalar
from medrev.errors import InputError
from medrev.prediction.direction import Direction
from medrev.prediction.network import direction_of
from medrev.prediction.plan import Plan
from medrev.prediction.stages import Engine
from medrev.prediction.task import Task
from medrev.progress import Bar, format_seconds, progress

#: Voxels that are handled at a time.
_VOXELS = 1 << 16


class RunningStatistics:
    """Running mean and spread (Welford) of volumes of a domain; it keeps no more than both."""

    def __init__(self, shape: tuple[int, ...], domain: Domain) -> None:
        self.count = 0
        self._shape, self._domain = tuple(shape), domain
        self._norm = torch.zeros(1, *shape)
        self._means: dict[str, Tensor] = {}
        self._squares: dict[str, Tensor] = {}

    def add(self, values: Tensor, symmetry: Symmetry | None = None) -> None:
        """Turn an estimate ``(C, I', J', K')`` back, undoing a symmetry, and add it."""
        self.count += 1
        back = np.eye(3, dtype=np.int64) if symmetry is None else symmetry.T
        # Planes of the estimate along its first axis are planes of the mean along this one.
        axis = int(np.abs(back[:, 0]).argmax())
        mirrored = back[axis, 0] < 0
        length = values.shape[1]
        step = max(1, _VOXELS // (values[0, 0].numel()))
        for low in range(0, length, step):
            high = min(length, low + step)
            value = values[:, low:high]
            if symmetry is not None:
                value = self._domain.turn(value, back)
            place = (1 + axis, length - high if mirrored else low, high - low)
            share = (self.count - 1) / self.count
            for name, quantity in self._domain.quantities(value).items():
                if name not in self._means:
                    self._means[name] = torch.zeros(len(quantity), *self._shape)
                    self._squares[name] = torch.zeros(len(quantity), *self._shape)
                mean = self._means[name].narrow(*place)
                before = quantity - mean
                mean.add_(before, alpha=1 / self.count)
                # (x − old mean)(x − new mean) = (x − old mean)² (n − 1) / n
                self._squares[name].narrow(*place).add_(before.square(), alpha=share)
                if quantity is value:
                    self._norm.narrow(*place).add_(self._domain.squared(before), alpha=share)

    @property
    def mean(self) -> Tensor:
        """Mean of the volumes, ``(C, I, J, K)``."""
        return next(iter(self._means.values()))

    @property
    def std(self) -> Tensor:
        """``sqrt(Σ‖v_m − v̄‖² / (M − 1))`` in every voxel, ``(1, I, J, K)``; M must be 2 or more."""
        return (self._norm / (self.count - 1)).sqrt_()

    def take_spread(self) -> dict[str, Tensor]:
        """The standard deviation of every quantity, in the place of what was kept for it."""
        squares, self._squares = self._squares, {}
        return {name: each.div_(self.count - 1).sqrt_() for name, each in squares.items()}

    def prediction(self, **more: Any) -> Prediction:
        """Mean, deviation and spread, with more that is known."""
        spread = self.take_spread()
        return Prediction(values=self.mean, std=self.std, spread=spread, **more)


#: Planes that are decoded at a time.
_PLANES = 8


@dataclass(frozen=True)
class Encode:
    """Physical values to the network's, and its results to physical values.

    Attributes:
        source: What is encoded.
        target: What is decoded.
        scale: Value of the source that is 1 in the network.
        result_scale: Value of the target that 1 in the network becomes.
    """

    source: Domain
    target: Domain
    scale: float
    result_scale: float

    def forward(self, values: Tensor) -> Tensor:
        """Encode ``(C, *spatial)``."""
        return self.source.encode(values, self.scale)

    def inverse(self, result: Tensor) -> Tensor:
        """Decode ``(C', *spatial)`` in place, so that there is no second one.

        Raises:
            InputError: A value is not finite.
        """
        for part in result.split(_PLANES, dim=1):
            if not bool(torch.isfinite(part).all()):
                raise InputError("the network's result has NaN or Inf; nothing written")
            part.copy_(self.target.decode(part, self.result_scale))
        return result

    def residual(self, values: Tensor, back: Tensor) -> Tensor:
        """``‖G(F(x)) − x‖`` in every voxel of physical values ``(C, *spatial)`` and their way back.

        Both are as the network sees them.
        """
        again = self.source.decode(back, self.scale)
        seen = self.source.decode(self.forward(values.to(back.device)), self.scale)
        return self.source.squared(again - seen).sqrt_()


@dataclass(frozen=True)
class _Member:
    """One run of a network: a model on the grid as it is, or turned."""

    encode: Encode
    symmetry: Symmetry | None
    direction: Direction
    plan: Plan


class Ensemble:
    """The models and symmetries of an ensemble on volumes of one shape; often only one of each.

    ``encodings`` are how values of each model are encoded; results are wanted in the mask ``(1,
    *spatial)`` (default: everywhere); ``held`` is how many bytes the caller holds beside.

    Attributes:
        symmetries: Of the grid, the identity first.
        count: Members.
        plan: How the volume as it is goes through the first network.
        seconds: Estimated duration; 0 where it is not measured.

    Raises:
        InputError: The engine does not know the layers of a network, or there is no such ensemble.
    """

    def __init__(
        self,
        task: Task,
        encodings: Sequence[Encode],
        *,
        engine: Engine,
        shape: tuple[int, ...],
        mask: Tensor | None = None,
        held: int = 0,
    ) -> None:
        self.engine, options, target = engine, task.options, task.target
        self.symmetries = task.source.symmetries(options.ensemble)
        self.count = len(task.models) * len(self.symmetries)
        self._target, self._made = target, task.ratio.shape(shape)
        self._back = back = None
        if options.cycle_residual:
            self._back = back = direction_of(task.models[0], not task.inverse, engine)
            if task.models[0].pipeline.data.slicing is None:
                mask = None  # the way back reads what lies outside, too
        given = 4 * task.source.channels * math.prod(shape)
        if self.count > 1:  # means, spreads, and the volume that is turned
            voxel = torch.zeros(target.channels, *(1 for _ in shape))
            kept = sum(len(each) for each in target.quantities(voxel).values())
            held += 4 * (2 * kept + 1) * math.prod(self._made) + given
        there = held if back is None else held + 4 * math.prod(shape)
        self._members = []
        for model, encode in zip(task.models, encodings, strict=True):
            direction = direction_of(model, task.inverse, engine)
            for symmetry in (None, *self.symmetries[1:]):
                inside, size = mask, shape
                if symmetry is not None:
                    size = _turned(shape, symmetry)
                    inside = None if mask is None else apply_symmetry_scalar(mask, symmetry)
                plan = direction.plan(size, options.max_memory, there, inside)
                self._members.append(_Member(encode, symmetry, direction, plan))
        self._plans = [member.plan for member in self._members]
        if back is not None:
            self._plans.append(back.plan(self._made, options.max_memory, held + given, mask))
        first = self._members[0].direction.timed(self._plans[0])
        self.plan = dataclasses.replace(first, memory=max(p.memory for p in self._plans))
        self.seconds = (self.plan.seconds or 0.0) * len(self._plans)

    def __str__(self) -> str:
        text, runs = f"{self.plan} ({self.engine})", len(self._plans)
        if runs > 1:
            text += f", {runs} runs"
            if self.seconds:
                text += f", about {format_seconds(math.ceil(self.seconds))} in all"
        return text

    def run(self, values: Tensor, *, show_progress: bool = False) -> Prediction:
        """Translate physical values ``(C, *spatial)`` of the shape given, zero outside the mask.

        Gives mean, deviation and spread over the members, and the cycle residual if it was asked
        for.
        """
        amount = sum(plan.amount for plan in self._plans)
        statistics = RunningStatistics(self._made, self._target) if self.count > 1 else None
        residual: Tensor | None = None
        result = values
        with progress("Translating", amount, enabled=show_progress) as bar:
            for member in self._members:
                encode, direction = member.encode, member.direction
                x = self._given(values, member)
                shape = tuple(x.shape[1:])
                x = direction.enter(x)
                y = direction.compute(x, member.plan, bar.advance)
                del x
                if self._back is not None and residual is None:
                    residual = self._residual(values, y, bar)
                result = encode.inverse(direction.leave(y, shape)).contiguous().cpu()
                del y
                if statistics is not None:
                    statistics.add(result, member.symmetry)
                    del result
        if statistics is None:
            return Prediction(values=result, cycle_residual=residual)
        return statistics.prediction(cycle_residual=residual)

    def _residual(self, values: Tensor, y: Tensor, bar: Bar) -> Tensor:
        """Distance of the input from what the first model makes of its own result."""
        assert self._back is not None
        first, shape = self._members[0], tuple(values.shape[1:])
        x = first.direction.turn_back(y, shape)
        again = self._back.leave(self._back.compute(x, self._plans[-1], bar.advance), self._made)
        cut = again[tuple(slice(n) for n in (None, *shape))]
        return first.encode.residual(values, cut).cpu()

    def _given(self, values: Tensor, member: _Member) -> Tensor:
        """Values as a member is given them."""
        if member.symmetry is not None:
            values = member.encode.source.turn(values, member.symmetry)
        return member.encode.forward(values.to(self.engine.device))


def _turned(shape: tuple[int, ...], symmetry: Symmetry) -> tuple[int, ...]:
    """Voxels of a volume after a symmetry."""
    empty = torch.empty(shape, device="meta")
    return tuple(apply_symmetry_scalar(empty, symmetry).shape)
