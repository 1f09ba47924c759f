"""One function over many subjects: in this process, in local workers, or on a cluster.

The engine is `dask.distributed <https://distributed.dask.org>`_: it hands out subjects, takes them
back from workers that die, and retries. Every subject is computed with one thread, wherever it
runs, so that the numbers do not depend on the number of workers.
"""

import asyncio
import contextlib
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from medrev import __version__
from medrev.errors import ClusterError, ConfigError, MedrevError
from medrev.progress import Bar, progress

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CLUSTERS", "Outcome", "run_subjects"]

Item = TypeVar("Item")
Value = TypeVar("Value")

#: Batch systems that workers can be asked of, and their classes in dask-jobqueue.
CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}

#: Seconds within which a scheduler has to answer.
_ANSWER = 5.0
#: How many workers may die over one subject before it is given up.
_DEATHS = 3


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
    """Apply a function to every subject; one that fails does not stop the others.

    A :class:`MedrevError` of the function is bad input and final. Other errors are tried again
    ``retries`` times. A subject whose worker dies is given to another worker; one that has brought
    down several workers counts as failed.

    Args:
        function: Takes a subject, returns something small. With more than one worker both are
            pickled: the function is one of a module's own, and a script that calls this has the
            usual ``if __name__ == "__main__":``.
        subjects: What the function takes, by name.
        workers: Processes on this machine; with 1 the subjects run in this process. With
            ``cluster``: jobs.
        scheduler: Address of a running ``dask scheduler``, such as ``tcp://host:8786``, whose
            workers are used instead.
        cluster: Batch system to ask for workers instead, one of :data:`CLUSTERS`, through
            dask-jobqueue (extra ``cluster``) and its configuration file.
        memory: Memory limit of a worker in GiB (default: an equal share of the machine; of a job:
            what dask-jobqueue's configuration says, else 8).
        retries: Further attempts after an unexpected error.
        on_done: Called in this process with every outcome, as they come.
        title: What the progress bar says.
        show_progress: Show a progress bar on standard error.

    Returns:
        The outcomes by name, in the order of ``subjects``.

    Raises:
        ClusterError: The scheduler does not answer, or its workers are not usable.
        ConfigError: The options do not go together, or the batch system is not there.

    Example:
        >>> run_subjects(abs, {"sub-01": -1}, show_progress=False)["sub-01"].value
        1
    """
    _check(workers, scheduler, cluster)
    outcomes: dict[str, Outcome[Value]] = {}
    with progress(title, len(subjects), enabled=show_progress) as bar:
        if not subjects:
            return {}
        if scheduler is None and cluster is None and workers == 1:
            done = _run_here(function, subjects, retries)
        else:
            count = min(workers, len(subjects))
            places = _client(count, scheduler, cluster, memory)
            done = _run_there(function, subjects, retries, places)
        with contextlib.closing(done):
            for outcome in done:
                outcomes[outcome.name] = outcome
                if on_done is not None:
                    on_done(outcome)
                _show(bar, outcome)
    return {name: outcomes[name] for name in subjects}


def _check(workers: int, scheduler: str | None, cluster: str | None) -> None:
    if workers < 1:
        raise ConfigError(f"the number of workers must be at least 1, got {workers}")
    if scheduler is not None and cluster is not None:
        raise ConfigError("give either a scheduler or a cluster, not both")
    if cluster is not None and cluster not in CLUSTERS:
        raise ConfigError(f"the cluster must be one of {', '.join(CLUSTERS)}, got {cluster!r}")


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
            return Outcome(name, error=_line(error), seconds=time.perf_counter() - started)
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
) -> Iterator[Outcome[Value]]:
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
    places: "contextlib.AbstractContextManager[Client]",
) -> Iterator[Outcome[Value]]:
    from distributed import as_completed

    with places as client:
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


@contextlib.contextmanager
def _client(
    workers: int, scheduler: str | None, cluster: str | None, memory: float | None
) -> "Iterator[Client]":
    import dask
    from distributed import Client

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS}))
        stack.enter_context(_quiet())
        if scheduler is not None:
            client = stack.enter_context(_remote_client(scheduler))
        else:
            started = _local(workers, memory) if cluster is None else _jobs(cluster, workers, memory)
            client = stack.enter_context(Client(stack.enter_context(started)))
        yield client


def _local(workers: int, memory: float | None) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit="auto" if memory is None else f"{memory}GiB",
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )


def _jobs(cluster: str, workers: int, memory: float | None) -> Any:
    """Workers as jobs of a batch system."""
    import dask

    try:
        import dask_jobqueue
    except ImportError:
        raise ConfigError(
            f"--cluster {cluster} needs the package dask-jobqueue; "
            "run: pip install 'medrev[cluster]'"
        ) from None
    configured = dask.config.get(f"jobqueue.{cluster}.memory", None)
    limit = f"{memory}GiB" if memory is not None else configured or "8GiB"
    try:
        jobs = getattr(dask_jobqueue, CLUSTERS[cluster])(cores=1, processes=1, memory=limit)
        jobs.scale(jobs=workers)
    except (RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"no workers from {cluster}: {_line(error)}") from error
    return jobs


@contextlib.contextmanager
def _remote_client(address: str) -> "Iterator[Client]":
    """A client of a running scheduler whose workers are of this medrev."""
    from distributed import Client

    _reach(address)
    with Client(address, timeout=_ANSWER, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=_ANSWER)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no workers; start some: dask worker {address}"
            ) from None
        try:
            versions = set(client.run(medrev_version).values())
        except ImportError as error:
            raise ClusterError(
                f"the workers at {address} cannot import medrev ({_line(error)}); "
                f"install medrev {__version__} in their environment"
            ) from None
        if versions != {__version__}:
            raise ClusterError(
                f"the workers at {address} have medrev {', '.join(sorted(versions))}, "
                f"this is {__version__}; install the same version"
            )
        yield client


def _reach(address: str) -> None:
    """Knock at an address: a client that has not found its scheduler is slow to give up.

    Raises:
        ClusterError: It is no address, or nothing of dask answers there.
    """
    from distributed.comm import connect

    async def knock() -> None:
        await (await connect(address, timeout=_ANSWER)).close()

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop already
            thread.submit(lambda: asyncio.run(knock())).result()
    except (OSError, ValueError, TypeError) as error:
        reason = f" ({_line(error)})" if isinstance(error, ValueError | TypeError) else ""
        raise ClusterError(
            f"no dask scheduler answers at {address!r}{reason}; give the address that "
            "'dask scheduler' prints, such as tcp://host:8786"
        ) from None


def medrev_version() -> str:
    """The version of medrev where this runs."""
    return __version__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the engine's own log lines: what matters is in the outcomes."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _described(error: BaseException) -> str:
    """One line for an error that is not the input's fault."""
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(error, distributed.scheduler.KilledWorker):
        return (
            f"{_DEATHS + 1} workers died over it (killed, or out of memory): "
            "run fewer workers, or give each more memory"
        )
    if isinstance(error, MemoryError):
        return "not enough memory: run fewer workers"
    return f"{type(error).__name__}: {_line(error)}" if str(error) else type(error).__name__


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
