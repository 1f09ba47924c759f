"""What becomes of one subject."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from medrev.errors import MedrevError


def processors() -> int:
    """``OMP_NUM_THREADS`` (which ``--threads`` sets), else the processors it may run on.

    Example:
        >>> processors() > 0
        True
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


Item = TypeVar("Item")
Value = TypeVar("Value")

#: How many workers may die over one subject before it is given up.
DEATHS = 3


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one subject.

    Attributes:
        name: The subject.
        value: What the function returned; None where it failed.
        error: Why it failed, one line; None where it did not.
        seconds: Time in the function, of the last attempt.
    """

    name: str
    value: Value | None = None
    error: str | None = None
    seconds: float = 0.0


def attempt_packed(name: str, packed: bytes) -> Outcome[Any]:
    """One attempt, of what is pickled as function and item. Runs in a thread of the worker.

    Were it handed over as it is, the scheduler and the worker would import its modules in the
    threads that keep up their connections, which break when that takes long.
    """
    import cloudpickle

    function, item = cloudpickle.loads(packed)
    return attempt(function, name, item)


def attempt(function: Callable[[Item], Value], name: str, item: Item) -> Outcome[Value]:
    """One attempt with one thread."""
    started = time.perf_counter()
    with _one_thread():
        try:
            value = function(item)
        except MedrevError as error:
            return Outcome(name, error=one_line(error), seconds=time.perf_counter() - started)
    return Outcome(name, value, seconds=time.perf_counter() - started)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def described(error: BaseException) -> str:
    """One line for an error that is not the input's fault."""
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(error, distributed.scheduler.KilledWorker):
        return (
            f"{DEATHS + 1} workers died over it (killed, or out of memory): "
            "run fewer workers, or give each more memory"
        )
    if isinstance(error, MemoryError):
        return "not enough memory: run fewer workers"
    return f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__


def one_line(error: BaseException) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())
