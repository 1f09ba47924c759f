"""Samples around a point estimate: their spread, slab by slab, in constant memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.interval import Interval
from medrev.errors import InputError
from medrev.nets import Posterior, evaluating
from medrev.options import InferenceOptions
from medrev.prediction.draws import generator_of
from medrev.prediction.engines import Engine
from medrev.prediction.ensemble import Encode, Estimate
from medrev.prediction.memory import peak_bytes
from medrev.prediction.model import Model
from medrev.prediction.statistics import RunningStatistics
from medrev.prediction.steps import Crop, Step
from medrev.progress import progress

#: Planes that are finished at a time, at least, and for what is too small to be counted.
_LEAST, _MARGIN = 4, 1.2
#: Voxels along each axis of the volume on which memory is measured; of a smaller one, what does not
#: grow with volumes would be most of it.
_TRIAL = 16


@dataclass(frozen=True)
class Field:
    """Standard normal numbers that are a function of the place in a volume.

    Whatever is cut out of the volume, by tiles or around a mask, sees the same ones.

    Attributes:
        seed: Which field.
        shape: Voxels of the whole volume.
        start: First voxel of what is cut out of it.
        size: Voxels of that.
    """

    seed: int
    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]

    @classmethod
    def of(cls, seed: int, size: tuple[int, ...], steps: list[Step]) -> "Field":
        """The field of a volume of which steps may have cut out a box."""
        crop = next((step for step in steps if isinstance(step, Crop)), None)
        if crop is None:
            return cls(seed, size, (0,) * len(size), size)
        return cls(seed, crop.shape, crop.start, crop.size)

    def planes(self, number: int, channels: int, low: int, high: int) -> Tensor:
        """Planes ``(1, channels, high − low, J, K)`` of a sample, counted in what is cut out."""
        inside = tuple(slice(a, a + n) for a, n in zip(self.start[1:], self.size[1:], strict=True))
        made = []
        for plane in range(self.start[0] + low, self.start[0] + high):
            state = np.random.SeedSequence((self.seed, number, plane)).generate_state(2, np.uint32)
            generator = torch.Generator().manual_seed(int(state[0]) << 32 | int(state[1]))
            whole = torch.randn(channels, *self.shape[1:], generator=generator)
            made.append(whole[:, *inside])
        return torch.stack(made, 1)[None]


def sample(
    net: Posterior,
    encode: Encode,
    values: Tensor,
    estimate: Estimate,
    mask: Tensor | None,
    *,
    field: Field,
    width: float,
    engine: Engine,
    options: InferenceOptions,
    max_memory: float,
    show_progress: bool = False,
) -> Estimate:
    """Draw samples around a point estimate, and add to it what they say together.

    Every slab of planes is sampled as often as asked, before the next one is: beside the result no
    more is kept than one sample of one slab, however many there are.

    Args:
        net: The model.
        encode: How values are encoded.
        values: ``(C, *spatial)`` in the unit of the source, zero outside the mask.
        estimate: What the model gave.
        mask: ``(1, *spatial)``.
        field: Noise.
        width: Factor on how far samples lie from the estimate.
        engine: Its device and precision; PyTorch computes.
        options: Number of samples, temperature, whether they are kept.
        max_memory: Limit in GiB.
        show_progress: Show a progress bar.
    """
    count, target = options.samples or 1, encode.target
    mean, length = estimate.mean, values.shape[1]
    drawn = _Slabs(net, encode, values, mean, mask, field, engine, width)
    shape = mean.shape[1:]
    voxel = target.quantities(mean[:, *(slice(1) for _ in shape)])
    std = torch.zeros(1, *shape)
    spread = {name: torch.zeros(len(each), *shape) for name, each in voxel.items()}
    scatter = torch.zeros_like(std) if target.scatter(mean[:, :1]) is not None else None
    draws = torch.zeros(count, *mean.shape) if options.keep_samples else None
    slab = drawn.planes(max_memory)
    with progress("Sampling", length * count, enabled=show_progress) as bar:
        for low in range(0, length, slab):
            high = min(length, low + slab)
            place, given = drawn.enter(low, high)
            statistics = RunningStatistics(tuple(given.shape[1:]), target)
            away = target.scatter(given)
            total = torch.zeros_like(given[:1])
            for number in range(count):
                made = drawn.draw(number, options.temperature)
                statistics.add(made)
                if away is not None:
                    total += away(made)
                if draws is not None:
                    draws[number][:, place] = made
                bar.advance(high - low)
            std[:, place] = statistics.std
            for name, each in statistics.take_spread().items():
                spread[name][:, place] = each
            if scatter is not None:
                scatter[:, place] = (total / count).sqrt_()
    return replace(estimate, std=std, spread=spread, scatter=scatter, draws=draws)


def check_draws(
    models: Sequence[Model], options: InferenceOptions, target: Domain, *, inverse: bool
) -> None:
    """Refuse samples of models that have none, and beside what has no meaning with them.

    Raises:
        InputError: What is wrong.
    """
    name = models[0].pipeline.name
    if options.interval is not None and not target.intervals:
        raise InputError(f"--interval: results of {name} have no intervals; leave it out")
    if not options.draws:
        if options.interval is not None and options.ensemble == len(models) == 1:
            raise InputError(
                "--interval needs --ensemble, or --samples of a model with a posterior"
            )
        return
    if not isinstance(models[0].translator, Posterior):
        generator_of(models[0], options.draws)
        raise InputError(f"{name} draws images: use medrev.prediction.draws.Draws")
    if options.samples is None:
        raise InputError(
            f"{', '.join(options.draws)} is of samples: give their number, too, with --samples"
        )
    if options.samples < 2:
        raise InputError(
            f"{name}: --samples around a result must be 2 or more, for their deviation, got "
            f"{options.samples}"
        )
    beside = {
        "--direction inverse": inverse,
        "--ensemble": options.ensemble > 1,
        "several --model": len(models) > 1,
        "--voxel-size": options.voxel_size is not None,
    }
    for option, given in beside.items():
        if given:
            raise InputError(f"--samples has no meaning beside {option}: leave one out")
    if options.keep_samples and options.consistency == "exact":
        raise InputError(
            "--keep-samples has no meaning beside --consistency exact, which only the result is: "
            "leave one out"
        )


def interval_of(
    models: Sequence[Model], options: InferenceOptions, target: Domain
) -> tuple[Interval | None, list[str]]:
    """The intervals that were asked for, and a reason to doubt them, if there is one."""
    level = options.interval or (90.0 if options.samples else None)
    if level is None or not target.intervals:
        return None, []
    # Factors are of one model's samples or ensemble, and of both as the model gives them.
    moved = options.consistency != "none" or (options.samples and options.temperature != 1)
    known = len(models) == 1 and not moved
    interval = Interval.of(
        level,
        models[0].metadata if known else {},
        ensemble=options.ensemble,
        samples=options.samples,
    )
    if set(target.intervals) <= set(interval.calibrated):
        return interval, []
    return interval, [
        f"the {level:g} % intervals are not calibrated: how much they hold is not known "
        "(medrev-calibrate)"
    ]


def draw_facts(
    options: InferenceOptions,
    interval: Interval | None,
    target: Domain,
    noise: float | None,
    width: float,
) -> dict[str, Any]:
    """Keys of the sidecar about samples and intervals."""
    facts: dict[str, Any] = {}
    if options.samples:
        facts = {
            "Samples": options.samples,
            "Temperature": options.temperature,
            "Seed": options.seed,
            "NoiseLevel": noise,
            "SampleWidth": width,
        }
    return facts if interval is None else facts | interval.about(target.intervals)


class _Slabs:
    """A volume whose samples are drawn some planes at a time; arguments as those of `sample`."""

    def __init__(  # noqa: PLR0917 (what is sampled, where, and by what, in the order of `sample`)
        self,
        net: Posterior,
        encode: Encode,
        values: Tensor,
        estimate: Tensor,
        mask: Tensor | None,
        field: Field,
        engine: Engine,
        width: float = 1.0,
    ) -> None:
        self.net, self.encode, self.values, self.estimate = net, encode, values, estimate
        self.inside = torch.ones_like(values[:1]) if mask is None else (mask > 0).to(values.dtype)
        self.field, self.device, self.dtype = field, engine.device, engine.dtype
        sizes = zip(estimate.shape[1:], values.shape[1:], strict=True)
        self.ratio = tuple(fine // coarse for fine, coarse in sizes)
        zero, one = (self._decode(torch.full((1, 1, 1, 1), n)) for n in (0.0, 1.0))
        self.offset, self.unit, self.width = float(zero), float(one - zero), width

    def enter(self, low: int, high: int) -> tuple[slice, Tensor]:
        """Go to coarse planes; give where their result is, and the estimate there."""
        radius, length, r = self.net.residual.radius, self.values.shape[1], self.ratio[0]
        start, stop = max(0, low - radius), min(length, high + radius)
        x = self.encode.forward(self.values[:, start:stop].to(self.device))[None]
        y = self.estimate[:, start * r : stop * r].to(self.device)
        self._inside = self.inside[:, start:stop].to(self.device)[None]
        self._window, self._kept = (start, stop), slice((low - start) * r, (high - start) * r)
        with self._computing():
            self._features = self.net.features(x, ((y - self.offset) / self.unit)[None])
        place = slice(low * r, high * r)
        self._given = self.estimate[:, place]
        return place, self._given

    def draw(self, number: int, temperature: float) -> Tensor:
        """A sample of these planes, ``(C, *spatial)`` in the unit of the estimate."""
        channels = len(self.net.residual.root)
        noise = self.field.planes(number, channels, *self._window).to(self.device)
        with self._computing():
            residual = self.net.residual.decode(temperature * noise, self._features, self._inside)
            away = self.net.squeeze.inverse(residual)[0]
        return self._given + self.width * self.unit * away[:, self._kept].float().cpu()

    def planes(self, max_memory: float) -> int:
        """Coarse planes of a slab that memory has room for, at least a few."""
        cut = tuple(min(n, _TRIAL) for n in self.values.shape[1:])
        trial = _Slabs(
            self.net,
            self.encode,
            self.values[:, *(slice(n) for n in cut)],
            self.estimate[:, *(slice(n * r) for n, r in zip(cut, self.ratio, strict=True))],
            None,
            Field(0, cut, (0,) * len(cut), cut),
            Engine.torch(self.device),
        )

        def once(_: Tensor) -> Tensor:
            _place, given = trial.enter(0, cut[0])
            statistics = RunningStatistics(tuple(given.shape[1:]), self.encode.target)
            for number in range(2):
                statistics.add(trial.draw(number, 1.0))
            return statistics.std

        voxel = peak_bytes(once, torch.zeros(1)) / math.prod(cut)
        held = self.values.nbytes + 4 * self.estimate.nbytes
        room = max_memory * 2**30 - held
        planes = int(room / (_MARGIN * voxel * math.prod(self.values.shape[2:])))
        return min(max(planes - 2 * self.net.residual.radius, _LEAST), self.values.shape[1])

    @contextmanager
    def _computing(self) -> Iterator[None]:
        half = self.dtype == torch.bfloat16
        with evaluating(self.net), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            yield

    def _decode(self, values: Tensor) -> Tensor:
        return self.encode.target.decode(values, self.encode.result_scale)
