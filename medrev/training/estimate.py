"""What a training would take: parameters, memory and time, for the dry run."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medrev.config.schema import Pipeline
from medrev.data.epochs import EpochBatches, Triple
from medrev.domains.kinds import dataset_of
from medrev.methods import Method, build_method
from medrev.methods.adversary import DiscriminatorPhase
from medrev.progress import format_seconds
from medrev.training.scoring import data_warnings
from medrev.training.seeding import seed_everything
from medrev.training.train import start_of, training_device, translator_from
from medrev.training.trainer import Trainer, total_steps

_MIB = 2**20


@dataclass(frozen=True)
class Estimate:
    """What was measured on random batches, and what follows from it.

    Attributes:
        parameters: Number of parameters by network, and by part of the translator.
        activations: Bytes that the translator's phase keeps for its backward pass, measured.
        states: Bytes of weights, gradients and optimiser states.
        peak: Largest number of bytes on the GPU during a step; None on the CPU.
        seconds_per_step: Median over the steps measured.
        steps: Steps of the training.
        steps_exact: False where the number of steps is an upper bound (it depends on how many
            patches have brain).
        warnings: What its data will not tell.
    """

    parameters: dict[str, int]
    activations: int
    states: int
    peak: int | None
    seconds_per_step: float
    steps: int
    steps_exact: bool
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Time of all steps; validation, preparation and the final table come on top."""
        return self.steps * self.seconds_per_step

    def lines(self) -> list[str]:
        """The estimate in words, a line per fact."""
        bound = "" if self.steps_exact else "at most "
        sizes = [f"parameters:  {name} {count:,}" for name, count in self.parameters.items()]
        memory = [
            f"memory:      {self.activations / _MIB:,.1f} MiB of activations kept for backward",
            f"memory:      {self.states / _MIB:,.1f} MiB of weights, gradients, optimiser states",
        ]
        if self.peak is not None:
            memory.append(f"memory:      {self.peak / _MIB:,.1f} MiB at most on the GPU")
        return [
            *sizes,
            *memory,
            f"time:        {self.seconds_per_step:.3g} s per step (measured), {bound}"
            f"{self.steps:,} steps: {bound}{format_seconds(self.seconds)} without validation",
            *(f"warning:     {line}" for line in self.warnings),
        ]


def dry_run(pipeline: Pipeline, device: str = "auto", *, measured: int = 3) -> Estimate:
    """Measure a few real steps on random numbers; nothing is written.

    Args:
        pipeline: The experiment.
        device: auto, cpu, cuda, cuda:N or mps.
        measured: Steps to take after a first one, which is not counted.

    Raises:
        InputError: Subjects cannot be used; all are named.
    """
    place = training_device(device)
    dataset = dataset_of(pipeline)
    dataset.check()
    seed_everything(pipeline.seed)
    method = build_method(pipeline, translator_from(pipeline, start_of(pipeline)))
    random = RandomBatches(pipeline)
    per_epoch, exact = dataset.batches_per_epoch()
    steps = total_steps(pipeline.training, per_epoch)
    trainer = Trainer(method, random, pipeline.training, total=steps, device=place)
    activations = kept_bytes(method, {k: v.to(place) for k, v in random.batch(0, 0).items()})
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    times = []
    for _ in range(measured + 1):
        begun = time.perf_counter()
        trainer.step()  # waits for the device: it reads the losses
        times.append(time.perf_counter() - begun)
    return Estimate(
        parameters=count_parameters(method),
        activations=activations,
        states=sum(4 * _bytes(phase) for phase in method.phases.values()),
        peak=torch.cuda.max_memory_allocated(place) if place.type == "cuda" else None,
        seconds_per_step=sorted(times[1:])[len(times[1:]) // 2],
        steps=steps,
        steps_exact=exact or pipeline.training.steps is not None,
        warnings=data_warnings(dataset),
    )


class RandomBatches(EpochBatches):
    """Batches of random numbers in the shapes that a pipeline trains on."""

    def __init__(self, pipeline: Pipeline, per_epoch: int = 1) -> None:
        data = pipeline.data
        super().__init__(data.batch_size, pipeline.seed)
        self.shapes = data.input_shape, (data.channels[1], *data.sample_shape)
        self._start("", per_epoch * data.batch_size)

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        x, y = (
            torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in self.shapes
        )
        return x, y, torch.ones(1, *y.shape[1:])


def kept_bytes(method: Method, batch: dict[str, Tensor]) -> int:
    """Bytes that the first phase keeps from forward to backward, parameters not counted."""
    name = next(iter(method.phases))
    own = {p.untyped_storage().data_ptr() for q in method.phases.values() for p in q.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
                alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        method.phases[name](batch, {})
    return sum(kept.values())


def count_parameters(method: Method) -> dict[str, int]:
    """Parameters of the translator, its parts, and the discriminators."""
    counts = {"translator": _numel(method.translator)}
    for name, part in method.translator.named_children():
        if _numel(part):
            counts[f"  {name}"] = _numel(part)
    for name, phase in method.phases.items():
        if name != "translator":
            both = isinstance(phase, DiscriminatorPhase)
            counts[f"{name}s (both)" if both else name] = _numel(phase)
    return counts


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bytes(module: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
