"""How many threads this process may compute with."""

import os


def processors() -> int:
    """``OMP_NUM_THREADS`` (which ``--threads`` sets), else the processors it may run on.

    Example:
        >>> processors() > 0
        True
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
