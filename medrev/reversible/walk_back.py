"""The walk back through a run: inputs rebuilt, gradients found, nothing kept.

Each sub-network is evaluated once more; that evaluation serves both to rebuild the stream that it
changed and to find the gradients. That is one re-evaluation per sub-network (4/3 of the plain
work), where rebuilding by ``inverse`` and then re-running ``forward`` takes two.

References:
    Gomez et al., *The Reversible Residual Network* (arXiv:1707.04585), Algorithm 1.
"""

import torch
from torch import Tensor

from medrev.reversible.replay import Record
from medrev.reversible.sharding import is_sharded
from medrev.reversible.steps import HalfStep
from medrev.reversible.walk import Run

__all__ = ["WalkBack"]


class WalkBack:
    """Both streams on their way back, with the gradients gathered so far."""

    def __init__(
        self,
        run: Run,
        streams: list[Tensor],
        grads: list[Tensor | None],
        *,
        condition: tuple[Tensor, ...],
        condition_needed: list[bool],
        parameters: tuple[Tensor, ...],
        grad_log_det: Tensor | None,
    ) -> None:
        self.run = run
        self.streams = streams
        self.grads = grads
        self.condition = condition
        self.condition_needed = condition_needed
        self.condition_grads: list[Tensor | None] = [None] * len(condition)
        # Those that were frozen after forward get nothing, as with plain autograd.
        self.index = {id(p): i for i, p in enumerate(parameters) if p.requires_grad}
        self.parameter_grads: list[Tensor | None] = [None] * len(parameters)
        self.grad_log_det = grad_log_det
        # What the walk has made itself may be overwritten. Not so the gradients: what a sub-network
        # gives back for a parameter or a condition may be the very tensor that it was handed.
        self._own_stream = [False, False]

    def walk(self, records: list[Record], inputs: list[bool]) -> None:
        """Undo the half-steps, back to the first one through which a gradient is needed.

        Args:
            records: Of the half-steps, in the order of the run.
            inputs: Which streams at the start need a gradient.
        """
        need = list(inputs)
        needs = []
        useless = 0  # half-steps at the start: streams that need a gradient need it to the end
        for step in self.run.steps:
            needs.append((need[0], need[1]))
            trainable = any(id(p) in self.index for p in step.parameters()) or is_sharded(step.net)
            wanted = trainable or any(self.condition_needed)
            useless += not (wanted or any(need))
            need[step.target] |= need[1 - step.target] or wanted
        useful = list(zip(self.run.steps, records, needs, strict=True))[useless:]
        for step, record, needed in reversed(useful):
            self._step_back(step, record, needed)
        if useless:
            self.grads = [None, None]

    def _step_back(self, step: HalfStep, record: Record, need: tuple[bool, bool]) -> None:
        """Undo one half-step: rebuild the stream it changed and take the gradients through it."""
        target, source = step.target, 1 - step.target
        grad = self.grads[target]
        grad_log_det = None if step.block.is_additive else self.grad_log_det
        parameters = [p for p in dict.fromkeys(step.parameters()) if id(p) in self.index]
        sharded = is_sharded(step.net)
        wanted = need[source] or bool(parameters) or sharded or any(self.condition_needed)
        tracked = wanted and not (grad is None and grad_log_det is None)
        a = self.streams[source].detach().requires_grad_(tracked and need[source])
        condition = tuple(
            c.detach().requires_grad_(tracked and needed)
            for c, needed in zip(self.condition, self.condition_needed, strict=True)
        )
        with record.restore(), torch.set_grad_enabled(tracked):
            h = step.run(a, condition)
        self._undo(step, h)
        if grad is None and grad_log_det is None:
            return
        inputs = [
            *([a] if need[source] else []),
            *(c for c in condition if c.requires_grad),
            *parameters,
        ]
        if step.block.is_additive:
            assert grad is not None
            # d(b ± h)/db is the identity, so only the sub-network's own graph is walked.
            found = _grad([h], inputs, [(-grad if step.inverse else grad).to(h.dtype)], sharded)
        else:
            found = self._through_coupling(step, h, inputs, grad, grad_log_det, sharded=sharded)
        if not need[target]:
            self.grads[target] = None
        if need[source]:
            self.grads[source] = _sum(self.grads[source], found.pop(0))
        for i in [i for i, c in enumerate(condition) if c.requires_grad]:
            self.condition_grads[i] = _sum(self.condition_grads[i], found.pop(0))
        for p, g in zip(parameters, found, strict=True):
            i = self.index[id(p)]
            self.parameter_grads[i] = _sum(self.parameter_grads[i], g)

    def _undo(self, step: HalfStep, h: Tensor) -> None:
        stream = self.streams[step.target]
        may_overwrite = self.run.in_place and self._own_stream[step.target]
        place = stream if may_overwrite else None
        self.streams[step.target] = step.undo(stream, step.snapped(h.detach()), out=place)
        self._own_stream[step.target] = True

    def _through_coupling(
        self,
        step: HalfStep,
        h: Tensor,
        inputs: list[Tensor],
        grad: Tensor | None,
        grad_log_det: Tensor | None,
        *,
        sharded: bool,
    ) -> list[Tensor | None]:
        with torch.enable_grad():
            b = self.streams[step.target].detach().requires_grad_()
            outputs, grads = [step.apply(b, h)], [grad]
            if grad_log_det is not None:
                outputs.append(step.log_det(b, outputs[0], h))
                grads.append(grad_log_det.to(outputs[1].dtype))
            *found, self.grads[step.target] = _grad(outputs, [*inputs, b], grads, sharded)
        return found


def _grad(
    outputs: list[Tensor], inputs: list[Tensor], grads: list[Tensor | None], sharded: bool
) -> list[Tensor | None]:
    pairs = [
        (o, g) for o, g in zip(outputs, grads, strict=True) if o.requires_grad and g is not None
    ]
    if not pairs or not (inputs or sharded):
        return [None] * len(inputs)
    outs, gs = zip(*pairs, strict=True)
    if not sharded:
        return list(torch.autograd.grad(outs, inputs, gs, allow_unused=True))
    # FSDP reduces what is accumulated in its own gathered parameters.
    kept = [x.grad for x in inputs]
    for x in inputs:
        x.grad = None
    torch.autograd.backward(outs, gs)
    found = [x.grad for x in inputs]
    for x, grad in zip(inputs, kept, strict=True):
        x.grad = grad
    return found


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
