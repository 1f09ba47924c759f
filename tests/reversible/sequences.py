"""Small sequences, and the same blocks under ordinary autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from medrev.reversible import (
    AdditiveCoupling,
    AffineCoupling,
    Conv,
    Coupling,
    InstanceNorm,
    ReversibleSequence,
    SwappedAdditiveCoupling,
)

COUPLINGS: dict[str, type[Coupling]] = {
    "additive": AdditiveCoupling,
    "affine": AffineCoupling,
    "swapped": SwappedAdditiveCoupling,
}


def subnetwork(
    dims: int, inputs: int, outputs: int, *, extra: nn.Module | None = None
) -> nn.Module:
    """Two convolutions with a smooth nonlinearity, small enough to keep float32 inverses exact."""
    return nn.Sequential(
        Conv(dims, inputs, 5, 3, padding_mode="reflect"),
        extra or InstanceNorm(5),
        nn.SiLU(),
        Conv(dims, 5, outputs, 3),
    )


def block(
    coupling: str, net: Callable[[int, int], nn.Module], channels: tuple[int, int]
) -> Coupling:
    """A coupling of two streams with these channels; half of one changes the first alone."""
    c1, c2 = channels
    if coupling == "half":
        return AdditiveCoupling(net(c2, c1))
    if coupling == "swapped":
        return SwappedAdditiveCoupling(net(c1, c2), net(c2, c1))
    factor = 2 if coupling == "affine" else 1
    return COUPLINGS[coupling](net(c2, factor * c1), net(c1, factor * c2))


def sequence(
    depth: int = 3,
    dims: int = 2,
    coupling: str = "additive",
    channels: tuple[int, int] = (3, 3),
    *,
    extra: nn.Module | None = None,
    **options: Any,
) -> ReversibleSequence:
    """A sequence of equal couplings; exchanged streams have their channels in turn."""
    blocks = []
    for _ in range(depth):
        blocks.append(block(coupling, lambda i, o: subnetwork(dims, i, o, extra=extra), channels))
        if coupling == "swapped":
            channels = channels[::-1]
    first = channels[1] if coupling == "swapped" and depth % 2 else channels[0]
    return ReversibleSequence(blocks, split=first, **options)


def plain(seq: ReversibleSequence, x: Tensor, *, inverse: bool = False) -> Tensor:
    """Run the same blocks under ordinary autograd."""
    first = seq.split
    if inverse and sum(b.swaps for b in seq.blocks) % 2:
        first = x.shape[1] - first
    x1, x2 = x.split([first, x.shape[1] - first], dim=1)
    for b in reversed(seq.blocks) if inverse else seq.blocks:
        x1, x2 = b.inverse(x1, x2) if inverse else b(x1, x2)
    return torch.cat([x1, x2], dim=1)


def gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Gradients of a loss in which every output counts differently."""
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)
    return list(torch.autograd.grad((output * weights).sum() + (output**2).sum(), inputs))


def assert_equal_gradients(
    actual: list[Tensor], expected: list[Tensor], tol: float = 1e-12
) -> None:
    """Compare by norm."""
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).norm() <= tol * max(1.0, e.norm().item())
