"""A run through a sequence: both streams carried from one end to the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from medrev.reversible.coupling import no_log_det
from medrev.reversible.hooks import after_block, before_block
from medrev.reversible.replay import AutocastState, Record, check_replay, evaluate
from medrev.reversible.steps import HalfStep, LayerStep, Step


@dataclass(frozen=True, slots=True)
class Run:
    """What is done with the streams, and how.

    Attributes:
        steps: The steps in the order of the run.
        swapped: Whether the last block hands the streams on in exchanged order.
        inverse: From the last block to the first.
        autocast: Autocast as it is around the run.
        check: Evaluate every sub-network again at once and compare.
        in_place: The run's own tensors may be overwritten: nobody else has seen them.
        log_det: Sum up log |det| too.
        recorded: The operations are being recorded or transformed, so that no value can be read.
    """

    steps: list[Step]
    swapped: bool
    inverse: bool
    autocast: AutocastState
    check: bool
    in_place: bool
    log_det: bool
    recorded: bool


@dataclass(frozen=True, slots=True)
class Records:
    """What is needed to evaluate everything again.

    Attributes:
        steps: A record of each step; that of a layer is empty.
        heads: A record of each head, in the order of the run.
    """

    steps: list[Record] = field(default_factory=list)
    heads: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """Where a run ended.

    Attributes:
        streams: Both streams, in the order in which they are handed on.
        log_det: log |det| of the run, shape (B,), if it was asked for.
        whole: The tensor that holds both streams one after the other, if they lie in one.
    """

    streams: tuple[Tensor, Tensor]
    log_det: Tensor | None = None
    whole: Tensor | None = None

    def joined(self) -> Tensor:
        """Give both streams as one tensor, concatenated along the channels."""
        return torch.cat(self.streams, dim=1) if self.whole is None else self.whole


def walk(
    run: Run,
    x: Sequence[Tensor],
    condition: tuple[Tensor, ...] = (),
    *,
    records: Records | None = None,
    join: bool = False,
) -> Result:
    """Carry two streams through the steps.

    Args:
        run: What to do.
        x: The streams, each (B, C1 or C2, *spatial).
        condition: Further arguments of every sub-network, or of its coupling's head.
        records: Gets what is needed to evaluate the sub-networks again.
        join: The streams will be wanted as one tensor: compute them inside one if that is free.

    Raises:
        ValueError: Naming the block, if a sub-network breaks a rule.
    """
    streams = list(x[::-1] if run.swapped and run.inverse else x)
    whole, places = _shared_home(run, streams) if join else (None, [None, None])
    owned = [False, False]
    grid = run.steps[0].grid
    if grid is not None:
        # Contiguous, because the order of a sub-network's sums may depend on the memory format.
        streams, owned = [grid.round(s).contiguous() for s in streams], [True, True]
    peaks = [_magnitude(s) for s in streams] if grid is not None else []
    log_det = no_log_det(streams[0]) if run.log_det else None
    entered: tuple[Tensor, ...] = ()
    read = condition
    for step in run.steps:
        if isinstance(step, LayerStep):
            streams, value = _through_layer(run, step, streams, records)
            owned = [True, True]
        else:
            if step.first:
                read = _read(run, step, condition, records)
                entered = before_block(step, streams)
            i = step.target
            place = streams[i] if owned[i] else places[i]
            streams[i], value = _through_net(run, step, streams, read, records=records, place=place)
            owned[i] = True
            if step.last:
                after_block(step, entered, streams)
        if log_det is not None and value is not None:
            log_det = log_det + value
        if grid is not None:
            peaks.append(_magnitude(streams[step.target]))
    if grid is not None and not run.recorded:
        _check_range(run, peaks, min(grid.limit(s.dtype) for s in streams))
    in_whole = whole is not None and all(s is p for s, p in zip(streams, places, strict=True))
    if run.swapped and not run.inverse:
        streams.reverse()
    return Result((streams[0], streams[1]), log_det, whole if in_whole else None)


def _through_layer(
    run: Run, step: LayerStep, streams: list[Tensor], records: Records | None
) -> tuple[list[Tensor], Tensor | None]:
    """Give the streams behind a layer, and log |det| if it is wanted and not zero."""
    changed = step.apply(streams)
    if records is not None:
        records.steps.append(Record())
    wanted = run.log_det and not step.keeps_volume
    return changed, step.log_det(streams, changed) if wanted else None


def _through_net(
    run: Run,
    step: HalfStep,
    streams: list[Tensor],
    condition: tuple[Tensor, ...],
    *,
    records: Records | None,
    place: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Give the stream that a sub-network changes, and log |det| if it is wanted and not zero."""
    h = step.snapped(_evaluate(run, step, streams[1 - step.target], condition, records))
    stream = streams[step.target]
    if run.log_det and not step.is_additive:
        return step.apply_with_log_det(stream, h)
    return step.apply(stream, h, out=place if run.in_place else None), None


