"""All runs of networks that one prediction needs: models on turned grids, and once back."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medrev.domains.domain import Domain, Symmetry
from medrev.dti import apply_symmetry_scalar
from medrev.errors import InputError
from medrev.options import InferenceOptions
from medrev.prediction.direction import direction_of
from medrev.prediction.engines import Engine
from medrev.prediction.geometry import Ratio
from medrev.prediction.model import Model
from medrev.prediction.plan import Plan
from medrev.prediction.statistics import RunningStatistics
from medrev.progress import Bar, format_seconds, progress

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
        """``‖G(F(x)) − x‖`` in every voxel, of x as the network sees it.

        Args:
            values: Physical values ``(C, *spatial)``.
            back: What the network gave when it came back, ``(C, *spatial)``.
        """
        again = self.source.decode(back, self.scale)
        seen = self.source.decode(self.forward(values.to(back.device)), self.scale)
        return self.source.norm(again - seen)


@dataclass(frozen=True)
class Estimate:
    """What the members say together.

    Attributes:
        mean: ``(C, *spatial)`` in the unit of the target.
        std: ``(1, *spatial)``; None with one member.
        spread: Of every quantity, ``(Q, *spatial)``; empty with one member.
        residual: ``(1, *spatial)`` on the grid of the input; None unless asked for.
        scatter: Root of the mean of :meth:`Domain.scatter` over samples; None without.
        draws: Samples ``(N, C, *spatial)`` that are kept.
    """

    mean: Tensor
    std: Tensor | None
    spread: Mapping[str, Tensor]
    residual: Tensor | None
    scatter: Tensor | None = None
    draws: Tensor | None = None


class Ensemble:
    """The models and symmetries of an ensemble on volumes of one shape; often only one of each.

    Args:
        models: The models.
        encodings: How values of each are encoded.
        inverse: From y to x.
        engine: What computes them.
        options: Ensemble, memory, cycle residual.
        shape: Voxels of the volume.
        mask: ``(1, *spatial)``: where results are wanted (default: everywhere).
        held: Bytes that the caller holds beside the volume.

    Attributes:
        plan: How the volume as it is goes through the first network.
        seconds: Estimated duration; 0 where it is not measured.

    Raises:
        InputError: The engine does not know the layers of a network, or there is no such ensemble.
    """

    def __init__(
        self,
        models: Sequence[Model],
        encodings: Sequence[Encode],
        *,
        inverse: bool,
        engine: Engine,
        options: InferenceOptions,
        shape: tuple[int, ...],
        mask: Tensor | None = None,
        held: int = 0,
    ) -> None:
        self.models, self.encodings = tuple(models), tuple(encodings)
        self.inverse, self.engine, self.options = inverse, engine, options
        self.shape, self.held = tuple(shape), held
        self.symmetries = encodings[0].source.symmetries(options.ensemble)
        self.count = len(self.models) * len(self.symmetries)
        self._ratio = Ratio.of(self.models[0].pipeline, inverse=inverse)
        self._directions = [direction_of(model, inverse, engine) for model in self.models]
        self._back = None
        if options.cycle_residual:
            self._back = direction_of(self.models[0], not inverse, engine)
        self.mask = mask
        self._kept = 0  # channels of all quantities, of which an ensemble keeps mean and spread
        if self.count > 1:
            voxel = torch.zeros(encodings[0].target.channels, *(1 for _ in self.shape))
            quantities = encodings[0].target.quantities(voxel)
            self._kept = sum(len(each) for each in quantities.values())
        self._plans: dict[tuple[int, tuple[int, ...]], Plan] = {}
        first = self._plan(0, self.shape)
        if self._back is not None and first.slicing is None:
            self.mask = None  # the way back reads what lies outside, too
        first = self._directions[0].timed(first, self.mask)
        self.plan = dataclasses.replace(first, memory=max(p.memory for p in self._all_plans()))
        self.seconds = (first.seconds or 0.0) * (self.count + options.cycle_residual)

    def __str__(self) -> str:
        text = f"{self.plan} ({self.engine})"
        runs = self.count + self.options.cycle_residual
        if runs > 1:
            text += f", {runs} runs"
            if self.seconds:
                text += f", about {format_seconds(math.ceil(self.seconds))} in all"
        return text

    def run(self, values: Tensor, *, show_progress: bool = False) -> Estimate:
        """Translate physical values ``(C, *spatial)`` of the shape given.

        Args:
            values: In the unit of the source, zero outside the mask.
            show_progress: Show a progress bar.
        """
        amount = 0
        for number, symmetry in self._members():
            plan = self._plan(number, _turned(self.shape, symmetry))
            amount += self._directions[number].amount(plan, self._mask(symmetry))
        if self._back is not None:
            amount += self._back.amount(self._plan(-1, self._ratio.shape(self.shape)), self.mask)
        statistics: RunningStatistics | None = None
        residual: Tensor | None = None
        result = values
        if self.count > 1:
            made, target = self._ratio.shape(self.shape), self.encodings[0].target
            statistics = RunningStatistics(made, target)
        with progress("Translating", amount, enabled=show_progress) as bar:
            for number, symmetry in self._members():
                is_first = symmetry is self.symmetries[0]  # the identity
                direction, encode = self._directions[number], self.encodings[number]
                turned = values if is_first else encode.source.turn(values, symmetry)
                shape = tuple(turned.shape[1:])
                plan = self._plan(number, shape)
                x = encode.forward(turned.to(self.engine.device))
                del turned
                x = direction.enter(x)
                y = direction.compute(x, plan, bar.advance, self._mask(symmetry))
                del x
                if self._back is not None and residual is None:
                    residual = self._residual(values, y, bar)
                result = encode.inverse(direction.leave(y, shape)).contiguous().cpu()
                del y
                if statistics is not None:
                    statistics.add(result, symmetry)
                    del result
        if statistics is None:
            return Estimate(result, None, {}, residual)
        return Estimate(statistics.mean, statistics.std, statistics.take_spread(), residual)

    def _residual(self, values: Tensor, y: Tensor, bar: Bar) -> Tensor:
        """Distance of the input from what the first model makes of its own result."""
        assert self._back is not None
        made = self._ratio.shape(self.shape)
        x = self._directions[0].turn_back(y, self.shape)
        again = self._back.compute(x, self._plan(-1, made), bar.advance, self.mask)
        again = self._back.leave(again, made)
        cut = again[tuple(slice(n) for n in (None, *self.shape))]
        return self.encodings[0].residual(values, cut).cpu()

    def _mask(self, symmetry: Symmetry) -> Tensor | None:
        """The mask, turned as the volume is."""
        if self.mask is None or symmetry is self.symmetries[0]:
            return self.mask
        return apply_symmetry_scalar(self.mask, symmetry)

    def _members(self) -> Iterator[tuple[int, Symmetry]]:
        """Number of the model and symmetry of every member, the volume as it is first."""
        for number in range(len(self.models)):
            for symmetry in self.symmetries:
                yield number, symmetry

    def _all_plans(self) -> Iterator[Plan]:
        """The plan of every run."""
        for number, symmetry in self._members():
            yield self._plan(number, _turned(self.shape, symmetry))
        if self._back is not None:
            yield self._plan(-1, self._ratio.shape(self.shape))

    def _plan(self, number: int, shape: tuple[int, ...]) -> Plan:
        """The plan of a model, or of the way back (-1), for a volume."""
        key = number, shape
        if key not in self._plans:
            encode, given = self.encodings[0], math.prod(self.shape)
            channels_in = encode.source.channels
            held = self.held
            if self.count > 1:  # means, spreads, and the volume that is turned
                shape_made = self._ratio.shape(self.shape)
                held += 4 * (2 * self._kept + 1) * math.prod(shape_made) + 4 * channels_in * given
            direction = self._directions[number] if number >= 0 else self._back
            assert direction is not None
            if number < 0:
                held += 4 * channels_in * given
            elif self._back is not None:
                held += 4 * given
            self._plans[key] = direction.plan(shape, self.options.max_memory, held)
        return self._plans[key]


def _turned(shape: tuple[int, ...], symmetry: Symmetry) -> tuple[int, ...]:
    """Voxels of a volume after a symmetry."""
    if len(shape) != len(symmetry):  # an image, which is not turned
        return shape
    empty = torch.empty(shape, device="meta")
    return tuple(apply_symmetry_scalar(empty, symmetry).shape)
