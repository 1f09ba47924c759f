#!/usr/bin/env python
"""Compare a likelihood step of medrev's flows with FrEIA, normflows and zuko.

The same flow in each: conditional on nothing, so many affine couplings of both halves with two
3-convolutions, a fixed permutation of the channels in front of each, one scale. A step is the mean
negative log-likelihood and its gradients. Memory is what the allocator was asked for, less the
gradients of the weights; ratios of time are medians of those of interleaved rounds::

    pip install --no-deps FrEIA normflows zuko     # none of them is needed by medrev
    python scripts/benchmark_flow.py --size 64 --couplings 24 96

Only ratios within one run mean anything on a shared machine; processor time, which other programs
disturb least, is given beside the clock's. A library that is not installed is left out. ``plain``
is medrev's own flow with ``keep_graph``.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from reversible_benchmark.memory import MemoryUse, measure_memory
from reversible_benchmark.timing import interleave
from torch import Tensor, nn

from medrev.nets import Flow
from medrev.reversible import AffineCoupling, Permutation, ReversibleSequence

#: A likelihood: ln p(y), shape (B,).
Likelihood = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="edge of the images")
    parser.add_argument("--channels", type=int, default=12, help="an even number")
    parser.add_argument("--hidden", type=int, default=32, help="channels of the sub-networks")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--couplings", type=int, nargs="+", default=[24, 96])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    shape = options.batch, options.channels, options.size, options.size
    print(f"torch {torch.__version__}, {device}, {options.threads} threads, float32, batch {shape}")
    print(
        "| couplings | flow | kept MB | peak MB | peak / plain | seconds | seconds / plain "
        "| processor / plain |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for couplings in options.couplings:
        torch.manual_seed(0)
        y = torch.randn(shape, device=device)
        flows = {
            name: build(couplings, options.channels, options.hidden, options.size).to(device)
            for name, (package, build) in BUILDERS.items()
            if package is None or find_spec(package)
        }
        memory = {name: memory_of(flow, y, device) for name, flow in flows.items()}
        busy: dict[str, list[float]] = {name: [] for name in flows}
        steps = {name: partial(prepared, flow, y, busy[name]) for name, flow in flows.items()}
        times = interleave(steps, options.rounds, device)
        for name, use in memory.items():
            peak = use.peak_without_gradients
            print(
                f"| {couplings} | {name} | {use.retained / 1e6:.1f} | {peak / 1e6:.1f} | "
                f"{peak / memory['plain'].peak_without_gradients:.3f} | "
                f"{statistics.median(times[name]):.2f} | {ratio(times, name):.2f} | "
                f"{ratio(busy, name):.2f} |",
                flush=True,
            )


def ratio(times: dict[str, list[float]], name: str) -> float:
    """Median over the rounds of the time of one flow by the plain one's in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times["plain"], strict=True))


def step(flow: nn.Module, y: Tensor, between: Callable[[], None] = lambda: None) -> None:
    """One step of training, without the optimiser."""
    for p in flow.parameters():
        p.grad = None
    loss = -flow(y).mean() / y[0].numel()
    between()
    loss.backward()


def prepared(flow: nn.Module, y: Tensor, busy: list[float]) -> Callable[[], None]:
    """A step that notes the processor time it takes, in seconds."""

    def run() -> None:
        start = time.process_time()
        step(flow, y)
        busy.append(time.process_time() - start)

    return run


def memory_of(flow: nn.Module, y: Tensor, device: torch.device) -> MemoryUse:
    """Bytes of a step, after a first one."""
    step(flow, y)
    for p in flow.parameters():
        p.grad = None
    return measure_memory(lambda mark: step(flow, y, mark), flow.parameters(), device)


def subnetwork(hidden: int) -> Callable[[int, int], nn.Module]:
    """The sub-network of all: small at the start, so that many of them stay near the identity."""

    def build(inputs: int, outputs: int) -> nn.Module:
        first = nn.Conv2d(inputs, hidden, 3, padding=1)
        last = nn.Conv2d(hidden, outputs, 3, padding=1)
        nn.init.normal_(last.weight, 0, 1e-3)
        nn.init.zeros_(last.bias)
        return nn.Sequential(first, nn.ReLU(), last)

    return build


def normal(z: Tensor) -> Tensor:
    """Ln N(z; 0, 1) of every sample."""
    z = z.flatten(1)
    return -z.square().sum(1) / 2 - z.shape[1] / 2 * math.log(2 * math.pi)


