"""The walk back through a run: inputs rebuilt, gradients found, nothing kept.

Each sub-network is evaluated once more; that evaluation serves both to rebuild the stream that it
changed and to find the gradients. That is one re-evaluation per sub-network (4/3 of the plain
work), where rebuilding by ``inverse`` and then re-running ``forward`` takes two.

References:
    Gomez et al., *The Reversible Residual Network* (arXiv:1707.04585), Algorithm 1.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from medrev.reversible.hooks import is_sharded
from medrev.reversible.replay import Record
from medrev.reversible.steps import HalfStep, LayerStep
from medrev.reversible.walk import Records, Run


@dataclass(slots=True)
class _Read:
    """What the sub-networks of a block were given beside a stream, and its gradients.

    Attributes:
        tensors: Further arguments of the sub-networks.
        needed: Which of them need a gradient.
        grads: What was gathered.
        head: Inputs and output of the head that made them, with its graph.
    """

    tensors: tuple[Tensor, ...]
    needed: list[bool]
    grads: list[Tensor | None] = field(init=False)
    head: tuple[list[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        self.grads = [None] * len(self.tensors)


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
        self._given = _Read(condition, condition_needed)
        self._read = self._given
        # Those that were frozen after forward get nothing, as with plain autograd.
        self.index = {id(p): i for i, p in enumerate(parameters) if p.requires_grad}
        self.parameter_grads: list[Tensor | None] = [None] * len(parameters)
        self.grad_log_det = grad_log_det
        # What the walk has made itself may be overwritten. Not so the gradients: what a sub-network
        # gives back for a parameter or a condition may be the very tensor that it was handed.
        self._own_stream = [False, False]

    @property
    def condition_grads(self) -> list[Tensor | None]:
        """The gradients of the conditions, as far as the walk has come."""
        return self._given.grads

    def walk(self, records: Records, inputs: list[bool]) -> None:
        """Undo the steps, back to the first one through which a gradient is needed.

        Args:
            records: In the order of the run.
            inputs: Which streams at the start need a gradient.
        """
        need = list(inputs)
        trained: list[list[nn.Parameter]] = []
        needs = []
        useless = 0  # steps at the start: streams that need a gradient need it to the end
        for step in self.run.steps:
            needs.append((need[0], need[1]))
            trained.append([p for p in dict.fromkeys(step.parameters()) if id(p) in self.index])
            trainable = bool(trained[-1]) or is_sharded(step.module)
            if isinstance(step, LayerStep):
                useless += not (trainable or any(need))
                need = [any(need) or trainable] * 2
                continue
            wanted = trainable or any(self._given.needed)
            useless += not (wanted or any(need))
            need[step.target] |= need[1 - step.target] or wanted
        heads = list(records.heads)
        useful = list(zip(self.run.steps, records.steps, needs, trained, strict=True))[useless:]
        for step, record, needed, parameters in reversed(useful):
            if isinstance(step, LayerStep):
                self._layer_back(step, needed, parameters)
                continue
            if step.last and step.block.head is not None:
                self._enter(step, heads.pop())
            self._step_back(step, record, needed, parameters)
            if step.first and step.block.head is not None:
                self._leave(step)
        if useless:
            self.grads = [None, None]

    def _enter(self, step: HalfStep, record: Record) -> None:
        """Evaluate the head of a block again, before its half-steps are undone."""
        head, given = step.block.head, self._given
        assert head is not None
        trainable = any(id(p) in self.index for p in head.parameters()) or is_sharded(head)
        wanted = trainable or any(given.needed)
        inputs = [
            c.detach().requires_grad_(needed)
            for c, needed in zip(given.tensors, given.needed, strict=True)
        ]
        with record.restore(), torch.set_grad_enabled(wanted):
            made = step.read(tuple(inputs))
        self._read = _Read((made.detach(),), [made.requires_grad], head=(inputs, made))

    def _leave(self, step: HalfStep) -> None:
        """Take what the half-steps gave to the output of their head through it."""
        read, head, given = self._read, step.block.head, self._given
        assert head is not None
        assert read.head is not None
        self._read = given
        inputs, made = read.head
        if read.grads[0] is None:
            return
        parameters = [p for p in head.parameters() if id(p) in self.index]
        needed = [i for i, x in enumerate(inputs) if x.requires_grad]
        sources = [*(inputs[i] for i in needed), *parameters]
        found = _grad([made], sources, read.grads, is_sharded(head))
        for i in needed:
            given.grads[i] = _sum(given.grads[i], found.pop(0))
        self._add_parameter_grads(parameters, found)

    def _layer_back(
        self, step: LayerStep, need: tuple[bool, bool], parameters: list[nn.Parameter]
    ) -> None:
        """Undo a layer and take the gradients through it."""
        after, grads = self.streams, self.grads
        self.streams = step.undo(after)
        # Parts of one tensor share a count of changes, by which autograd would take the one for
        # changed when the other is.
        self._own_stream = [False, False]
        if all(g is None for g in grads) and (step.keeps_volume or self.grad_log_det is None):
            return
        if step.is_orthogonal:
            whole = [
                torch.zeros_like(s) if g is None else g for g, s in zip(grads, after, strict=True)
            ]
            self.grads = list(step.undo(whole))
        else:
            with torch.enable_grad():
                before = [s.detach().requires_grad_() for s in self.streams]
                outputs = step.apply(before)
                grads = list(grads)
                if self.grad_log_det is not None and not step.keeps_volume:
                    outputs.append(step.log_det(before, outputs))
                    grads.append(self.grad_log_det.to(outputs[-1].dtype))
                sharded = is_sharded(step.module)
                found = _grad(outputs, [*before, *parameters], grads, sharded)
            self.grads = found[:2]
            self._add_parameter_grads(parameters, found[2:])
        self.grads = [g if n else None for g, n in zip(self.grads, need, strict=True)]

    def _add_parameter_grads(
        self, parameters: list[nn.Parameter], grads: list[Tensor | None]
    ) -> None:
        for p, g in zip(parameters, grads, strict=True):
            i = self.index[id(p)]
            self.parameter_grads[i] = _sum(self.parameter_grads[i], g)

    def _step_back(
        self,
        step: HalfStep,
        record: Record,
        need: tuple[bool, bool],
        parameters: list[nn.Parameter],
    ) -> None:
        """Undo one half-step: rebuild the stream it changed and take the gradients through it."""
        target, source = step.target, 1 - step.target
        grad = self.grads[target]
        grad_log_det = None if step.is_additive else self.grad_log_det
        read = self._read
        sharded = is_sharded(step.net)
        wanted = need[source] or bool(parameters) or sharded or any(read.needed)
        tracked = wanted and not (grad is None and grad_log_det is None)
        a = self.streams[source].detach().requires_grad_(tracked and need[source])
        condition = tuple(
            c.detach().requires_grad_(tracked and needed)
            for c, needed in zip(read.tensors, read.needed, strict=True)
        )
        with record.restore(), torch.set_grad_enabled(tracked):
            h = step.run(a, condition)
        known = tracked and not step.is_additive and self._by_formula(step, h, grad_log_det)
        if not known:
            self._undo(step, h)
        if grad is None and grad_log_det is None:
            return
        inputs = [
            *([a] if need[source] else []),
            *(c for c in condition if c.requires_grad),
            *parameters,
        ]
        if known:
            found = _grad([h], inputs, [known[0]], sharded)
        elif step.is_additive:
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
            read.grads[i] = _sum(read.grads[i], found.pop(0))
        self._add_parameter_grads(parameters, found)

    def _undo(self, step: HalfStep, h: Tensor) -> None:
        stream = self.streams[step.target]
        may_overwrite = self.run.in_place and self._own_stream[step.target]
        place = stream if may_overwrite else None
        self.streams[step.target] = step.undo(stream, step.snapped(h.detach()), out=place)
        self._own_stream[step.target] = True

    def _by_formula(
        self, step: HalfStep, h: Tensor, grad_log_det: Tensor | None
    ) -> tuple[Tensor | None] | None:
        """Undo a half-step and take its gradients, if its coupling has a formula for that.

        Returns:
            The gradient of the sub-network's output, in a tuple; None if there is no formula.
        """
        i = step.target
        if step.inverse:
            return None
        result = step.block.unmerge_with_grads(
            self.streams[i], h.detach(), self.grads[i], grad_log_det
        )
        if result is None:
            return None
        self.streams[i], self.grads[i], of_h = result
        self._own_stream[i] = True
        return (of_h,)

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
            if grad_log_det is None:
                outputs, grads = [step.apply(b, h)], [grad]
            else:
                outputs = list(step.apply_with_log_det(b, h))
                grads = [grad, grad_log_det.to(outputs[1].dtype)]
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
