"""What a posterior says: samples around a point estimate, and how likely a scan's details are.

The spread of samples is found slab by slab, in constant memory.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.guarantee import Width
from medrev.domains.score import Score
from medrev.domains.values import Prediction
from medrev.metrics import as_array, noise_level
from medrev.nets import Posterior, evaluating
from medrev.prediction.ensemble import Encode, RunningStatistics
from medrev.prediction.geometry import MIN_VOXELS
from medrev.prediction.model import Model
from medrev.prediction.plan import peak_bytes
from medrev.prediction.preparation import Seen
from medrev.prediction.regrid import Regrid
from medrev.prediction.stages import Engine
from medrev.prediction.steps import Crop, Step
from medrev.prediction.task import Task
from medrev.progress import progress
from medrev.volumes import block_mean, upsample

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


def slab_of(task: Task, given: Seen, *, encode: Encode, engine: Engine) -> tuple[int, int]:
    """Coarse planes that are sampled at a time, as many as memory has room for.

    Args:
        task: As of :func:`sample`.
        given: The scan.
        encode: How values are encoded.
        engine: Its device.

    Returns:
        The planes, at least a few, and the bytes that they take with what is held beside them.
    """
    values, net = given.values, task.models[0].translator
    assert isinstance(net, Posterior)
    cut = tuple(min(n, _TRIAL) for n in given.shape)
    estimate = torch.zeros(encode.target.channels, *task.ratio.shape(cut))
    few = values[:, *(slice(n) for n in cut)]
    field = Field(0, cut, (0,) * len(cut), cut)
    trial = _Slabs(net, encode, few, estimate, None, field, Engine.torch(engine.device))

    def once(_: Tensor) -> Tensor:
        _place, point = trial.enter(0, cut[0])
        statistics = RunningStatistics(tuple(point.shape[1:]), encode.target)
        for number in range(2):
            statistics.add(trial.draw(number, 1.0))
        return statistics.std

    voxel = peak_bytes(once, torch.zeros(1)) / math.prod(cut)
    whole = 4 * len(estimate) * math.prod(task.ratio.shape(given.shape))
    kept = (task.options.samples or 1) if task.options.keep_samples else 0
    held = values.nbytes + (4 + kept) * whole
    plane, halo = _MARGIN * voxel * math.prod(given.shape[1:]), 2 * net.residual.radius
    room = int((task.max_memory * 2**30 - held) / plane)
    planes = min(max(room - halo, _LEAST), given.shape[0])
    return planes, math.ceil(held + min(planes + halo, given.shape[0]) * plane)


def sample(
    task: Task,
    given: Seen,
    estimate: Prediction,
    *,
    encode: Encode,
    engine: Engine,
    slab: int,
    show_progress: bool = False,
) -> Prediction:
    """Draw samples of a scan around a point estimate, and add what they say together.

    The scan is zero outside the mask; ``slab`` planes are sampled at a time (:func:`slab_of`).

    Every slab of planes is sampled as often as asked, before the next one is: beside the result no
    more is kept than one sample of one slab, however many there are.
    """
    options, target, net = task.options, encode.target, task.models[0].translator
    assert isinstance(net, Posterior)
    count, mean, length = options.samples or 1, estimate.values, given.shape[0]
    field = Field.of(options.seed, given.shape, given.steps)
    known = (given.values != 0).any(dim=0, keepdim=True) if given.mask is None else given.mask
    resampled = any(isinstance(step, Regrid) for step in given.steps)  # its noise is not its own
    noise = None if resampled else noise_level(encode.forward(given.values), known)
    width = Width.of(task.models[0].metadata).at(noise)
    drawn = _Slabs(net, encode, given.values, mean, given.mask, field, engine, width)
    shape = mean.shape[1:]
    voxel = target.quantities(mean[:, *(slice(1) for _ in shape)])
    std = torch.zeros(1, *shape)
    spread = {name: torch.zeros(len(each), *shape) for name, each in voxel.items()}
    scatter = torch.zeros_like(std) if target.scatter(mean[:, :1]) is not None else None
    draws = torch.zeros(count, *mean.shape) if options.keep_samples else None
    with progress("Sampling", length * count, enabled=show_progress) as bar:
        for low in range(0, length, slab):
            high = min(length, low + slab)
            place, point = drawn.enter(low, high)
            statistics = RunningStatistics(tuple(point.shape[1:]), target)
            away = target.scatter(point)
            total = torch.zeros_like(point[:1])
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
    facts = {
        "Samples": count,
        "Temperature": options.temperature,
        "Seed": options.seed,
        "NoiseLevel": noise,
        "SampleWidth": width,
    }
    return replace(
        estimate,
        std=std,
        spread=spread,
        scatter=scatter,
        draws=draws,
        samples=count,
        facts=facts,
    )


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

    @contextmanager
    def _computing(self) -> Iterator[None]:
        half = self.dtype == torch.bfloat16
        with evaluating(self.net), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            yield

    def _decode(self, values: Tensor) -> Tensor:
        return self.encode.target.decode(values, self.encode.result_scale)


#: Places, of a scan made coarser, below which nothing can be said.
_FEWEST = 200


def score_of(
    model: Model, domain: Domain, values: Tensor, mask: Tensor | None, scale: float
) -> Score | None:
    """Score a scan ``(C, *spatial)``, zero outside a mask, as the fine grid of a training.

    None where it is too small. Values are in the domain's unit; ``scale`` is 1 in the network.

    The scan is cut into boxes of the size of the training's patches, which are alone as these are:
    memory does not grow with the scan.
    """
    net = model.translator
    assert isinstance(net, Posterior)
    factors = model.pipeline.data.factors
    shape = tuple(values.shape[1:])
    if any(n // r < MIN_VOXELS for n, r in zip(shape, factors, strict=True)):
        return None
    edges = model.pipeline.data.sample_shape[-len(shape) :]
    inside = torch.ones_like(values[:1]) if mask is None else (mask > 0).to(values.dtype)
    given = {"": values, **domain.mistaken(values)}
    found: dict[str, list[Tensor]] = {name: [] for name in given}
    places = torch.zeros(1, *shape)
    cuts = (_cuts(*each) for each in zip(shape, edges, factors, strict=True))
    for box in itertools.product(*cuts):
        if not inside[:, *box].any():
            continue
        for name, each in given.items():
            y = domain.encode(each[:, *box], scale)[None].to(model.device)
            nats, whole = _places(net, y, inside[:, *box][None].to(model.device), factors)
            found[name].append(nats[whole])
            if not name:
                places[:, *box] = upsample(nats * whole, factors, "nearest")[0].cpu()
    told = {name: as_array(torch.cat(some)) for name, some in found.items() if some}
    if "" not in told or len(told[""]) < _FEWEST:
        return None
    own = told.pop("")
    middle = np.median(own)
    tail = _ratio(np.percentile(own, 99.9) - middle, 1.4826 * np.median(abs(own - middle)))
    gains = {
        name: _ratio((own - other).mean(), (own - other).std() / len(own) ** 0.5)
        for name, other in told.items()
    }
    return Score(places=places, tail=tail, gains=gains)


def _ratio(value: float, deviation: float) -> float:
    """A value in deviations; 0 where nothing varies."""
    return float(value / deviation) if deviation > 0 else 0.0


def _cuts(length: int, edge: int, factor: int) -> list[slice]:
    """Like parts of an axis, no longer than an edge if that is enough for a network."""
    count = max(1, min(-(-length // edge), length // factor // MIN_VOXELS))
    ends = np.linspace(0, length // factor, count + 1).round().astype(int) * factor
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def _places(
    net: Posterior, y: Tensor, mask: Tensor, factors: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """−ln p in every place of a box ``(1, C, *spatial)``, and which lie in the mask as a whole."""
    with torch.no_grad(), evaluating(net):
        x = block_mean(y, factors)
        estimate, residuals, inside = net.residuals(x, y, mask)
        whole = inside.all(1, keepdim=True)
        return net.residual.places(residuals, net.features(x, estimate), whole), whole
