"""A client of a running scheduler, whose workers are of this medrev; how both end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from medrev import __version__
from medrev.errors import ClusterError
from medrev.parallel.outcome import one_line

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


if TYPE_CHECKING:
    from distributed import Client

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
