"""What a training would take: parameters, memory and time, for the dry run."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medrev.config.schema import Pipeline
from medrev.domains.kinds import dataset_of
from medrev.methods import Method, build_method
from medrev.methods.adversary import DiscriminatorPhase
from medrev.progress import format_seconds
from medrev.training.seeding import seed_everything
from medrev.training.train import training_device, translator_of
from medrev.training.trainer import Trainer, total_steps

__all__ = ["Estimate", "dry_run"]

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
    """

    parameters: dict[str, int]
    activations: int
    states: int
    peak: int | None
    seconds_per_step: float
    steps: int
    steps_exact: bool

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
        ]


def dry_run(pipeline: Pipeline, device: str = "auto", *, measured: int = 3) -> Estimate:
    """Measure a few real steps on random numbers; nothing is written.

    Args:
        pipeline: The experiment.
        device: auto, cpu, cuda, cuda:N or mps.
        measured: Steps to take after a first one, which is not counted.
    """
    place = training_device(device)
    seed_everything(pipeline.seed)
    method = build_method(pipeline, translator_of(pipeline))
    random = RandomBatches(pipeline)
    per_epoch, exact = dataset_of(pipeline).batches_per_epoch()
    steps = total_steps(pipeline.training, per_epoch)
    trainer = Trainer(method, random, pipeline.training, total=steps, device=place)
    activations = kept_bytes(method, {k: v.to(place) for k, v in random.batch().items()})
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
    )


class RandomBatches:
    """Batches of random numbers in the shapes that a pipeline trains on."""

    def __init__(self, pipeline: Pipeline) -> None:
        data = pipeline.data
        self.channels, self.shape = data.channels, data.sample_shape
        self.factor, self.count = data.grid_factor, data.batch_size
        self.generator = torch.Generator().manual_seed(pipeline.seed)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        yield self.batch()

    def batch(self) -> dict[str, Tensor]:
        """Draw a batch."""

        def draw(channels: int, factor: int) -> Tensor:
            sizes = (n // factor for n in self.shape)
            return torch.randn(self.count, channels, *sizes, generator=self.generator)

        x, y = self.channels
        mask = torch.ones(self.count, 1, *self.shape)
        return {"x": draw(x, self.factor), "y": draw(y, 1), "mask": mask}

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


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
