"""One function over many subjects: in this process, in local workers, or on a cluster.

The engine is `dask.distributed <https://distributed.dask.org>`_: it hands out subjects, takes them
back from workers that die, and retries. Every subject is computed with one thread, wherever it
runs, so that the numbers do not depend on the number of workers.
"""

import contextlib
import logging
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from medrev.errors import ConfigError, MedrevError
from medrev.parallel.workers import CLUSTERS, DEATHS, connect, load_jobqueue, one_line
from medrev.progress import Bar, progress

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "Pool", "run_subjects"]

Item = TypeVar("Item")
Value = TypeVar("Value")


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


class Pool:
    """Where subjects are run; workers are kept from one task to the next.

    Use it as a context manager: workers that it has started end with it.

    Args:
        workers: Processes on this machine; with 1 the subjects run in this process. With
            ``cluster``: jobs.
        scheduler: Address of a running ``dask scheduler``, such as ``tcp://host:8786``, whose
            workers are used instead.
        cluster: Batch system to ask for workers instead, one of :data:`CLUSTERS`, through
            dask-jobqueue (extra ``cluster``) and its configuration file.
        memory: Memory limit of a worker in GiB (default: an equal share of the machine; of a job:
            what dask-jobqueue's configuration says, else 8).
        warm: A module that is imported once for all workers of this machine.

    Raises:
        ConfigError: The options do not go together.

    Example:
        >>> with Pool() as pool:
        ...     pool.run(abs, {"sub-01": -1}, show_progress=False)["sub-01"].value
        1
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        scheduler: str | None = None,
        cluster: str | None = None,
        memory: float | None = None,
        warm: str | None = None,
    ) -> None:
        if workers < 1:
            raise ConfigError(f"the number of workers must be at least 1, got {workers}")
        if scheduler is not None and cluster is not None:
            raise ConfigError("give either a scheduler or a cluster, not both")
        if cluster is not None and cluster not in CLUSTERS:
            raise ConfigError(f"the cluster must be one of {', '.join(CLUSTERS)}, got {cluster!r}")
        self.is_here = scheduler is None and cluster is None and workers == 1
        self._cluster = cluster
        self._connection = connect(workers, scheduler, cluster, memory=memory, warm=warm)
        self._stack = contextlib.ExitStack()
        self._client: Future[Client] | None = None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        if self._client is not None:
            wait([self._client])
        self._stack.close()

    def start(self) -> None:
        """Start the workers, or find the scheduler, while this process does something else."""
        if self.is_here or self._client is not None:
            return
        if self._cluster is not None:
            load_jobqueue(self._cluster)
        thread = ThreadPoolExecutor(1)
        self._client = thread.submit(self._stack.enter_context, self._connection)
        thread.shutdown(wait=False)

    def run(
        self,
        function: Callable[[Item], Value],
        subjects: Mapping[str, Item],
        *,
        retries: int = 1,
        on_done: Callable[[Outcome[Value]], None] | None = None,
        title: str = "Subjects",
        show_progress: bool = True,
    ) -> dict[str, Outcome[Value]]:
        """Apply a function to every subject; one that fails does not stop the others.

        A :class:`MedrevError` of the function is bad input and final. Other errors are tried again
        ``retries`` times. A subject whose worker dies is given to another worker; one that has
        brought down several workers counts as failed.

        Args:
            function: Takes a subject, returns something small. With more than one worker both are
                pickled: the function is one of a module's own, and a script that calls this has
                the usual ``if __name__ == "__main__":``.
            subjects: What the function takes, by name.
            retries: Further attempts after an unexpected error.
            on_done: Called in this process with every outcome, as they come.
            title: What the progress bar says.
            show_progress: Show a progress bar on standard error.

        Returns:
            The outcomes by name, in the order of ``subjects``.

        Raises:
            ClusterError: The scheduler does not answer, or its workers are not usable.
            ConfigError: The batch system is not there.
        """
        if not subjects:
            return {}
        outcomes: dict[str, Outcome[Value]] = {}
        if self.is_here:
            done = _run_here(function, subjects, retries)
        else:
            self.start()
            assert self._client is not None
            done = _run_there(function, subjects, retries, self._client.result())
        with (
            contextlib.closing(done),
            progress(title, len(subjects), enabled=show_progress) as bar,
        ):
            for outcome in done:
                outcomes[outcome.name] = outcome
                if on_done is not None:
                    on_done(outcome)
                _show(bar, outcome)
        return {name: outcomes[name] for name in subjects}


def run_subjects(
    function: Callable[[Item], Value],
    subjects: Mapping[str, Item],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    cluster: str | None = None,
    memory: float | None = None,
    retries: int = 1,
    on_done: Callable[[Outcome[Value]], None] | None = None,
    title: str = "Subjects",
    show_progress: bool = True,
) -> dict[str, Outcome[Value]]:
    """Apply a function to every subject in a :class:`Pool` of its own; see :meth:`Pool.run`.

    Raises:
        ClusterError: The scheduler does not answer, or its workers are not usable.
        ConfigError: The options do not go together, or the batch system is not there.
    """
    count = workers if cluster is not None else min(workers, max(1, len(subjects)))
    count = count if workers >= 1 else workers
    with Pool(workers=count, scheduler=scheduler, cluster=cluster, memory=memory) as pool:
        return pool.run(
            function,
            subjects,
            retries=retries,
            on_done=on_done,
            title=title,
            show_progress=show_progress,
        )


def _show(bar: Bar, outcome: Outcome[Any]) -> None:
    if outcome.error is not None:
        bar.note(f"{outcome.name}: failed: {outcome.error}")
    bar.advance(1, text=outcome.name)


def _attempt(function: Callable[[Item], Value], name: str, item: Item) -> Outcome[Value]:
    """One attempt with one thread. Runs in the worker."""
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


def _run_here(
    function: Callable[[Item], Value], subjects: Mapping[str, Item], retries: int
) -> Generator[Outcome[Value]]:
    for name, item in subjects.items():
        for left in range(retries, -1, -1):
            try:
                yield _attempt(function, name, item)
                break
            except GeneratorExit:
                raise
            except Exception as error:
                logging.getLogger(__name__).debug("%s: %s", name, error, exc_info=True)
                if left == 0:
                    yield Outcome(name, error=_described(error))


def _run_there(
    function: Callable[[Item], Value],
    subjects: Mapping[str, Item],
    retries: int,
    client: "Client",
) -> Generator[Outcome[Value]]:
    from distributed import as_completed

    token = uuid.uuid4().hex
    futures = {
        client.submit(
            _attempt, function, name, item, key=f"{name}-{token}", pure=False, retries=retries
        ): name
        for name, item in subjects.items()
    }
    try:
        for future in as_completed(list(futures), loop=client.loop):
            error = future.exception()
            name = futures[future]
            yield future.result() if error is None else Outcome(name, error=_described(error))
            future.release()
    finally:
        client.cancel(list(futures), force=True)


def _described(error: BaseException) -> str:
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