def _read(
    run: Run, step: HalfStep, condition: tuple[Tensor, ...], records: Records | None
) -> tuple[Tensor, ...]:
    """Give what the sub-networks of a block get as further arguments."""
    head = step.block.head
    if head is None:
        return condition
    call = partial(step.read, condition)
    if records is None and not run.check:
        return (call(),)
    device = condition[0].device if condition else torch.device("cpu")
    made, record = evaluate(head, call, device)
    if run.check:
        check_replay(f"{step.label}, head", made, call, record, exact=step.grid is not None)
    if records is not None:
        records.heads.append(record)
    return (made,)


def _evaluate(
    run: Run,
    step: HalfStep,
    source: Tensor,
    condition: tuple[Tensor, ...],
    records: Records | None,
) -> Tensor:
    if records is None and not run.check:
        return step.run(source, condition)
    call = partial(step.run, source, condition)
    h, record = evaluate(step.net, call, source.device)
    if run.check:
        check_replay(step.label, h, call, record, exact=step.grid is not None)
    if records is not None:
        records.steps.append(record)
    return h


def _shared_home(run: Run, streams: list[Tensor]) -> tuple[Tensor | None, list[Tensor | None]]:
    """Make one tensor for both streams, and its parts, where these are contiguous (batch 1)."""
    a, b = streams[::-1] if run.swapped and not run.inverse else streams
    free = run.in_place and all(step.is_additive for step in run.steps)
    if not free or run.steps[0].grid is not None or a.shape[0] != 1:
        return None, [None, None]
    if not (a.is_contiguous() and b.is_contiguous()):
        return None, [None, None]
    if type(a) is not Tensor:  # a new tensor would not have what a subclass carries (an affine)
        return None, [None, None]
    whole = a.new_empty((1, a.shape[1] + b.shape[1], *a.shape[2:]))
    parts: list[Tensor | None] = list(whole.split([a.shape[1], b.shape[1]], dim=1))
    return whole, parts[::-1] if run.swapped and not run.inverse else parts


def _magnitude(stream: Tensor) -> Tensor:
    if not stream.numel():
        return stream.new_zeros(())
    low, high = stream.detach().aminmax()
    return torch.maximum(-low, high)


def _check_range(run: Run, peaks: list[Tensor], limit: float) -> None:
    values = torch.stack(peaks)
    bad = ~(values < limit)  # NaN is bad too
    if not bool(bad.any()):
        return
    index = int(bad.nonzero()[0, 0])
    where = "the input" if index < 2 else run.steps[index - 2].label
    raise ValueError(
        f"{where}: exact mode needs streams below {limit:g} in magnitude, got "
        f"{float(values[index]):.4g}; scale the input down or give fewer fraction_bits"
    )


def split(x: Tensor, channels: int) -> list[Tensor]:
    """Cut (B, C, *spatial) into its first channels and the rest, without a copy."""
    return [x[:, :channels], x[:, channels:]]
