"""One whole training step of the unpaired 3D RevGAN of the paper (Table 3, row "+4R")."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from medrev.config import load_pipeline
from medrev.dti import COMPONENTS
from medrev.methods import Cache, Method, build_method
from medrev.nets import build_translator
from medrev.progress import Bar
from medrev.training.optim import build_optimizer
from reversible_benchmark.memory import Step, measure_memory
from reversible_benchmark.results import Results, Run
from reversible_benchmark.timing import Budget, interleave
from reversible_benchmark.trial import Case, stock_twin
from reversible_benchmark.variants import Variant

__all__ = ["GAN_DEPTH", "GAN_UNITS", "GAN_VARIANTS", "gan_work", "measure_gan", "phases_step"]

PIPELINE = Path(__file__).parents[2] / "pipelines" / "paper" / "hcp_table3_4r_unpaired.yaml"
GAN_DEPTH = 4
#: Units of progress of a step, as `Group.units` counts them.
GAN_UNITS = 7
#: Variants that have an inverse to train, by default.
GAN_VARIANTS = ("plain", "plain-fast", "memcnn", "medrev-stock", "medrev")


def measure_gan(
    variants: Sequence[Variant],
    *,
    size: int,
    rounds: int,
    results: Results,
    budget: Budget,
    device: torch.device,
    bar: Bar,
    overrides: Sequence[str] = (),
) -> None:
    """Time generator and discriminator updates on batch 1 of random patches.

    Args:
        variants: What is compared; those without an inverse are left out.
        size: Edge of the patches in voxels.
        rounds: Timed rounds at most.
        results: Gets the numbers.
        budget: Shares out the time.
        device: Where to compute.
        bar: Advanced by `GAN_UNITS` per step.
        overrides: ``key=value`` for the pipeline.
    """
    deadline = time.monotonic() + budget.share(gan_work(len(variants), rounds))
    case = Case((size,) * 3, GAN_DEPTH)
    batch = dict(zip("xy", (part.to(device) for part in case.batch()), strict=True))
    methods = {
        Run("gan", case.label, GAN_DEPTH, "fp32", variant.key): _method(variant, device, overrides)
        for variant in variants
        if variant.has_inverse
    }
    takes = {run: partial(phases_step, method, _optimizers(method), batch)
             for run, method in methods.items()}  # fmt: skip
    steps = {run: partial(_prepared, take) for run, take in takes.items()}

    def advance(run: Run) -> None:
        bar.advance(GAN_UNITS, text=f"RevGAN step, {run.variant}")

    interleave(steps, 1, device, advance)  # the first step makes the optimisers' states
    for run, take in takes.items():
        parameters = [p for phase in methods[run].phases.values() for p in phase.parameters()]
        for parameter in parameters:
            parameter.grad = None
        use = measure_memory(take, parameters, device)
        results.add(run, "retained_bytes", use.retained)
        results.add(run, "peak_bytes", use.peak)
        advance(run)
    times = interleave(steps, rounds, device, advance, deadline=deadline)
    results.add_times(times)
    done = len(next(iter(times.values())))
    if done < rounds:
        results.notes.append(f"RevGAN step: the budget left time for {done} of {rounds} rounds")
        bar.advance((rounds - done) * len(steps) * GAN_UNITS)


def _prepared(take: Step) -> Callable[[], None]:
    return partial(take, _nothing)


def _optimizers(method: Method) -> dict[str, torch.optim.Optimizer]:
    return {
        name: build_optimizer(phase.optimizer, phase.groups())
        for name, phase in method.phases.items()
    }


def gan_work(variants: int, rounds: int) -> float:
    """Estimated work of `measure_gan` in the unit of `Group.work`."""
    return 0.7 * variants * (2 + rounds)


def phases_step(
    method: Method,
    optimizers: dict[str, torch.optim.Optimizer],
    batch: dict[str, Tensor],
    mark: Callable[[], None],
) -> None:
    """Update every phase once; ``mark`` is called between forward and backward of the first."""
    cache = Cache()
    for number, (name, phase) in enumerate(method.phases.items()):
        optimizers[name].zero_grad(set_to_none=True)
        loss, _ = phase(batch, cache)
        if number == 0:
            mark()
        loss.backward()
        optimizers[name].step()


def _method(variant: Variant, device: torch.device, overrides: Sequence[str]) -> Method:
    pipeline = load_pipeline(PIPELINE, list(overrides))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        translator = build_translator(
            pipeline.model,
            in_channels=len(COMPONENTS),
            out_channels=len(COMPONENTS),
            scale_factor=pipeline.data.grid_factor,
        )
        method = build_method(pipeline, variant.of(translator))  # type: ignore[arg-type]
    if variant.stock:
        judges = method.phases["discriminator"].discriminators
        assert isinstance(judges, nn.ModuleDict)
        for domain, judge in list(judges.items()):
            judges[domain] = stock_twin(judge, 3)
    return method.to(device).train()


def _nothing() -> None:
    pass
