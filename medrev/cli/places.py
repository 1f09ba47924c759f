"""Options of commands that run many subjects: processes here, a scheduler, a batch system."""

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medrev.cli.options import add_options
from medrev.errors import ConfigError

if TYPE_CHECKING:
    from medrev.parallel import Pool

__all__ = ["Places", "add_places", "check_places", "is_elsewhere", "pool_of"]


_GROUP = "where subjects are run"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where subjects are run."""

    workers: int | None = field(default=None, metadata={"group": _GROUP, "metavar": "N"})
    """processes on this machine, or jobs of --cluster (default: 1)"""
    scheduler: str | None = field(default=None, metadata={"group": _GROUP, "metavar": "ADDRESS"})
    """a running dask scheduler, as tcp://host:8786"""
    cluster: str | None = field(default=None, metadata={"group": _GROUP, "metavar": "SYSTEM"})
    """a batch system: slurm, pbs, sge, lsf or htcondor (needs medrev[cluster])"""
    memory: float | None = field(default=None, metadata={"group": _GROUP, "metavar": "GIB"})
    """memory limit of a worker (default: its share)"""
    retries: int = field(default=1, metadata={"group": _GROUP, "metavar": "N"})
    """further attempts after an unexpected error (default: 1)"""


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``, ``--scheduler``, ``--cluster``, ``--memory`` and ``--retries``."""
    add_options(parser, Places)


def check_places(arguments: argparse.Namespace) -> None:
    """Refuse values that make no sense before anything slow is imported.

    Raises:
        ConfigError: A number is too small, or two options exclude each other.
    """
    for name, least in (("workers", 1), ("retries", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name} must be at least {least}, got {value}")
    if arguments.memory is not None and not arguments.memory > 0:
        raise ConfigError(f"--memory must be a positive number of GiB, got {arguments.memory}")
    if arguments.scheduler is not None and (arguments.workers or arguments.memory):
        raise ConfigError("--workers and --memory are those of the workers of --scheduler")


def is_elsewhere(arguments: argparse.Namespace) -> bool:
    """Whether subjects are run in other processes than the command's own."""
    return bool(arguments.scheduler or arguments.cluster or (arguments.workers or 1) > 1)


def pool_of(arguments: argparse.Namespace, warm: str) -> "Pool":
    """The workers that the options name.

    Args:
        arguments: The parsed options.
        warm: A module that is imported once for all workers of this machine.
    """
    from medrev.parallel import Pool

    return Pool(
        workers=arguments.workers or 1,
        scheduler=arguments.scheduler,
        cluster=arguments.cluster,
        memory=arguments.memory,
        warm=warm,
    )
