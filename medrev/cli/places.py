"""Options of commands that run many subjects: processes here, a scheduler, a batch system."""

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medrev.cli.options import add_options
from medrev.errors import ConfigError
from medrev.options import MOST_GIB

if TYPE_CHECKING:
    from medrev.parallel import Pool


_GROUP = "where subjects are run"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where subjects are run."""

    workers: int | None = field(default=None, metadata={"group": _GROUP, "metavar": "N"})
    """processes on this machine, or jobs of --cluster (default: 1)"""
    scheduler: str | None = field(default=None, metadata={"group": _GROUP, "metavar": "ADDRESS"})
    """a running dask scheduler, as tcp://host:8786"""
    cluster: str | None = field(default=None, metadata={"group": _GROUP, "metavar": "SYSTEM"})
    """a batch system: slurm, pbs, sge, lsf or htcondor (needs the extra cluster)"""
    memory: float | None = field(default=None, metadata={"group": _GROUP, "metavar": "GIB"})
    """memory limit of a worker (default: its share)"""
    retries: int | None = field(default=None, metadata={"group": _GROUP, "metavar": "N"})
    """further attempts after an unexpected error (default: 1)"""


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``, ``--scheduler``, ``--cluster``, ``--memory`` and ``--retries``."""
    add_options(parser, Places)


def check_places(arguments: argparse.Namespace) -> None:
    """Refuse values that make no sense before anything slow is imported.

    Raises:
        ConfigError: A number is too small, or two options exclude each other.
    """
    for name, least, most in (("workers", 1, 1024), ("retries", 0, 100)):
        value = getattr(arguments, name)
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--{name} must be at least {least} and at most {most}, got {value}")
    if arguments.memory is not None and not 0 < arguments.memory <= MOST_GIB:
        raise ConfigError(
            f"--memory must be a positive number of GiB, at most {MOST_GIB}, got {arguments.memory}"
        )
    if arguments.scheduler is not None and (arguments.workers or arguments.memory):
        raise ConfigError("--workers and --memory are those of the workers of --scheduler")
    if getattr(arguments, "threads", None) is not None and is_elsewhere(arguments):
        raise ConfigError(
            "--threads is of one process, and each of several --workers has one: leave it out"
        )
    if arguments.memory is not None and not is_elsewhere(arguments):
        raise ConfigError("--memory limits each of several --workers: give --workers, too")


def check_single(arguments: argparse.Namespace) -> None:
    """Refuse options that spread subjects where there is a single one.

    Raises:
        ConfigError: Naming the first of them.
    """
    for name in ("workers", "scheduler", "cluster", "memory", "retries"):
        if getattr(arguments, name) is not None:
            raise ConfigError(
                f"--{name} says where the subjects of a cohort are run, got a single scan: "
                "leave it out"
            )


def retries_of(arguments: argparse.Namespace) -> int:
    """Further attempts after an unexpected error."""
    return 1 if arguments.retries is None else int(arguments.retries)


def is_elsewhere(arguments: argparse.Namespace) -> bool:
    """Whether subjects are run in other processes than the command's own."""
    return bool(arguments.scheduler or arguments.cluster or (arguments.workers or 1) > 1)


def pool_of(arguments: argparse.Namespace, warm: str) -> "Pool":
    """The workers that the options name."""
    from medrev.parallel import Pool

    return Pool(
        workers=arguments.workers or 1,
        scheduler=arguments.scheduler,
        cluster=arguments.cluster,
        memory=arguments.memory,
        warm=warm,
    )
