"""Time one training step of the reversible 3D network against the same step on stock modules.

Prints, for each depth, the median of interleaved rounds and the ratio to the plain step (ordinary
autograd through the same blocks, PyTorch's stock kernels)::

    python scripts/benchmark_step.py --depth 8 --size 24

Only the ratios mean anything on a shared machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from medrev.nets import RevGAN
from medrev.reversible import stock_operations


def plain_forward(net: RevGAN, x: Tensor) -> Tensor:
    """Run the forward direction with every block under ordinary autograd."""
    h = net.lift_x(x)
    streams = h.split([net.core.split, h.shape[1] - net.core.split], dim=1)
    for block in net.core.blocks:
        streams = block(*streams)
    return net.project_y(torch.cat(streams, dim=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, nargs="+", default=[8], help="reversible blocks")
    parser.add_argument("--size", type=int, default=24, help="edge of the patch in voxels")
    parser.add_argument("--width", type=int, default=32, help="channels of the core")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, patch {options.size}³, batch 1")
    print("| R | plain stock ms | plain fast | reversible stock | reversible fast |")
    print("|---|---|---|---|---|")
    for depth in options.depth:
        net = RevGAN(
            spatial_dims=3, in_channels=6, out_channels=6, width=options.width, depth=depth
        )
        x = torch.randn(1, 6, *[options.size] * 3)
        medians = measure(net, x, options.rounds)
        plain = medians.pop(0)
        ratios = " | ".join(f"{m / plain:.2f}" for m in medians)
        print(f"| {depth} | {1e3 * plain:.1f} | {ratios} |", flush=True)


def measure(net: RevGAN, x: Tensor, rounds: int) -> list[float]:
    """Median seconds of a step: plain stock, plain fast, reversible stock, reversible fast."""

    def step(forward: Callable[[Tensor], Tensor], stock: bool) -> float:
        net.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with stock_operations() if stock else nullcontext():
            forward(x).abs().mean().backward()
        return time.perf_counter() - start

    variants = [
        (lambda x: plain_forward(net, x), True),
        (lambda x: plain_forward(net, x), False),
        (net, True),
        (net, False),
    ]
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(rounds + 1):
        for record, variant in zip(times, variants, strict=True):
            record.append(step(*variant))
    return [statistics.median(record[1:]) for record in times]  # the first round warms up


if __name__ == "__main__":
    main()
