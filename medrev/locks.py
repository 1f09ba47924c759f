"""Whose an unfinished output is: temporary names, what the dead have left, and locks.

A temporary name says which process made it. What a process that is dead has left is removed by the
next one that writes into the folder; what a living one is writing is left alone. A lock is a file
that is locked by the system, which frees it when its holder dies, however it dies.
"""

import errno
import hashlib
import json
import os
import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from medrev.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # not on Windows
    msvcrt = None  # type: ignore[assignment]

#: How the names of temporary files and folders begin.
PREFIX = ".medrev-"
#: How those of locks begin.
LOCK = f"{PREFIX}lock"
#: How those of results begin that are kept until what replaces them is there.
ASIDE = f"{PREFIX}replaced"

#: Seconds after which a temporary file of another machine, or of an older medrev, is left over.
_OLD = 24 * 3600.0
#: Where Windows locks a byte: nobody reads one that is locked, and the holder's words come first.
_FAR = 1 << 30
#: Seconds between two looks at a lock that is waited for.
_LOOK = 0.1

_held: dict[Path, int] = {}
_mutex = threading.Lock()


def temporary_name(suffix: str = "") -> str:
    """A new hidden name that says which process it belongs to."""
    return f"{PREFIX}{_process()}-{uuid.uuid4().hex[:12]}{suffix}"


def is_own_name(name: str) -> bool:
    """Whether a name is one of a temporary file or a lock, and so no content of a folder."""
    return name.startswith(PREFIX)


def sweep(folder: Path, *, deep: bool = False) -> None:
    """Remove what processes that are dead have left in a folder."""
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            remove_left(Path(place, name))
        if not deep:
            return
        folders[:] = [name for name in folders if not is_own_name(name)]


def remove_left(path: Path) -> None:
    """Remove a temporary file or folder, or a lock, of a process that is dead."""
    if path.name.startswith(LOCK):
        _drop(path)
    elif is_own_name(path.name) and not path.name.startswith(ASIDE) and _is_left(path):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def hold(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock during the block.

    A lock whose holder is dead is taken over. The file is removed at the end.

    Args:
        path: The file of the lock; its name begins with :data:`LOCK`, its folder is there.
        wait: Seconds to wait for another holder.

    Raises:
        OutputError: Somebody else holds it, and who; or it cannot be written.
    """
    key = path.absolute()
    until = time.monotonic() + wait
    while (descriptor := _try(key)) is None:
        if time.monotonic() >= until:
            raise OutputError(f"{path.parent} is in use by {_words(_holder(path))}")
        time.sleep(_LOOK)
    try:
        yield
    finally:
        _free(key, descriptor)


def _try(path: Path) -> int | None:
    try:
        return _take(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write to the folder {path.parent} ({reason})") from None


def _take(path: Path) -> int | None:
    """Take a lock: its open file, or None where somebody has it."""
    with _mutex:
        if _held.get(path) == os.getpid():
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            mine = _lock(descriptor, path) and os.fstat(descriptor).st_ino == os.stat(path).st_ino
        except FileNotFoundError:  # its holder has just ended
            mine = False
        if not mine:
            os.close(descriptor)
            return None
        with suppress(OSError):  # a full disk: it is locked all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(_myself()).encode())
        _held[path] = os.getpid()
        return descriptor


def _lock(descriptor: int, path: Path) -> bool:
    if fcntl is not None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
    elif msvcrt is not None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    owner = _holder(path).get("owner")  # a file system without locks
    return owner in (None, _process()) or _is_dead(str(owner)) is True


def _free(path: Path, descriptor: int) -> None:
    with _mutex:
        if fcntl is None:  # Windows removes no open file; an empty one is nobody's
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if fcntl is not None:
            os.close(descriptor)
        _held.pop(path, None)


def _drop(path: Path) -> None:
    """Remove the lock of a process that is dead."""
    key = path.absolute()
    with suppress(OSError):
        descriptor = _take(key)
        if descriptor is not None:
            _free(key, descriptor)


def _myself() -> dict[str, Any]:
    return {
        "owner": _process(),
        "process": os.getpid(),
        "host": socket.gethostname(),
        "command": Path(sys.argv[0]).name.removesuffix(".py") or "python",
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _holder(path: Path) -> dict[str, Any]:
    """What the holder of a lock has written of itself."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _words(holder: dict[str, Any]) -> str:
    who = "another process"
    if holder:
        who = "{command} (process {process} on {host}, since {since})".format_map(
            dict.fromkeys(("command", "process", "host", "since"), "?") | holder
        )
    return f"{who}; wait until it has ended, or choose another output"


def _process() -> str:
    """This process: machine, number, and when it was started, since numbers come again."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


@cache
def _machine() -> str:
    """The machine, and in it the room of process numbers (containers have their own)."""
    try:
        room = os.readlink("/proc/self/ns/pid")
    except OSError:
        room = ""
    return hashlib.sha256(f"{socket.gethostname()} {room}".encode()).hexdigest()[:8]


def _started(process: int) -> str:
    """When a process was started, in ticks since the machine was; 0 where nobody says.

    Raises:
        ProcessLookupError: It has ended.
    """
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        )
    except OSError:
        if Path("/proc/self/stat").exists():
            raise ProcessLookupError from None
        return "0"
    if fields[0] in {"Z", "X"}:
        raise ProcessLookupError
    return fields[19]


def _is_dead(owner: str) -> bool | None:
    """Whether a process has ended; None where that cannot be seen from here."""
    machine, process, started = owner.split("-")
    if machine != _machine() or os.name != "posix":
        return None
    try:
        if started != "0":
            return _started(int(process)) != started
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _is_left(path: Path) -> bool:
    """Whether the process that made a temporary file is dead."""
    parts = path.name.split(".")[1].removeprefix("medrev-").split("-")
    with suppress(ValueError):
        dead = _is_dead("-".join(parts[:3])) if len(parts) == 4 else None
        if dead is not None:
            return dead
    try:
        return time.time() - path.lstat().st_mtime > _OLD
    except OSError:
        return False
