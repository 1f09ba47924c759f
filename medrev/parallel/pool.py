"""One function over many subjects: in this process, in local workers, or on a cluster.

The engine is `dask.distributed <https://distributed.dask.org>`_: it hands out subjects, takes them
back from workers that die, and retries. Every subject is computed with one thread, wherever it
runs, so that the numbers do not depend on the number of workers.
"""

import contextlib
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from medrev.errors import ClusterError, ConfigError, counted
from medrev.parallel.outcome import Outcome, attempt, attempt_packed, described
from medrev.parallel.workers import CLUSTERS, END, connect, load_jobqueue
from medrev.progress import Bar, progress

if TYPE_CHECKING:
    from distributed import Client


#: Seconds without an outcome after which the workers are looked at, and each time again.
LOOK = 5.0
#: Seconds after which there is no more hope, by what is seen all this time.
LIMITS = {
    "none": 120.0,  # one that was killed comes back within seconds
    "silent": 600.0,
    "paused": 600.0,
    "idle": 600.0,
    "queued": 24 * 3600.0,  # batch systems let jobs wait
}
_REASONS = {
    "none": "no worker has been left for {time} (killed, or out of memory?): start workers, fewer "
    "on a machine and with more memory each",
    "silent": "the scheduler has not answered for {time}",
    "paused": "all workers have been paused for {time} for lack of memory: give each more",
    "idle": "the workers have been idle for {time} with subjects to do, an error of dask: run this "
    "again",
    "queued": "no job has started a worker within {time}: look for the jobs in the batch system",
}
#: Seconds within which a scheduler has to answer.
_ANSWER = 10.0
#: States of tasks, by dask's names, in which a worker has nothing to do.
_AT_REST = {"memory", "error", "released", "forgotten", "missing"}


class Watch:
    """Looks at the workers while outcomes are waited for.

    A scheduler hands out what is left as soon as there is a worker; it does not say that there is
    none, and who waits for outcomes would wait without end.
    """

    def __init__(self, client: "Client", *, queued: bool = False) -> None:
        self._client = client
        self._queued = queued
        self._seen, self._since = "busy", time.monotonic()

    @contextmanager
    def waiting(self, left: int) -> Iterator[float]:
        """Wait in the block for subjects, at most so many seconds, and look if it was in vain.

        Raises:
            ClusterError: There is no hope for them.
        """
        try:
            yield LOOK
        except TimeoutError:
            self.look(left)
        else:
            self._seen = "busy"

    def look(self, left: int) -> None:
        """Look at the workers.

        Raises:
            ClusterError: The connection is lost, or what is seen has been so for too long.
        """
        if self._client.status != "running":
            raise lost(left)
        seen, now = self._state(), time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        limit = LIMITS.get(seen)
        if limit is not None and now - self._since >= limit:
            period = f"{limit / 3600:.0f} h" if limit >= 3600 else f"{limit:.0f} s"
            reason = _REASONS[seen].format(time=period)
            raise ClusterError(f"{reason}; {_not_done(left)}")

    def _state(self) -> str:
        try:
            identity = self._client.sync(self._client.scheduler.identity, callback_timeout=_ANSWER)
        except OSError:  # a time-out too
            return "silent"
        workers = identity["workers"].values()
        if not workers:
            return "queued" if self._queued else "none"
        self._queued = False
        if all(worker["status"] == "paused" for worker in workers):
            return "paused"
        return "idle" if all(map(_is_idle, workers)) else "busy"


def lost(left: int) -> ClusterError:
    """The error for a scheduler that is gone."""
    return ClusterError(
        f"the scheduler has ended, or the connection to it is lost; {_not_done(left)}"
    )


def _not_done(left: int) -> str:
    return f"{counted(left, 'subject is', 'subjects are')} not done"


def _is_idle(worker: Mapping[str, Any]) -> bool:
    counts = worker["metrics"].get("task_counts")
    return counts is not None and not any(
        count for state, count in counts.items() if state not in _AT_REST
    )


Item = TypeVar("Item")
Value = TypeVar("Value")
#: Seconds within which workers have to start; those of this machine import their modules first.
START = 300.0


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
        self._latest = 0.0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        if self._client is None:
            return
        wait([self._client], timeout=min(self._seconds_left(), END))
        # Of workers that have not started: as soon as they do.
        self._client.add_done_callback(lambda _: self._stack.close())

    def start(self) -> None:
        """Start the workers, or find the scheduler, while this process does something else."""
        if self.is_here or self._client is not None:
            return
        if self._cluster is not None:
            load_jobqueue(self._cluster)
        self._client = Future()
        self._latest = time.monotonic() + START
        # A daemon: this process can end though they do not start.
        threading.Thread(target=self._connect, args=(self._client,), daemon=True).start()

    def _connect(self, client: "Future[Client]") -> None:
        try:
            client.set_result(self._stack.enter_context(self._connection))
        except BaseException as error:
            client.set_exception(error)

    def _seconds_left(self) -> float:
        return max(0.0, self._latest - time.monotonic())

    def _started(self) -> "Client":
        self.start()
        assert self._client is not None
        wait([self._client], timeout=self._seconds_left())
        if not self._client.done():
            raise ClusterError(f"no worker has started within {START:.0f} s")
        return self._client.result()

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
        """Apply a function to subjects, outcomes in their order; one that fails stops no other.

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

        Raises:
            ClusterError: The scheduler does not answer, or its workers are not usable; or none is
                left: what was done before was given to ``on_done``.
            ConfigError: The batch system is not there.
        """
        if not subjects:
            return {}
        outcomes: dict[str, Outcome[Value]] = {}
        if self.is_here:
            done = _run_here(function, subjects, retries)
        else:
            client = self._started()
            watch = Watch(client, queued=self._cluster is not None)
            done = run_there(function, subjects, retries, client, watch)
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


def _show(bar: Bar, outcome: Outcome[Any]) -> None:
    if outcome.error is not None:
        bar.note(f"{outcome.name}: failed: {outcome.error}")
    bar.advance(1, text=outcome.name)


def _run_here(
    function: Callable[[Item], Value], subjects: Mapping[str, Item], retries: int
) -> Generator[Outcome[Value]]:
    for name, item in subjects.items():
        for left in range(retries, -1, -1):
            try:
                yield attempt(function, name, item)
                break
            except GeneratorExit:
                raise
            except Exception as error:
                logging.getLogger(__name__).debug("%s: %s", name, error, exc_info=True)
                if left == 0:
                    yield Outcome(name, error=described(error))


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
