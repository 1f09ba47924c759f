"""The ways to run a sequence of additive coupling blocks, as interchangeable cores.

Each core is built from the same sub-networks: pairs (f, g) of y₁ = x₁ + f(x₂), y₂ = x₂ + g(y₁). It
maps a tensor (B, C, *spatial), split in halves along its channels, to one of the same shape.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medrev.reversible import AdditiveCoupling, ReversibleSequence

__all__ = [
    "CheckpointedCore",
    "FreiaCore",
    "MemcnnCore",
    "PlainCore",
    "RevtorchCore",
    "SqrtCheckpointedCore",
    "SubNets",
    "exact_core",
]

#: Sub-networks (f, g) of the blocks in order.
SubNets = Sequence[tuple[nn.Module, nn.Module]]


class PlainCore(nn.Module):
    """Every block under ordinary autograd.

    Args:
        nets: Sub-networks of the blocks.
        random: Whether the sub-networks draw random numbers.
    """

    def __init__(self, nets: SubNets, *, random: bool = False) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.ModuleList(pair) for pair in nets)
        self.random = random

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks from first to last."""
        x1, x2 = x.chunk(2, dim=1)
        for f, g in self._pairs():
            x1 = x1 + f(x2)
            x2 = x2 + g(x1)
        return torch.cat([x1, x2], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Undo the blocks from last to first."""
        y1, y2 = y.chunk(2, dim=1)
        for f, g in reversed(self._pairs()):
            y2 = y2 - g(y1)
            y1 = y1 - f(y2)
        return torch.cat([y1, y2], dim=1)

    def _pairs(self) -> list[Any]:
        return list(self.nets)


class CheckpointedCore(PlainCore):
    """``torch.utils.checkpoint`` around every ``segment`` blocks (forward only)."""

    def segment(self) -> int:
        """Blocks per checkpoint."""
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks from first to last."""
        x1, x2 = x.chunk(2, dim=1)
        pairs, step = self._pairs(), self.segment()
        for start in range(0, len(pairs), step):
            x1, x2 = checkpoint(
                _run, pairs[start : start + step], x1, x2, use_reentrant=False,
                preserve_rng_state=self.random,
            )  # fmt: skip
        return torch.cat([x1, x2], dim=1)


class SqrtCheckpointedCore(CheckpointedCore):
    """Checkpoints around every √R of the R blocks (arXiv:1604.06174)."""

    def segment(self) -> int:
        """Blocks per checkpoint."""
        return max(1, round(math.sqrt(len(self.nets))))


def _run(pairs: list[Any], x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    for f, g in pairs:
        x1 = x1 + f(x2)
        x2 = x2 + g(x1)
    return x1, x2


def exact_core(nets: SubNets, *, random: bool = False) -> nn.Module:
    """Build `medrev.reversible.ReversibleSequence` with the bit-exact inverse."""
    options: dict[str, Any] = {"exact": True}
    return ReversibleSequence([AdditiveCoupling(f, g) for f, g in nets], **options)


class MemcnnCore(nn.Module):
    """memcnn's ``InvertibleModuleWrapper`` around its ``AdditiveCoupling``, one per block.

    The block that is run first keeps its input: memcnn frees inputs, and the layer before the core
    has saved that one for its own backward, which then fails.
    """

    def __init__(self, nets: SubNets, *, random: bool = False, keep_input: bool = True) -> None:
        import memcnn

        super().__init__()
        self.nets, self.random = nets, random
        last = len(nets) - 1
        self.blocks = nn.ModuleList(
            memcnn.InvertibleModuleWrapper(
                memcnn.AdditiveCoupling(f, g),
                keep_input=keep_input and i == 0,
                keep_input_inverse=keep_input and i == last,
                preserve_rng_state=random,
            )
            for i, (f, g) in enumerate(nets)
        )

    def as_shipped(self) -> "MemcnnCore":
        """The same with memcnn's defaults."""
        return MemcnnCore(self.nets, random=self.random, keep_input=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks from first to last."""
        for block in self.blocks:
            x = block(x)
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """Undo the blocks from last to first."""
        for block in reversed(list(self.blocks)):
            y = block.inverse(y)  # type: ignore[operator]
        return y


class RevtorchCore(nn.Module):
    """revtorch's ``ReversibleSequence``; it has no inverse."""

    def __init__(self, nets: SubNets, *, random: bool = False) -> None:
        import revtorch

        super().__init__()
        blocks = [revtorch.ReversibleBlock(f, g, fix_random_seed=random) for f, g in nets]
        self.sequence = revtorch.ReversibleSequence(nn.ModuleList(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks from first to last."""
        y: Tensor = self.sequence(x)
        return y


class FreiaCore(nn.Module):
    """FrEIA's ``SequenceINN`` of ``NICECouplingBlock``; it saves no memory."""

    def __init__(self, nets: SubNets, *, random: bool = False) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.ModuleList(pair) for pair in nets)
        self.sequence: nn.Module | None = None

    def forward(self, x: Tensor, rev: bool = False) -> Tensor:
        """Run the blocks from first to last, or from last to first if ``rev``."""
        if self.sequence is None:
            self.sequence = self._build(tuple(x.shape[1:]))
        y: Tensor = self.sequence(x, rev=rev, jac=False)[0]
        return y

    def inverse(self, y: Tensor) -> Tensor:
        """Undo the blocks from last to first."""
        return self(y, rev=True)

    def _build(self, dims: tuple[int, ...]) -> nn.Module:
        from FrEIA.framework import SequenceINN
        from FrEIA.modules import NICECouplingBlock

        sequence = SequenceINN(*dims)
        for f, g in self.nets:  # type: ignore[misc]
            waiting = iter((f, g))
            sequence.append(
                NICECouplingBlock, subnet_constructor=lambda i, o, waiting=waiting: next(waiting)
            )
        return sequence
