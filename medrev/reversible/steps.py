"""The half-steps of a sequence: one sub-network reads one stream and changes the other."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medrev.reversible.backend import autocast_is_on
from medrev.reversible.coupling import Coupling, check_shape
from medrev.reversible.grid import FixedPointGrid

__all__ = ["HalfStep", "half_steps"]


@dataclass(frozen=True, slots=True)
class HalfStep:
    """``net`` reads stream ``1 − target`` and changes stream ``target``.

    Streams are counted as they were before the first block; exchanges only rename them at the end.

    Attributes:
        label: For messages: block and sub-network.
        block: The coupling that says how.
        net: The sub-network.
        target: Index of the stream that is changed.
        swapped: Whether the blocks before it have exchanged the streams.
        inverse: The change is undone instead.
        first: First half-step of its block in the direction of the run.
        last: Last one.
        grid: Grid of exact mode, on which the sub-network's output is rounded.
    """

    label: str
    block: Coupling
    net: nn.Module
    target: int
    swapped: bool
    inverse: bool
    first: bool
    last: bool
    grid: FixedPointGrid | None

    def run(self, source: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
        """Evaluate the sub-network and make sure that it left its input alone."""
        version = version_of(source)
        h: Tensor = self.net(self._as_input(source), *condition)
        if not isinstance(h, Tensor):
            raise ValueError(f"{self.label}: it must return a tensor, got a {type(h).__name__}")
        if version_of(source) != version:
            raise ValueError(
                f"{self.label}: it must not modify its input in place; "
                "use inplace=False in its first layer"
            )
        return h

    def snapped(self, h: Tensor) -> Tensor:
        """Round a sub-network's output in exact mode; else give it as it is."""
        return h if self.grid is None else self.grid.round(h)

    def parameters(self) -> list[nn.Parameter]:
        """List the parameters of the sub-network, and what else the coupling may change it by."""
        return list((self.net if self.block.is_additive else self.block).parameters())

    def apply(self, stream: Tensor, h: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Change the stream in the direction of the run.

        Args:
            stream: The stream, (B, C, *spatial).
            h: Output of the sub-network.
            out: Where the result may be put, for example ``stream`` itself; couplings that are
                not additive return a new tensor all the same.
        """
        return self._change(stream, h, undo=self.inverse, out=out)

    def undo(self, stream: Tensor, h: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Give the stream before `apply`."""
        return self._change(stream, h, undo=not self.inverse, out=out)

    def log_det(self, before: Tensor, after: Tensor, h: Tensor) -> Tensor:
        """Return log |det| of `apply`, shape (B,), given the stream before and after it."""
        value = self.block.merge_log_det(after if self.inverse else before, h)
        return -value if self.inverse else value

    def _change(self, stream: Tensor, h: Tensor, *, undo: bool, out: Tensor | None) -> Tensor:
        try:
            if out is not None and self.block.is_additive:
                check_shape(stream, h, 1)
                self._check_type(torch.promote_types(stream.dtype, h.dtype), stream, h)
                return torch.sub(stream, h, out=out) if undo else torch.add(stream, h, out=out)
            result = self.block.unmerge(stream, h) if undo else self.block.merge(stream, h)
            self._check_type(result.dtype, stream, h)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from None
        return result

    def _as_input(self, source: Tensor) -> Tensor:
        """Exact mode keeps float32 streams for sub-networks of half precision too."""
        if self.grid is None or autocast_is_on(source.device):
            return source
        weight = next((p for p in self.net.parameters() if p.is_floating_point()), None)
        return source if weight is None else source.to(weight.dtype)

    def _check_type(self, result: torch.dtype, stream: Tensor, h: Tensor) -> None:
        if result != stream.dtype:
            raise ValueError(
                f"its output must not change the type of the stream, {stream.dtype}, got {h.dtype}"
            )


def half_steps(
    blocks: Iterable[Coupling], *, inverse: bool, grid: FixedPointGrid | None
) -> tuple[list[HalfStep], bool]:
    """List the half-steps of a run, and say whether the blocks exchange the streams in all.

    Raises:
        ValueError: In exact mode, for a coupling that is not additive.
    """
    steps: list[HalfStep] = []
    swapped = False
    for index, block in enumerate(blocks):
        if grid is not None and not block.is_additive:
            raise ValueError(
                f"block {index}: exact mode needs additive couplings, got {type(block).__name__}"
            )
        halves = block.half_steps()
        for i, (name, net, target) in enumerate(halves):
            ends = i == 0, i == len(halves) - 1
            first, last = ends[::-1] if inverse else ends
            label = f"block {index}, sub-network {name}"
            steps.append(
                HalfStep(label, block, net, target ^ swapped, swapped, inverse, first, last, grid)
            )
        swapped ^= block.swaps
    return (steps[::-1] if inverse else steps), swapped


def version_of(x: Tensor) -> int:
    """Count the in-place changes of a tensor (0 where PyTorch does not count)."""
    if torch.compiler.is_compiling() or x.is_inference():
        return 0
    return x._version
