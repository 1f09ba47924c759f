"""The steps of a sequence, of which each changes one stream, or both.

A half-step of a coupling lets one sub-network read one stream and change the other. A layer's step
takes both streams as one tensor.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

import torch
from torch import Tensor, nn

from medrev.reversible.backend import autocast_is_on
from medrev.reversible.coupling import Coupling, check_shape, run_net
from medrev.reversible.grid import FixedPointGrid
from medrev.reversible.layer import InvertibleLayer, OrthogonalLayer, VolumePreserving

Block = Coupling | InvertibleLayer


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
        h = run_net(self.net, self._as_input(source), condition, inverse=self.inverse)
        if not isinstance(h, Tensor):
            raise ValueError(f"{self.label}: it must return a tensor, got a {type(h).__name__}")
        if version_of(source) != version:
            raise ValueError(
                f"{self.label}: it must not modify its input in place; "
                "use inplace=False in its first layer"
            )
        return h

    def read(self, condition: tuple[Tensor, ...]) -> Tensor:
        """Evaluate the head of the block."""
        assert self.block.head is not None
        made: Tensor = self.block.head(*condition)
        if not isinstance(made, Tensor):
            raise ValueError(
                f"{self.label}: the head must return a tensor, got a {type(made).__name__}"
            )
        return made

    def snapped(self, h: Tensor) -> Tensor:
        """Round a sub-network's output in exact mode; else give it as it is."""
        return h if self.grid is None else self.grid.round(h)

    def parameters(self) -> list[nn.Parameter]:
        """List the parameters of the sub-network, and what else the coupling may change it by."""
        if not self.is_additive:
            return list(self.block.parameters())
        head = () if self.block.head is None else self.block.head.parameters()
        return [*self.net.parameters(), *head]

    @property
    def is_additive(self) -> bool:
        """Whether the change is a sum."""
        return self.block.is_additive

    @property
    def module(self) -> nn.Module:
        """The sub-network."""
        return self.net

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

    def apply_with_log_det(self, stream: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Change the stream, and give log |det| of that too, shape (B,)."""
        if self.inverse:
            changed = self.apply(stream, h)
            return changed, -self.block.merge_log_det(changed, h)
        try:
            changed, log_det = self.block.merge_with_log_det(stream, h)
            self._check_type(changed.dtype, stream, h)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from None
        return changed, log_det

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


@dataclass(frozen=True, slots=True)
class LayerStep:
    """A layer changes both streams, as the one tensor of their channels.

    Attributes:
        label: For messages: block and layer.
        layer: The layer.
        swapped: Whether the blocks before it have exchanged the streams.
        inverse: The layer is undone instead.
        grid: Grid of exact mode.
    """

    label: str
    layer: InvertibleLayer
    swapped: bool
    inverse: bool
    grid: FixedPointGrid | None

    #: It is not a sum.
    is_additive = False
    #: Index of a stream that it changes: one of both.
    target = 0

    @property
    def module(self) -> nn.Module:
        """The layer."""
        return self.layer

    @property
    def keeps_volume(self) -> bool:
        """Whether log |det| is zero."""
        return isinstance(self.layer, VolumePreserving)

    @property
    def is_orthogonal(self) -> bool:
        """Whether undoing it is the same as transposing it."""
        return isinstance(self.layer, OrthogonalLayer)

    def parameters(self) -> list[nn.Parameter]:
        """List the parameters of the layer."""
        return list(self.layer.parameters())

    def apply(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Change both streams in the direction of the run."""
        return self._change(streams, undo=self.inverse)

    def undo(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Give both streams before `apply`."""
        return self._change(streams, undo=not self.inverse)

    def log_det(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
        """Return log |det| of `apply`, shape (B,), given the streams before and after it."""
        value = self.layer.log_det(self._joined(after if self.inverse else before))
        return -value if self.inverse else value

    def _change(self, streams: Sequence[Tensor], *, undo: bool) -> list[Tensor]:
        x = self._joined(streams)
        try:
            y: Tensor = self.layer.inverse(x) if undo else self.layer(x)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from None
        if y.shape != x.shape or y.dtype != x.dtype:
            raise ValueError(
                f"{self.label}: it must keep shape and type, {tuple(x.shape)} {x.dtype}, got "
                f"{tuple(y.shape)} {y.dtype}"
            )
        given = streams[::-1] if self.swapped else streams
        parts = [part.contiguous() for part in y.split([s.shape[1] for s in given], 1)]
        return parts[::-1] if self.swapped else parts

    def _joined(self, streams: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(streams[::-1] if self.swapped else streams), 1)


Step = HalfStep | LayerStep


def is_block(module: nn.Module) -> TypeGuard[Block]:
    """Say whether a module may be a block: a coupling, or a layer that keeps the shape.

    Names are asked for, not classes, so that a compiled or wrapped block is one too.
    """
    return _is_coupling(module) or bool(getattr(module, "keeps_shape", False))


def _is_coupling(module: nn.Module) -> TypeGuard[Coupling]:
    return hasattr(module, "half_steps")


def steps_of(
    blocks: Iterable[Block], *, inverse: bool, grid: FixedPointGrid | None
) -> tuple[list[Step], bool]:
    """List the steps of a run, and say whether the blocks exchange the streams in all.

    Raises:
        ValueError: In exact mode, for a block that loses bits.
    """
    steps: list[Step] = []
    swapped = False
    for index, block in enumerate(blocks):
        if grid is not None and not (
            block.is_additive if _is_coupling(block) else block.moves_only
        ):
            raise ValueError(
                f"block {index}: exact mode needs additive couplings, got {type(block).__name__}; "
                "only a Permutation may stand between them"
            )
        if not _is_coupling(block):
            label = f"block {index}, {type(block).__name__}"
            steps.append(LayerStep(label, cast(InvertibleLayer, block), swapped, inverse, grid))
            continue
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
