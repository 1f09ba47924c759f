"""Time and memory of a training step of the trial network."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from medrev.nets import RevGAN
from medrev.progress import Bar
from reversible_benchmark.memory import Step, measure_memory
from reversible_benchmark.results import Results, Run
from reversible_benchmark.timing import Budget, interleave
from reversible_benchmark.trial import Case, trial_network
from reversible_benchmark.variants import Variant

__all__ = ["DTYPES", "Group", "autocast", "measure_group"]

DTYPES = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Steps that are measured side by side, at one size.

    Attributes:
        case: The size.
        members: What is compared: variants, each with a type of `DTYPES`; with ``"bf16"`` the step
            runs under autocast.
        rounds: Timed rounds at most; 0: memory only.
    """

    case: Case
    members: tuple[tuple[Variant, str], ...]
    rounds: int

    @property
    def steps(self) -> int:
        """Number of steps with all rounds, the one that measures memory included."""
        return len(self.members) * (1 + self.rounds)

    @property
    def step_work(self) -> float:
        """Estimated work of one step, in a unit of its own."""
        # Stock 3D convolutions of small patches are slow: a 24³ step is as long as a 48³ one.
        dims = len(self.case.patch)
        voxels = max(self.case.voxels, 80_000) if dims == 3 else 0.4 * self.case.voxels
        return (self.case.depth + 1) * voxels / 1e6

    @property
    def units(self) -> int:
        """A step's share of a progress bar: proportional to its work, so the time left is right."""
        return max(1, round(10 * self.step_work))

    @property
    def work(self) -> float:
        """Estimated work of all steps."""
        return self.steps * self.step_work


def measure_group(
    group: Group, results: Results, budget: Budget, device: torch.device, bar: Bar
) -> None:
    """Measure memory once, then the time in interleaved rounds, as many as the budget allows.

    A note says where rounds were dropped. Every group gets at least one round.
    """
    deadline = time.monotonic() + budget.share(group.work)
    net = trial_network(group.case).to(device).train()
    batch = tuple(part.to(device) for part in group.case.batch())
    steps = dict(_steps(group, net, batch, device))
    parameters = list(net.parameters())
    for run, step in steps.items():
        net.zero_grad(set_to_none=True)
        use = measure_memory(step, parameters, device)
        results.add(run, "retained_bytes", use.retained)
        results.add(run, "peak_bytes", use.peak)
        results.add(run, "peak_without_gradients_bytes", use.peak_without_gradients)
        bar.advance(group.units, text=f"{group.case.label} R={group.case.depth} {run.variant}")

    def prepared(step: Step) -> Callable[[], None]:
        net.zero_grad(set_to_none=True)
        return lambda: step(_nothing)

    def advance(run: Run) -> None:
        bar.advance(group.units, text=f"{run.patch} R={run.depth} {run.dtype} {run.variant}")

    if not group.rounds:
        return
    times = interleave(
        {run: partial(prepared, step) for run, step in steps.items()},
        group.rounds,
        device,
        advance,
        deadline=deadline,
    )
    results.add_times(times)
    rounds = len(next(iter(times.values())))
    if rounds < group.rounds:
        results.notes.append(
            f"{group.case.label}, R = {group.case.depth}: the budget left time for {rounds} of "
            f"{group.rounds} rounds"
        )
        bar.advance((group.rounds - rounds) * len(steps) * group.units)


def autocast(dtype: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 for ``"bf16"``, nothing for others."""
    if dtype == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _steps(
    group: Group, net: RevGAN, batch: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[Run, Step]]:
    x, target = batch
    for variant, dtype in group.members:
        run = Run("trial", group.case.label, group.case.depth, dtype, variant.key)
        yield (
            run,
            partial(_step, variant=variant, net=variant.of(net), x=x, target=target, dtype=dtype),
        )


def _step(
    mark: Callable[[], None],
    *,
    variant: Variant,
    net: RevGAN,
    x: Tensor,
    target: Tensor,
    dtype: str,
) -> None:
    with autocast(dtype, x.device):
        y = net(x)
    loss = (y.float() - target).abs().mean()
    del y
    mark()
    with autocast(dtype if variant.autocast_backward else "fp32", x.device):
        loss.backward()  # type: ignore[no-untyped-call]


def _nothing() -> None:
    pass