class Medrev(nn.Module):
    """A flow of this package, as a module that gives likelihoods."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, y: Tensor) -> Tensor:
        """Give ln p(y), (B,)."""
        return self.flow.log_prob(y)


def medrev(
    couplings: int, channels: int, hidden: int, size: int, *, keep_graph: bool = False
) -> nn.Module:
    """Couplings and permutations in one sequence."""
    net, half = subnetwork(hidden), channels // 2
    blocks: list[nn.Module] = []
    for seed in range(couplings):
        f, g = net(half, channels), net(half, channels)
        blocks += [Permutation.random(channels, seed=seed), AffineCoupling(f, g)]
    sequence = ReversibleSequence(blocks, keep_graph=keep_graph)  # type: ignore[arg-type]
    return Medrev(Flow([sequence], shape=(channels, size, size)))


def plain(couplings: int, channels: int, hidden: int, size: int) -> nn.Module:
    """The same under ordinary autograd."""
    return medrev(couplings, channels, hidden, size, keep_graph=True)


class Freia(nn.Module):
    """FrEIA's GLOWCouplingBlock, which changes both halves by one sub-network each."""

    def __init__(self, couplings: int, channels: int, hidden: int, size: int) -> None:
        from FrEIA.framework import SequenceINN
        from FrEIA.modules import GLOWCouplingBlock, PermuteRandom

        super().__init__()
        self.flow = SequenceINN(channels, size, size)
        for seed in range(couplings):
            self.flow.append(PermuteRandom, seed=seed)
            self.flow.append(GLOWCouplingBlock, subnet_constructor=subnetwork(hidden), clamp=2.0)

    def forward(self, y: Tensor) -> Tensor:
        """Give ln p(y), (B,)."""
        z, log_det = self.flow(y)
        return normal(z) + log_det


class Normflows(nn.Module):
    """normflows' AffineCouplingBlock, which changes one half: two of them, and an exchange."""

    def __init__(self, couplings: int, channels: int, hidden: int, size: int) -> None:
        from normflows.flows import AffineCouplingBlock, Permute

        super().__init__()
        net, half = subnetwork(hidden), channels // 2
        self.layers = nn.ModuleList()
        for _ in range(couplings):
            self.layers.append(Permute(channels, mode="shuffle"))
            for _ in range(2):
                self.layers.append(AffineCouplingBlock(net(half, channels)))
                self.layers.append(Permute(channels, mode="swap"))

    def forward(self, y: Tensor) -> Tensor:
        """Give ln p(y), (B,)."""
        total = y.new_zeros(len(y))
        for layer in self.layers:
            y, log_det = layer.inverse(y)
            total = total + log_det
        return normal(y) + total


class Zuko(nn.Module):
    """zuko's CouplingTransform with convolutions; it works on vectors, which are images inside."""

    def __init__(self, couplings: int, channels: int, hidden: int, size: int) -> None:
        super().__init__()
        net, half = subnetwork(hidden), channels // 2
        self.shape = half, size, size
        self.nets = nn.ModuleList(net(half, channels) for _ in range(2 * couplings))
        order = torch.stack([torch.randperm(channels) for _ in range(couplings)])
        self.register_buffer("order", order)
        is_first = torch.arange(channels * size * size) < half * size * size
        self.register_buffer("masks", torch.stack([is_first, ~is_first]))

    def forward(self, y: Tensor) -> Tensor:
        """Give ln p(y), (B,)."""
        from zuko.transforms import CouplingTransform, MonotonicAffineTransform

        shape, total = y.shape, y.new_zeros(len(y))
        for i, net in enumerate(self.nets):
            if i % 2 == 0:
                y = y.reshape(shape)[:, self.order[i // 2]]

            def meta(x: Tensor, net: nn.Module = net) -> MonotonicAffineTransform:
                shift, scale = net(x.unflatten(1, self.shape)).chunk(2, 1)
                return MonotonicAffineTransform(shift.flatten(1), scale.flatten(1))

            y, log_det = CouplingTransform(meta, self.masks[i % 2]).call_and_ladj(y.flatten(1))
            total = total + (log_det if log_det.dim() == 1 else log_det.sum(1))
        return normal(y) + total


BUILDERS: dict[str, tuple[str | None, Callable[[int, int, int, int], nn.Module]]] = {
    "plain": (None, plain),
    "medrev": (None, medrev),
    "FrEIA": ("FrEIA", Freia),
    "normflows": ("normflows", Normflows),
    "zuko": ("zuko", Zuko),
}


if __name__ == "__main__":
    main()
