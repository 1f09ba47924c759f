"""Where subjects are run: workers of this machine, of a batch system, of a running scheduler."""

import asyncio
import contextlib
import logging
import multiprocessing.process
import multiprocessing.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from medrev import __version__
from medrev.errors import ClusterError, ConfigError, install
from medrev.locks import PREFIX, remove, remove_left, temporary_name
from medrev.parallel.outcome import DEATHS, one_line

if TYPE_CHECKING:
    from distributed import Client


Part = TypeVar("Part", bound=Any)

#: Seconds within which workers have to end; after that they are killed.
END = 30.0


@contextlib.contextmanager
def ended(part: Part) -> Iterator[Part]:
    """Close a client, or workers, after the block."""
    try:
        yield part
    finally:
        close(part)


def close(part: Any) -> None:
    """Close a client, or workers; what does not end is killed."""
    try:
        part.close(timeout=END)
    except TimeoutError:
        for worker in getattr(part, "workers", {}).values():
            pid = getattr(worker, "pid", None)
            if pid is not None:
                with contextlib.suppress(OSError):  # it has ended
                    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows: SIGTERM


#: Seconds within which a scheduler has to answer.
ANSWER = 5.0
#: Seconds within which its workers have to: they may be importing something.
_WORKERS_ANSWER = 60.0


@contextlib.contextmanager
def scheduler_client(address: str) -> "Iterator[Client]":
    """A client of a running scheduler whose workers are of this medrev."""
    from distributed import Client

    _reach(address)
    try:
        connected = Client(address, timeout=ANSWER, set_as_default=False)
    except OSError as error:
        raise ClusterError(f"the scheduler at {address} is too busy to answer") from error
    with ended(connected) as client:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no workers; start some: dask worker {address}"
            ) from None
        try:
            versions = set(client.run(medrev_version, callback_timeout=_WORKERS_ANSWER).values())
        except ImportError as error:
            raise ClusterError(
                f"the workers at {address} cannot import medrev ({one_line(error)}); "
                f"install medrev {__version__} in their environment"
            ) from None
        except OSError as error:
            raise ClusterError(
                f"workers at {address} do not answer ({one_line(error) or 'in time'}); "
                "start them anew"
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
        await (await knock_at(address, timeout=ANSWER)).close()

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


#: Batch systems that workers can be asked of: their classes in dask-jobqueue, and the commands by
#: which jobs are submitted.
CLUSTERS = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "sge": ("SGECluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "htcondor": ("HTCondorCluster", "condor_submit"),
}

#: Seconds within which a batch system has to say whether it accepts a job.
_ANSWER = 120.0


def start_jobs(cluster: str, workers: int, memory: float | None) -> Any:
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
    try:
        answer = subprocess.run(
            ["sbatch", "--test-only"],
            input=jobs.job_script(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_ANSWER,
        )
    except subprocess.TimeoutExpired:
        close(jobs)
        raise ClusterError(f"slurm has not answered for {_ANSWER:.0f} s") from None
    if answer.returncode:
        close(jobs)
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
            f"--cluster {cluster} needs the package dask-jobqueue: {install('cluster')}"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    return dask_jobqueue


#: Of workers on this machine: one thread; and arrays of a volume's size are taken from memory that
#: was used before. With dask's own setting the system clears new pages for each of them, which
#: takes longer than many a metric.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_MMAP_THRESHOLD_": 256 << 20,
    "MALLOC_TRIM_THRESHOLD_": 256 << 20,
    "PYTHONSAFEPATH": 1,  # files of the user's current folder are no modules
}


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

    The arguments are those of :class:`medrev.parallel.Pool`.

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
            # One that is killed is waited for, however slowly it comes back.
            "deploy.lost-worker-timeout": "1h" if here else "15s",
            # Subjects and results are small: a worker has nothing to write to disk, and would wait
            # in vain for other memory to come free. One at its limit is killed and started again.
            "worker.memory.target": False,
            "worker.memory.spill": False,
            "worker.memory.pause": False,
        }
        if forked:
            settings["worker.multiprocessing-method"] = "forkserver"
        named = {f"distributed.{name}": value for name, value in settings.items()}
        stack.enter_context(dask.config.set(named))
        stack.enter_context(_quiet())
        if scheduler is not None:
            client = stack.enter_context(scheduler_client(scheduler))
        else:
            started = (
                _local(workers, memory) if cluster is None else start_jobs(cluster, workers, memory)
            )
            # Not with the client: it must be left in the thread in which it was entered.
            stack.enter_context(ended(started))
            client = stack.enter_context(ended(Client(started)))
        yield client


def _start_server(warm: str | None) -> bool:
    """Start the process from which workers are forked, with their modules in it; Linux only.

    It imports them once for all workers, while this process imports its own. It has one thread, so
    that it can be forked.
    """
    if sys.platform != "linux":
        return False
    from multiprocessing import forkserver, resource_tracker

    modules = ["distributed.nanny", "distributed.worker", *([warm] if warm else [])]
    multiprocessing.set_forkserver_preload(modules)
    _own_temporary_folder()
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update({name: str(value) for name, value in _ENVIRONMENT.items()})
    # Ctrl-C goes to all processes of a terminal; this one ends its workers itself. The tracker goes
    # first: where it has to be started, that lets signals through again.
    resource_tracker.ensure_running()
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return True


def _own_temporary_folder() -> None:
    """A folder for the sockets of worker processes that says whose it is.

    What killed commands have left there goes.
    """
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{PREFIX}*"):
        if folder.is_dir() and folder.stat().st_uid == os.getuid():
            remove_left(folder)
    config = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    if "tempdir" not in config:
        folder = place / temporary_name()
        folder.mkdir(mode=0o700)
        multiprocessing.util.Finalize(None, remove, (folder,), exitpriority=-100)
        config["tempdir"] = str(folder)


def _local(workers: int, memory: float | None) -> Any:
    from distributed import LocalCluster

    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit="auto" if memory is None else f"{memory}GiB",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError) as error:
        raise ClusterError(f"workers could not be started: {one_line(error)}") from error


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
