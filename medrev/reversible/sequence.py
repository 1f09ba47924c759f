"""A sequence of reversible blocks whose training memory does not grow with its depth.

The two streams travel as two tensors from the first block to the last, inside one autograd
function. Forward keeps only the output. Backward walks the blocks from the end: it evaluates each
sub-network once, uses that evaluation both to rebuild the block's input and to find the gradients,
and moves on. That is one re-evaluation per sub-network (4/3 of the plain work), where rebuilding by
``inverse`` and then re-running ``forward`` takes two.

References:
    Gomez et al., *The Reversible Residual Network* (arXiv:1707.04585), Algorithm 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medrev.reversible.coupling import Coupling
from medrev.reversible.replay import AutocastState, Record, evaluate

__all__ = ["ReversibleSequence"]

Pair = tuple[Tensor, Tensor]


class ReversibleSequence(nn.Module):
    """Blocks run one after another, with an exact way back and memory independent of their number.

    ``sequence(x)`` and ``sequence.inverse(y)`` take one tensor (B, C, *spatial), which is split
    along the channels without a copy, or a pair of tensors, and return the same form. The pair form
    avoids the concatenation at the end.

    Right under autocast (the streams stay float32 there), dropout, forward hooks and
    parametrisations of the sub-networks, batch-norm (statistics updated once), frozen parameters,
    inputs without gradient, ``torch.autograd.grad``, DistributedDataParallel, and several uses in
    one graph, for example a cycle. Forward hooks of sub-networks run at both evaluations. Second
    derivatives raise an error. The block's input is rebuilt to rounding error, not bit for bit.

    Args:
        blocks: Couplings, for example `AdditiveCoupling`. Each sub-network must be a function of
            its input, its parameters, its buffers and PyTorch's random state only.
        split: Channels of the first stream when one tensor is given; None means half of them.

    Raises:
        ValueError: On use, if the channels are odd and ``split`` is None, or if a sub-network
            changes the shape or type of a stream, or modifies its input in place. The message names
            the block.

    Example:
        >>> from medrev.reversible import AdditiveCoupling
        >>> def net():
        ...     return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        >>> sequence = ReversibleSequence([AdditiveCoupling(net(), net()) for _ in range(5)])
        >>> x = torch.randn(2, 8, 16, 16)
        >>> torch.allclose(sequence.inverse(sequence(x)), x, atol=1e-5)
        True
    """

    def __init__(self, blocks: Iterable[Coupling], *, split: int | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.split = split

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: Pair) -> Pair: ...
    def __call__(self, x: Tensor | Pair) -> Tensor | Pair:
        """Run the blocks; see the class."""
        result: Tensor | Pair = super().__call__(x)
        return result

    def forward(self, x: Tensor | Pair) -> Tensor | Pair:
        """Run the blocks from first to last on a tensor or a pair; the same form comes back."""
        return self._run(x, inverse=False)

    @overload
    def inverse(self, y: Tensor) -> Tensor: ...
    @overload
    def inverse(self, y: Pair) -> Pair: ...
    def inverse(self, y: Tensor | Pair) -> Tensor | Pair:
        """Undo the blocks from last to first on a tensor or a pair; the same form comes back."""
        return self._run(y, inverse=True)

    def _run(self, x: Tensor | Pair, *, inverse: bool) -> Tensor | Pair:
        if not self.blocks:
            return x
        if isinstance(x, Tensor):
            first = self._first_channels(x)
            return torch.cat(self._run_pair(x[:, :first], x[:, first:], inverse), dim=1)
        return self._run_pair(*x, inverse)

    def _first_channels(self, x: Tensor) -> int:
        channels = x.shape[1]
        if self.split is None and channels % 2:
            raise ValueError(
                f"a tensor must have an even number of channels, got {channels}; "
                "give ReversibleSequence(..., split=N) or a pair of tensors"
            )
        return channels // 2 if self.split is None else self.split

    def _run_pair(self, x1: Tensor, x2: Tensor, inverse: bool) -> Pair:
        autocast = AutocastState.capture(x1.device)
        if autocast.is_enabled():  # sums of many bfloat16 terms could not be undone
            x1, x2 = x1.float(), x2.float()
        steps = _steps(self.blocks, inverse)
        parameters = [p for p in self.parameters() if p.requires_grad]
        tracked = x1.requires_grad or x2.requires_grad or bool(parameters)
        if not (torch.is_grad_enabled() and tracked):
            streams = [x1, x2]
            for step in steps:
                source = streams[1 - step.target]
                version = _version(source)
                h = step.net(source)
                step.check_untouched(source, version)
                streams[step.target] = step.apply(streams[step.target], h)
            return streams[0], streams[1]
        y1, y2 = _ReversibleFunction.apply(steps, autocast, x1, x2, *parameters)
        return y1, y2


@dataclass(frozen=True, slots=True)
class _Step:
    """One half of a block: ``net`` reads stream ``1 − target`` and changes stream ``target``."""

    label: str
    block: Coupling
    net: nn.Module
    target: int
    inverse: bool

    def apply(self, stream: Tensor, h: Tensor) -> Tensor:
        """Change the stream in the direction of the run."""
        return self._guarded(stream, h, undo=self.inverse)

    def undo(self, stream: Tensor, h: Tensor) -> Tensor:
        """Give the stream before `apply`."""
        return self._guarded(stream, h, undo=not self.inverse)

    def _guarded(self, stream: Tensor, h: Tensor, *, undo: bool) -> Tensor:
        try:
            result = self.block.unmerge(stream, h) if undo else self.block.merge(stream, h)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from None
        if result.dtype != stream.dtype:
            raise ValueError(
                f"{self.label}: its output must not change the type of the stream, "
                f"{stream.dtype}, got {h.dtype}"
            )
        return result

    def check_untouched(self, source: Tensor, version: int) -> None:
        """Raise if the sub-network modified its input, which is a stream, in place."""
        if _version(source) != version:
            raise ValueError(
                f"{self.label}: it must not modify its input in place; "
                "use inplace=False in its first layer"
            )


def _steps(blocks: nn.ModuleList, inverse: bool) -> list[_Step]:
    steps = [
        _Step(f"block {index}, sub-network {name}", block, net, target, inverse)
        for index, block in enumerate(cast(Iterable[Coupling], blocks))
        for name, net, target in block.half_steps()
    ]
    return steps[::-1] if inverse else steps


class _ReversibleFunction(torch.autograd.Function):
    """The whole sequence, in either direction, as one node of the graph.

    The parameters are inputs of the node and their gradients are returned, not accumulated, so
    that hooks on them, DistributedDataParallel and ``torch.autograd.grad`` see them as usual.
    """

    @staticmethod
    def forward(
        ctx: Any, steps: list[_Step], autocast: AutocastState, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        streams, parameters = list(tensors[:2]), tensors[2:]
        ctx.set_materialize_grads(False)
        ctx.steps, ctx.autocast, ctx.parameters = steps, autocast, parameters
        ctx.versions = [p._version for p in parameters]
        ctx.records = []
        with autocast.restore():
            for step in steps:
                source = streams[1 - step.target]
                version = _version(source)
                h, record = evaluate(step.net, source)
                step.check_untouched(source, version)
                streams[step.target] = step.apply(streams[step.target], h)
                ctx.records.append(record)
        ctx.save_for_backward(*streams)
        return streams[0], streams[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.versions != [p._version for p in ctx.parameters]:
            raise RuntimeError(
                "a parameter of a ReversibleSequence was modified between forward and backward; "
                "call backward before the optimiser's step"
            )
        state = _Backward(list(ctx.saved_tensors), list(grad_outputs), ctx.parameters)
        needs = _gradient_needs(ctx.steps, ctx.needs_input_grad[2:4], state.index)
        with ctx.autocast.restore():
            for step, record, need in zip(
                reversed(ctx.steps), reversed(ctx.records), reversed(needs), strict=True
            ):
                state.step_back(step, record, need)
        return None, None, *state.grads, *state.parameter_grads


def _gradient_needs(
    steps: list[_Step], inputs: tuple[bool, ...], index: dict[int, int]
) -> list[tuple[bool, bool]]:
    """Tell, before each step, which of the streams depend on anything that needs a gradient."""
    need = [bool(n) for n in inputs]
    needs = []
    for step in steps:
        needs.append((need[0], need[1]))
        trainable = any(id(p) in index for p in step.net.parameters())
        need[step.target] |= need[1 - step.target] or trainable
    return needs


class _Backward:
    """The state of the walk back: both streams, their gradients, the parameters' gradients."""

    def __init__(
        self, streams: list[Tensor], grads: list[Tensor | None], parameters: tuple[Tensor, ...]
    ) -> None:
        self.streams = streams
        self.grads = grads
        self.index = {id(p): i for i, p in enumerate(parameters)}
        self.parameter_grads: list[Tensor | None] = [None] * len(parameters)

    def step_back(self, step: _Step, record: Record, need: tuple[bool, bool]) -> None:
        """Undo one step: rebuild the stream it changed and take the gradients through it."""
        target, source = step.target, 1 - step.target
        grad = self.grads[target]
        parameters = [p for p in step.net.parameters() if id(p) in self.index]
        tracked = grad is not None and (need[source] or bool(parameters))
        a = self.streams[source].detach().requires_grad_(tracked and need[source])
        with record.restore(), torch.set_grad_enabled(tracked):
            h = step.net(a)
        changed = self.streams[target]
        self.streams[target] = step.undo(changed, h.detach())
        if grad is None:
            return
        inputs = [*([a] if need[source] else []), *parameters]
        if step.block.is_additive:
            # d(b ± h)/db is the identity, so only the sub-network's own graph is walked.
            found = _grad(h, inputs, (-grad if step.inverse else grad).to(h.dtype))
        else:
            with torch.enable_grad():
                b = self.streams[target].detach().requires_grad_()
                *found, self.grads[target] = _grad(step.apply(b, h), [*inputs, b], grad)
        if not need[target]:
            self.grads[target] = None
        if need[source]:
            self.grads[source] = _sum(self.grads[source], found.pop(0))
        for p, g in zip(parameters, found, strict=True):
            i = self.index[id(p)]
            self.parameter_grads[i] = _sum(self.parameter_grads[i], g)


def _grad(output: Tensor, inputs: list[Tensor], grad: Tensor) -> list[Tensor | None]:
    if not (inputs and output.requires_grad):
        return [None] * len(inputs)
    return list(torch.autograd.grad(output, inputs, grad, allow_unused=True))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _version(x: Tensor) -> int:
    return 0 if x.is_inference() else x._version
