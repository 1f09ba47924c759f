"""Whether workers can still be expected to do what is left of their subjects."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from medrev.errors import ClusterError, counted

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
        """Wait in the block, at most as many seconds as it is handed, and look if it was in vain.

        Args:
            left: Subjects that are not done.

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
