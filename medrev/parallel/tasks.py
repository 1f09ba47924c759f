"""Subjects as tasks of a scheduler, which hands them out and tries them again."""

import queue
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from medrev.parallel.outcome import Outcome, attempt_packed, described
from medrev.parallel.watch import Watch, lost

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Value = TypeVar("Value")


def run_there(
    function: Callable[[Item], Value],
    subjects: Mapping[str, Item],
    retries: int,
    client: "Client",
    watch: Watch,
) -> Generator[Outcome[Value]]:
    """Yield the outcomes as they come.

    Raises:
        ClusterError: The scheduler or its workers are gone.
    """
    import cloudpickle

    token = uuid.uuid4().hex
    futures = {}
    for name, item in subjects.items():
        packed = cloudpickle.dumps((function, item))
        future = client.submit(
            attempt_packed, name, packed, key=f"{name}-{token}", pure=False, retries=retries
        )
        futures[future] = name
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(done.put)
    try:
        for left in range(len(futures), 0, -1):
            future = _next(done, watch, left)
            yield _outcome(futures[future], future, watch, left)
            future.release()
    finally:
        if client.status == "running":
            client.cancel(list(futures), force=True)


def _next(done: "queue.SimpleQueue[Any]", watch: Watch, left: int) -> Any:
    while True:
        with watch.waiting(left) as seconds:
            try:
                return done.get(timeout=seconds)
            except queue.Empty:
                raise TimeoutError from None


def _outcome(name: str, future: Any, watch: Watch, left: int) -> Outcome[Any]:
    """What came of a subject; a result that is lost with its worker is waited for again."""
    while True:
        with watch.waiting(left) as seconds:
            error = future.exception(timeout=seconds)
            if error is not None:
                return Outcome(name, error=described(error))
            try:
                outcome: Outcome[Any] = future.result(timeout=seconds)
            except TimeoutError:
                raise
            except Exception as broken:
                if future.cancelled():
                    raise lost(left) from None
                return Outcome(name, error=described(broken))
            return outcome
