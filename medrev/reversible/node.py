"""A run through a sequence as one node of autograd's graph, which keeps only its output."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medrev.reversible.hooks import is_sharded
from medrev.reversible.replay import without_cached_weights
from medrev.reversible.walk import Records, Run, split, walk
from medrev.reversible.walk_back import WalkBack


def run_with_graph(
    run: Run,
    x: Sequence[Tensor],
    condition: tuple[Tensor, ...],
    parameters: list[nn.Parameter],
    channels: int | None,
) -> tuple[Tensor, ...]:
    """Run as one node of the graph.

    Args:
        run: What to do.
        x: Both streams, or one tensor that holds both.
        condition: Further arguments of every sub-network.
        parameters: All that need gradients.
        channels: Channels of the first stream of one tensor; None for a pair.

    Returns:
        One tensor or two, as given, and log |det| if it is asked for.
    """
    inputs = len(x), len(condition)
    result: tuple[Tensor, ...] = _ReversibleFunction.apply(
        run, inputs, channels, *x, *condition, *parameters
    )
    return result


class _ReversibleFunction(torch.autograd.Function):
    """The whole sequence, in either direction, as one node of the graph.

    The parameters are inputs of the node and their gradients are returned, not accumulated, so
    that hooks on them, DistributedDataParallel and ``torch.autograd.grad`` see them as usual.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Run, inputs: tuple[int, int], channels: int | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        x, condition = tensors[: inputs[0]], tensors[inputs[0] : sum(inputs)]
        parameters = tensors[sum(inputs) :]
        ctx.set_materialize_grads(False)
        ctx.run, ctx.inputs, ctx.parameters = run, inputs, parameters
        ctx.records = Records()
        ctx.types = [t.dtype for t in x]
        ctx.channels = None
        streams = list(x) if channels is None else split(x[0], channels)
        with run.autocast.restore(), without_cached_weights():
            result = walk(run, streams, condition, records=ctx.records, join=channels is not None)
        ctx.versions = [p._version for p in parameters]  # a layer may have set its first values
        if channels is None:
            outputs: tuple[Tensor, ...] = result.streams
        else:
            ctx.channels = result.streams[0].shape[1]
            outputs = (result.joined(),)
        ctx.save_for_backward(*outputs, *condition)
        return outputs if result.log_det is None else (*outputs, result.log_det)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            grads = _backward(ctx, list(grad_outputs))
        if torch.is_grad_enabled():  # create_graph=True
            grads = [
                None if g is None else _NoSecondDerivative.apply(g.detach().requires_grad_())
                for g in grads
            ]
        return None, None, None, *grads


class _NoSecondDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError(
            "second derivatives through a ReversibleSequence are not defined, because it keeps no "
            "graph of its own; build it with keep_graph=True where a gradient penalty needs them"
        )


def _backward(ctx: Any, grad_outputs: list[Tensor | None]) -> list[Tensor | None]:
    run: Run = ctx.run
    _check_parameters(ctx)
    saved = list(ctx.saved_tensors)
    count = 1 if ctx.channels is not None else 2
    outputs, condition = saved[:count], tuple(saved[count:])
    grad_log_det = grad_outputs.pop() if run.log_det else None
    streams, grads = outputs, grad_outputs
    if ctx.channels is not None:
        # Dense, in the order of their axes in memory.
        streams = [s if s.is_contiguous() else s.clone() for s in split(outputs[0], ctx.channels)]
        whole = grad_outputs[0]
        grads = [None, None] if whole is None else list(split(whole, ctx.channels))
    if run.swapped and not run.inverse:
        streams, grads = streams[::-1], grads[::-1]
    needs = ctx.needs_input_grad[3:]
    state = WalkBack(
        run,
        streams,
        grads,
        condition=condition,
        condition_needed=list(needs[ctx.inputs[0] : sum(ctx.inputs)]),
        parameters=ctx.parameters,
        grad_log_det=grad_log_det,
    )
    of_inputs = [needs[0]] * 2 if ctx.inputs[0] == 1 else list(needs[:2])
    if run.swapped and run.inverse:
        of_inputs.reverse()
    with run.autocast.restore(), without_cached_weights():
        state.walk(ctx.records, of_inputs)
    found = state.grads[::-1] if run.swapped and run.inverse else state.grads
    if ctx.inputs[0] == 1:
        found = [_joined(found, state, run)] if needs[0] else [None]
    found = [None if g is None else g.to(dtype) for g, dtype in zip(found, ctx.types, strict=True)]
    return [*found, *state.condition_grads, *state.parameter_grads]


def _joined(grads: list[Tensor | None], state: WalkBack, run: Run) -> Tensor | None:
    if all(g is None for g in grads):
        return None
    streams = state.streams[::-1] if run.swapped and run.inverse else state.streams
    return torch.cat(
        [torch.zeros_like(s) if g is None else g for g, s in zip(grads, streams, strict=True)], 1
    )


def _check_parameters(ctx: Any) -> None:
    if ctx.versions != [p._version for p in ctx.parameters]:
        raise RuntimeError(
            "a parameter of a ReversibleSequence was modified between forward and backward; "
            "call backward before the optimiser's step"
        )
    present = {id(p) for step in ctx.run.steps for p in step.parameters()}
    if any(is_sharded(step.module) for step in ctx.run.steps):
        return  # gathered and spread parameters take turns
    if any(id(p) not in present for p in ctx.parameters):
        raise RuntimeError(
            "a parameter of a ReversibleSequence was replaced between forward and backward (for "
            "example by torch.func.functional_call, whose replacement ends before backward)"
        )
