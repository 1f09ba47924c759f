"""All runs of networks that one translation needs: ensemble members, and once back."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from medrev.dti import apply_symmetry, apply_symmetry_scalar
from medrev.prediction.engines import Engine
from medrev.prediction.ensemble import Spread, Symmetry, ensemble_symmetries, frobenius
from medrev.prediction.options import InferenceOptions
from medrev.prediction.plan import Plan
from medrev.progress import Bar, format_seconds, progress

if TYPE_CHECKING:
    from medrev.prediction.model import Model

__all__ = ["Job"]

Estimate = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


class Job:
    """An ensemble on one volume.

    Args:
        models: The checkpoints.
        inverse: From the fine to the coarse grid.
        engine: What computes them.
        options: Ensemble, memory, cycle residual.
        shape: Voxels of the volume.
        mask: ``(1, i, j, k)``: where results are wanted (default: everywhere).
        held: Bytes that the caller holds beside the volume.

    Raises:
        InputError: The engine does not know the layers of a network.
    """

    def __init__(
        self,
        models: Sequence["Model"],
        inverse: bool,
        engine: Engine,
        *,
        options: InferenceOptions,
        shape: tuple[int, ...],
        mask: torch.Tensor | None = None,
        held: int = 0,
    ) -> None:
        self.models, self.inverse, self.engine = tuple(models), inverse, engine
        self.options, self.shape, self.mask, self.held = options, shape, mask, held
        self.symmetries = ensemble_symmetries(options.ensemble)
        self.members = len(self.models) * len(self.symmetries)
        self._runners = [model.runner(inverse, engine) for model in self.models]
        self._back = self.models[0].runner(not inverse, engine) if options.cycle_residual else None
        self._plans: dict[tuple[int, tuple[int, ...]], Plan] = {}
        first = self._runners[0].timed(self._plan(0, shape), mask)
        #: How the volume as it is goes through the first network.
        self.plan = dataclasses.replace(first, memory=max(p.memory for p in self._all_plans()))
        #: Estimated duration.
        self.seconds = (first.seconds or 0.0) * (self.members + options.cycle_residual)

    def on(self, engine: Engine) -> "Job":
        """The same on another engine."""
        return Job(
            self.models,
            self.inverse,
            engine,
            options=self.options,
            shape=self.shape,
            mask=self.mask,
            held=self.held,
        )

    def __str__(self) -> str:
        text = f"{self.plan} ({self.engine})"
        runs = self.members + self.options.cycle_residual
        if runs > 1:
            text += f", {runs} runs, about {format_seconds(math.ceil(self.seconds))} in all"
        return text

    def run(self, volume: torch.Tensor, show_progress: bool) -> Estimate:
        """Translate.

        Args:
            volume: ``(6, i, j, k)`` in mm²/s, of the shape given.
            show_progress: Show a progress bar.

        Returns:
            Mean, standard deviation (None without an ensemble) and cycle residual (None unless
            asked for) as in :class:`medrev.prediction.Translation`.
        """
        planes = 0
        for number, symmetry in self._members():
            plan = self._plan(number, _turned(self.shape, symmetry))
            planes += self._runners[number].planes(plan, self._mask(symmetry))
        if self._back is not None:
            planes += self._back.planes(self._plan(-1, self._runners[0].result_shape(self.shape)))
        with progress("Translating", planes, enabled=show_progress) as bar:
            return self._run(volume, bar)

    def _run(self, volume: torch.Tensor, bar: Bar) -> Estimate:
        spread: Spread | None = None
        residual: torch.Tensor | None = None
        result = volume
        for number, symmetry in self._members():
            is_first = symmetry is self.symmetries[0]  # the identity
            turned = volume if is_first else apply_symmetry(volume, symmetry)
            runner = self._runners[number]
            plan = self._plan(number, tuple(turned.shape[1:]))
            result = runner.run(turned, plan, bar.advance, self._mask(symmetry))
            del turned
            if self._back is not None and residual is None:
                residual = self._residual(volume, result, bar)
            if self.members > 1:
                spread = Spread(tuple(result.shape)) if spread is None else spread
                spread.add_turned(result, symmetry)
                del result
        if spread is None:
            return result, None, residual
        return spread.mean, spread.std, residual

    def _residual(self, volume: torch.Tensor, result: torch.Tensor, bar: Bar) -> torch.Tensor:
        """``‖G(F(x)) − x‖`` in every voxel."""
        assert self._back is not None
        again = self._back.run(result, self._plan(-1, tuple(result.shape[1:])), bar.advance)
        i, j, k = volume.shape[1:]
        return frobenius(again[:, :i, :j, :k] - volume).sqrt_()

    def _mask(self, symmetry: Symmetry) -> torch.Tensor | None:
        """The mask, turned as the volume is."""
        return None if self.mask is None else apply_symmetry_scalar(self.mask, symmetry)

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
            yield self._plan(-1, self._runners[0].result_shape(self.shape))

    def _plan(self, number: int, shape: tuple[int, ...]) -> Plan:
        """The plan of a model, or of the way back (-1), for a volume."""
        key = number, shape
        if key not in self._plans:
            held = self.held
            if self.members > 1:  # mean, spread, and the volume that is turned
                voxels = math.prod(self._runners[0].result_shape(self.shape))
                held += 4 * (7 * voxels + 6 * math.prod(self.shape))
            if number < 0:
                assert self._back is not None
                held += 4 * 6 * math.prod(self.shape)
                self._plans[key] = self._back.plan(shape, self.options.max_memory, held)
            else:
                held += 4 * math.prod(self.shape) * (self._back is not None)
                self._plans[key] = self._runners[number].plan(shape, self.options.max_memory, held)
        return self._plans[key]


def _turned(shape: tuple[int, ...], symmetry: Symmetry) -> tuple[int, ...]:
    """Voxels of a volume after a symmetry."""
    empty = torch.empty(shape, device="meta")
    return tuple(apply_symmetry_scalar(empty, symmetry).shape)
