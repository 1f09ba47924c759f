"""Workers as jobs of a batch system."""

import shutil
import signal
import subprocess
import threading
from typing import Any

from medrev.errors import ClusterError, ConfigError
from medrev.parallel.outcome import one_line
from medrev.parallel.scheduler import close

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
            f"--cluster {cluster} needs the package dask-jobqueue; "
            "run: pip install 'medrev[cluster]'"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
    return dask_jobqueue
