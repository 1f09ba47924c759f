"""Time layers against others that do the same.

Prints the median of interleaved rounds of a convolution, and the fixed invertible layers' ratios to
it: the transform, its inverse, and the transform with its gradient. Then the same for a step of
`Conv` and of `InstanceNorm` and PyTorch's stock operations::

    python scripts/benchmark_layers.py --rounds 41
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python scripts/benchmark_layers.py

Haar is compared with the strided grouped convolution that other libraries use, the checkerboard
with the same convolution with unit kernels, the mixing with a 1×1 convolution. Only the ratios mean
anything on a shared machine; with `--threads 1` on a CPU they are of the processor's time.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from reversible_benchmark.timing import interleave
from torch import Tensor, nn

from medrev.reversible import (
    Checkerboard,
    Conv,
    Haar,
    InstanceNorm,
    OrthogonalMixing,
    stock_operations,
)

SHAPES = (
    (1, 16, 48, 48, 48),
    (1, 32, 24, 24, 24),
    (1, 16, 256, 256),
    (8, 32, 32, 32),
    (2, 16, 4096),
)
#: Layers for which there are two ways, and what they are given.
TWO_WAYS: tuple[tuple[nn.Module, tuple[int, ...]], ...] = (
    (Conv(3, 16, 16, 3, padding_mode="reflect"), (1, 16, 24, 24, 24)),
    (Conv(3, 16, 16, 3, padding_mode="reflect"), (1, 16, 48, 48, 48)),
    (Conv(3, 16, 16, 3, padding_mode="reflect"), (4, 16, 24, 24, 24)),
    (Conv(3, 64, 64, 3, padding_mode="reflect"), (1, 64, 12, 12, 12)),
    (Conv(3, 16, 16, 7, padding_mode="reflect"), (1, 16, 24, 24, 24)),
    (Conv(3, 16, 16, 3), (1, 16, 24, 24, 24)),
    (InstanceNorm(16), (1, 16, 24, 24, 24)),
    (InstanceNorm(16), (1, 16, 48, 48, 48)),
    (InstanceNorm(64), (1, 64, 64, 64)),
    (InstanceNorm(32), (1, 32, 256, 256)),
)
CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
Map = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="interleaved rounds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, float32")
    print("| layer | shape | convolution ms: there, back, gradient | layer / convolution |")
    print("|---|---|---|---|")
    for shape in SHAPES:
        x = torch.randn(shape, device=options.device)
        for name, layer, there, back in pairs(x):
            mine = (layer, layer.inverse)
            ours, theirs = measure(mine, (there, back), x, options.rounds)
            ms = ", ".join(f"{1e3 * t:.3f}" for t in theirs)
            ratios = ", ".join(f"{a / b:.2f}" for a, b in zip(ours, theirs, strict=True))
            print(f"| {name} | {'x'.join(map(str, shape))} | {ms} | {ratios} |", flush=True)
    print("\n| layer | shape | stock ms: forward and gradients | layer / stock |")
    print("|---|---|---|---|")
    for module, shape in TWO_WAYS:
        device = torch.device(options.device)
        mine, stock = two_ways(module.to(device), shape, options.rounds, device)
        size = "x".join(map(str, shape))
        print(f"| {module} | {size} | {1e3 * stock:.3f} | {mine / stock:.2f} |", flush=True)


def pairs(x: Tensor) -> list[tuple[str, nn.Module, Map, Map]]:
    """Each layer with the convolution and the transposed convolution that do the same."""
    dims, channels = x.dim() - 2, x.shape[1]
    convolve, transpose = CONVOLVE[dims], TRANSPOSE[dims]
    haar, board = Haar(dims), Checkerboard(dims)
    mixing = OrthogonalMixing(channels, seed=0).to(x.device)
    unit = torch.eye(2**dims, device=x.device).reshape(2**dims, 1, *[2] * dims)  # one per position
    kernel = haar(unit).reshape(unit.shape).repeat(channels, *[1] * (dims + 1))
    picks = unit.repeat(channels, *[1] * (dims + 1))
    pointwise = mixing.weight.reshape(channels, channels, *[1] * dims)

    def strided(weight: Tensor) -> tuple[Map, Map]:
        return (
            lambda t: convolve(t, weight, stride=2, groups=channels),
            lambda t: transpose(t, weight, stride=2, groups=channels),
        )

    torch.testing.assert_close(strided(kernel)[0](x), haar(x), rtol=0, atol=1e-4)
    torch.testing.assert_close(convolve(x, pointwise), mixing(x), rtol=0, atol=1e-4)
    return [
        ("Haar", haar, *strided(kernel)),
        ("Checkerboard", board, *strided(picks)),
        (
            "OrthogonalMixing",
            mixing,
            lambda t: convolve(t, pointwise),
            lambda t: transpose(t, pointwise),
        ),
    ]


def measure(
    ours: tuple[Map, Map], theirs: tuple[Map, Map], x: Tensor, rounds: int
) -> tuple[list[float], list[float]]:
    """Median seconds of (there, back, there with gradient) of the layer and of the convolution."""
    y, tracked = ours[0](x), x.clone().requires_grad_()

    def gradient(function: Map) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(tracked), tracked, y)

    runs: list[Callable[[], object]] = []
    for there, back in (ours, theirs):
        runs += [partial(there, x), partial(back, y), gradient(there)]
    medians = interleaved(runs, rounds, x.device)
    return medians[:3], medians[3:]


def two_ways(
    layer: nn.Module, shape: tuple[int, ...], rounds: int, device: torch.device
) -> list[float]:
    """Median seconds of a layer, forward and all gradients: as it is, and by stock operations."""
    x = torch.randn(shape, device=device, requires_grad=True)
    gradient, wanted = torch.randn_like(layer(x)), [x, *layer.parameters()]

    def step() -> None:
        torch.autograd.grad(layer(x), wanted, gradient)

    def stock() -> None:
        with stock_operations():
            step()

    return interleaved([step, stock], rounds, device)


def interleaved(
    runs: Sequence[Callable[[], object]], rounds: int, device: torch.device
) -> list[float]:
    """Median seconds of each."""
    times = interleave({n: partial(partial, run) for n, run in enumerate(runs)}, rounds, device)
    return [statistics.median(record) for record in times.values()]


if __name__ == "__main__":
    main()
