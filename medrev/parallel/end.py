"""How clients and workers end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any, TypeVar

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
