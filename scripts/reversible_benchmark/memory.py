"""How much memory a step takes, from the allocator itself.

On a CPU every allocation and release of PyTorch's allocator during the step is listed, scratch
space inside kernels and storages resized by hand included. On a GPU the allocator's own counters
are read. Weights, and whatever else existed before the step, are not counted.
"""

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler import profile, record_function

__all__ = ["MemoryUse", "Step", "measure_memory"]

#: Runs forward and backward, and calls its argument in between.
Step = Callable[[Callable[[], None]], None]

_MARK = "reversible_benchmark: forward is done"


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of one step.

    Attributes:
        retained: Alive between forward and backward.
        peak: Largest number alive at a time.
        peak_without_gradients: The same without the gradients of the parameters. On a GPU: ``peak``
            less all gradients, which may be less than that.
    """

    retained: int
    peak: int
    peak_without_gradients: int


def measure_memory(step: Step, parameters: Iterable[Tensor], device: torch.device) -> MemoryUse:
    """Measure one step.

    Args:
        step: Runs forward and backward, and calls its argument in between.
        parameters: Those that get gradients; their ``grad`` should be None.
        device: Where it runs.
    """
    parameters = list(parameters)
    if device.type == "cuda":
        return _on_cuda(step, parameters, device)
    with _quiet_profiler() as profiler:
        step(_mark)
    events, mark = _allocations(profiler.kineto_results.experimental_event_tree())
    gradients = {p.grad.untyped_storage().data_ptr() for p in parameters if p.grad is not None}
    skipped = _last_allocations(events, gradients)
    return MemoryUse(
        retained=sum(size for time, _, size in events if time < mark),
        peak=_largest_sum(size for _, _, size in events),
        peak_without_gradients=_largest_sum(
            size for i, (_, _, size) in enumerate(events) if i not in skipped
        ),
    )


def _on_cuda(step: Step, parameters: list[Tensor], device: torch.device) -> MemoryUse:
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    retained = 0

    def mark() -> None:
        nonlocal retained
        torch.cuda.synchronize(device)
        retained = torch.cuda.memory_allocated(device) - before

    step(mark)
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before
    gradients = sum(p.grad.nbytes for p in parameters if p.grad is not None)
    return MemoryUse(retained, peak, peak - gradients)


def _mark() -> None:
    with record_function(_MARK):
        pass


@contextmanager
def _quiet_profiler() -> Iterator[Any]:
    """A profiler of allocations without the lines that its library prints at start and stop."""
    profiler = profile(profile_memory=True)
    with _silent_stderr():
        profiler.__enter__()
    try:
        yield profiler
    finally:
        with _silent_stderr():
            profiler.__exit__(None, None, None)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


Event = tuple[int, int, int]


def _allocations(tree: list[Any]) -> tuple[list[Event], int]:
    """List (time, address, bytes; negative for a release) in order, and the time of the mark."""
    events: list[Event] = []
    mark, todo = 0, list(tree)
    while todo:
        node = todo.pop()
        todo += node.children
        if node.tag.name == "Allocation":
            fields = node.extra_fields
            events.append((node.start_time_ns, fields.ptr, fields.alloc_size))
        elif node.name == _MARK:
            mark = node.start_time_ns
    events.sort(key=lambda event: event[0])
    return events, mark


def _last_allocations(events: list[Event], addresses: set[int]) -> set[int]:
    """Indices of the allocations at these addresses that were never released."""
    alive: dict[int, int] = {}
    for index, (_, ptr, size) in enumerate(events):
        if size > 0:
            alive[ptr] = index
        else:
            alive.pop(ptr, None)
    return {index for ptr, index in alive.items() if ptr in addresses}


def _largest_sum(sizes: Iterable[int]) -> int:
    total = largest = 0
    for size in sizes:
        total += size
        largest = max(largest, total)
    return largest
