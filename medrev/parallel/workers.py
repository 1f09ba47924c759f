"""Where subjects are run: workers of this machine, of a batch system, of a running scheduler."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from medrev import __version__
from medrev.errors import ClusterError, ConfigError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CLUSTERS", "DEATHS", "connect", "load_jobqueue", "medrev_version", "one_line"]

#: Batch systems that workers can be asked of: their classes in dask-jobqueue, and the commands by
#: which jobs are submitted.
CLUSTERS = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "sge": ("SGECluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}

#: Seconds within which a scheduler has to answer.
_ANSWER = 5.0
#: Of workers on this machine: one thread; and arrays of a volume's size are taken from memory that
#: was used before. With dask's own setting the system clears new pages for each of them, which
#: takes longer than many a metric.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_MMAP_THRESHOLD_": 256 << 20,
    "MALLOC_TRIM_THRESHOLD_": 256 << 20,
}
#: How many workers may die over one subject before it is given up.
DEATHS = 3


@contextlib.contextmanager
def connect(
    workers: int,
    scheduler: str | None,
    cluster: str | None,
    *,
    memory: float | None = None,
    warm: str | None = None,
) -> "Iterator[Client]":
    """A client of workers: of a running scheduler, of a batch system, or on this machine.

    Args:
        workers: Processes to start here, or jobs to ask for.
        scheduler: Address of a running scheduler, whose workers are used instead.
        cluster: Batch system to ask, one of :data:`CLUSTERS`.
        memory: Memory limit of a worker in GiB.
        warm: A module that is imported once for all workers of this machine.

    Raises:
        ClusterError: The scheduler does not answer, or its workers are not usable.
        ConfigError: The batch system is not there.
    """
    here = scheduler is None and cluster is None
    forked = here and _start_server(warm)
    import dask
    from distributed import Client

    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {
            "scheduler.allowed-failures": DEATHS,
            "nanny.pre-spawn-environ": _ENVIRONMENT,
        }
        if forked:
            settings["worker.multiprocessing-method"] = "forkserver"
        named = {f"distributed.{name}": value for name, value in settings.items()}
        stack.enter_context(dask.config.set(named))
        stack.enter_context(_quiet())
        if scheduler is not None:
            client = stack.enter_context(_remote_client(scheduler))
        else:
            started = (
                _local(workers, memory) if cluster is None else _jobs(cluster, workers, memory)
            )
            # Not with the client: it must be left in the thread in which it was entered.
            client = stack.enter_context(contextlib.closing(Client(stack.enter_context(started))))
        yield client


def _start_server(warm: str | None) -> bool:
    """Start the process from which workers are forked, with their modules in it; Linux only.

    It imports them once for all workers, while this process imports its own. It has one thread, so
    that it can be forked.
    """
    if sys.platform != "linux":
        return False
    import multiprocessing
    from multiprocessing import forkserver

    modules = ["distributed.nanny", "distributed.worker", *([warm] if warm else [])]
    multiprocessing.set_forkserver_preload(modules)
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update({name: str(value) for name, value in _ENVIRONMENT.items()})
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return True


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

    dask_jobqueue = load_jobqueue(cluster)
    name, command = CLUSTERS[cluster]
    if shutil.which(command) is None:
        raise ClusterError(
            f"the command {command} of {cluster} is not found: run this where jobs are submitted"
        )
    configured = dask.config.get(f"jobqueue.{cluster}.memory", None)
    limit = f"{memory}GiB" if memory is not None else configured or "8GiB"
    try:
        jobs = getattr(dask_jobqueue, name)(
            cores=1, processes=1, memory=limit, scheduler_options={"dashboard": False}
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"no workers from {cluster}: {one_line(error)}") from error
    if cluster == "slurm":
        _test_job(jobs)
    jobs.scale(jobs=workers)
    return jobs


def _test_job(jobs: Any) -> None:
    """Let SLURM look at the job: one that cannot be submitted would be waited for without end.

    Raises:
        ClusterError: It would not be accepted.
    """
    answer = subprocess.run(
        ["sbatch", "--test-only"],
        input=jobs.job_script(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        jobs.close()
        reason = " ".join(answer.stderr.split()).removeprefix("sbatch: error: ")
        raise ClusterError(
            f"slurm does not accept the job ({reason}): set queue, account and time under "
            "jobqueue.slurm in dask's configuration (~/.config/dask/jobqueue.yaml)"
        )


def load_jobqueue(cluster: str) -> Any:
    """Import dask-jobqueue, in the main thread, without what it does to the handling of signals.

    On import it lets Ctrl-C end the process as if all were well.

    Raises:
        ConfigError: It is not installed.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        import dask_jobqueue
    except ImportError:
        raise ConfigError(
            f"--cluster {cluster} needs the package dask-jobqueue; "
            "run: pip install 'medrev[cluster]'"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    return dask_jobqueue


@contextlib.contextmanager
def _remote_client(address: str) -> "Iterator[Client]":
    """A client of a running scheduler whose workers are of this medrev."""
    from distributed import Client

    _reach(address)
    with contextlib.closing(Client(address, timeout=_ANSWER, set_as_default=False)) as client:
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
                f"the workers at {address} cannot import medrev ({one_line(error)}); "
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
    from distributed.comm.core import connect as knock_at

    async def knock() -> None:
        await (await knock_at(address, timeout=_ANSWER)).close()

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop already
            thread.submit(lambda: asyncio.run(knock())).result()
    except (OSError, ValueError, TypeError) as error:
        reason = f" ({one_line(error)})" if isinstance(error, ValueError | TypeError) else ""
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


def one_line(error: BaseException) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())
