"""Writing files whole or not at all, naming them by their content, finding and listing them.

A result appears under its name only when it is complete: it is written beside its target and
renamed, so a killed or failed command leaves no half-written file behind.
"""

import difflib
import errno
import getpass
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath

from medrev.errors import InputError, OutputError
from medrev.locks import ASIDE, LOCK, hold, is_own_name, remove, sweep, temporary_name

_BLOCK = 1 << 20
_ENDING = re.compile(r"\.[A-Za-z]{2,5}")
#: What the stand-ins of git-annex and Git LFS begin with, and how their content is fetched.
_POINTERS = {
    b"/annex/objects/": "git-annex, fetch it with 'datalad get' or 'git annex get'",
    b"version https://git-lfs.github.com/spec/": "Git LFS, fetch it with 'git lfs pull'",
}
#: Errors of a disk that is full, or may not be written.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}

#: Folders in which this process has removed what others left.
_swept: set[Path] = set()


@contextmanager
def atomic_path(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well.

    The temporary name keeps every suffix (``.nii.gz``), so writers that go by the suffix work.
    If the block raises, or writes nothing, the temporary file is removed and ``path`` is as it was.

    Args:
        path: The file to write; its folder is created.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false, the folder cannot be written, or
            the disk is full.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.csv"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("1,2,3")
        >>> target.read_text()
        '1,2,3'
    """
    target = Path(path)
    _refuse_existing(target, overwrite)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; a file of this name cannot be written")
    ensure_writable_folder(target.parent)
    temporary = _beside(target)
    try:
        with _disk_errors(target):
            yield temporary
            if not temporary.exists():
                raise OutputError(f"{target}: nothing was written")
            _readable(temporary)
            _sync(temporary)
            _refuse_existing(target, overwrite)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _readable(path: Path) -> None:
    """Let those read a file who can read other new ones: safetensors writes for its owner alone."""
    umask = os.umask(0o077)
    os.umask(umask)
    with suppress(OSError):  # of file systems without permissions
        path.chmod(path.stat().st_mode & 0o777 | 0o666 & ~umask)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes ``path`` when the block ends well.

    As `atomic_path`, for results of several files that belong together, such as a bundle. An
    existing folder stays in place until the new one is complete; one that a killed process has
    just set aside comes back.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is false, the parent folder cannot be
            written, another process is writing there, or the disk is full.
    """
    target = Path(path)
    old = target.with_name(f"{ASIDE}-{target.name}")
    if not old.exists():
        _refuse_existing(target, overwrite)
    ensure_writable_folder(target.parent)
    with hold(target.with_name(f"{LOCK}-{target.name}")):
        if old.exists() and not target.exists():
            old.rename(target)
        remove(old)
        _refuse_existing(target, overwrite)
        temporary = _beside(target)
        try:
            with _disk_errors(target):
                temporary.mkdir()
                yield temporary
                for file in temporary.rglob("*"):
                    if file.is_file():
                        _sync(file)
                if target.exists():
                    target.rename(old)
                temporary.rename(target)
                _sync(target.parent)
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
            remove(temporary)
            remove(old)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Bytes of file names that are no text are escaped as JSON does it.

    Raises:
        OutputError: As :func:`atomic_path`.
    """
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def user_cache() -> Path:
    """The folder of medrev in the user's cache; it need not exist.

    Users without a home, or one that they cannot write, have it among the temporary files.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError, OSError):
        folder = Path(given) if given else Path.home() / ".cache"
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        if os.access(existing, os.W_OK | os.X_OK):
            return folder / "medrev"
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"medrev-cache-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        own = not hasattr(os, "getuid") or folder.stat().st_uid == user
        if own and not folder.is_symlink():
            return folder / "medrev"
    return Path(tempfile.mkdtemp(prefix="medrev-cache-")) / "medrev"


def overwrite_in_place(path: str | os.PathLike[str], text: str) -> None:
    """Write a short text over a short file, which needs no new room on a full disk.

    Nothing is done where that is not possible.
    """
    content = text.encode()
    with suppress(OSError), Path(path).open("r+b") as stream:
        length = os.fstat(stream.fileno()).st_size
        stream.write(content.ljust(length))
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())


def ensure_writable_folder(path: str | os.PathLike[str]) -> Path:
    """Create the folder ``path`` where it is missing and make sure that it can be written.

    What killed processes have left in it is removed.

    Raises:
        OutputError: It, or a parent of it, is a file or cannot be written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / temporary_name()
        probe.touch()
        probe.unlink()
    except (FileExistsError, NotADirectoryError):
        file = next((p for p in (folder, *folder.parents) if p.is_file()), folder)
        raise OutputError(f"{file} is a file, not a folder; choose another output") from None
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder {folder} ({_reason(error)}); choose another output"
        ) from None
    if (place := folder.absolute()) not in _swept:
        _swept.add(place)
        sweep(folder)
    return folder


def is_named_like_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path that is no folder has the ending of a file: letters, not a number.

    Example:
        >>> is_named_like_file("text.txt"), is_named_like_file("results_v1.2")
        (True, False)
    """
    return bool(_ENDING.fullmatch(Path(path).suffix)) and not Path(path).is_dir()


def check_folder_name(path: str | os.PathLike[str]) -> None:
    """Refuse to make a folder of a name that a file would have.

    Raises:
        OutputError: It is such a name, and nothing has it already.
    """
    if is_named_like_file(path) and not Path(path).exists():
        raise OutputError(
            f"--output {path} has the ending of a file, a folder is needed: choose another name, "
            "or make the folder before"
        )


def named_in(folder: Path, name: str) -> Path:
    r"""The file that a text names, relative to a folder; with ``\\`` as Windows writes it, too.

    Example:
        >>> named_in(Path("cohort"), r"sub-01\dwi.nii.gz").as_posix()
        'cohort/sub-01/dwi.nii.gz'
    """
    path = folder / name
    if "\\" not in name or os.path.lexists(path):
        return path
    whole = PureWindowsPath(name)
    return Path(whole.as_posix()) if whole.drive else folder / whole.as_posix()


def check_file(path: str | os.PathLike[str]) -> None:
    """Check that a file is there with its content; suggest files of a similar name.

    Raises:
        InputError: It is missing, a folder, empty, a link that leads nowhere, or the stand-in of a
            file that git-annex or Git LFS has not fetched.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, a file is needed")
        if path.exists():
            if path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes): copy it again")
            _refuse_pointer(path)
            return
        if path.is_symlink():
            target = os.readlink(path)
            fetch = (
                ": its content was not fetched; run 'datalad get' or 'git annex get'"
                if "annex" in Path(target).parts
                else ": correct the link, or copy the file itself"
            )
            raise InputError(f"{path}: is a broken link, to {target}{fetch}")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error
    raise InputError(f"{path}: no such file{not_there(path)}")


def not_there(path: str | os.PathLike[str]) -> str:
    """How a message goes on about a path that does not exist: what is missing, what is like it.

    Example:
        >>> not_there(Path(__file__).parent / "optoins.py")
        '; did you mean options.py?'
    """
    missing = Path(path)
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    where = "" if missing == Path(path) else f": the folder {missing} does not exist"
    with suppress(OSError, ValueError):
        near = difflib.get_close_matches(missing.name, os.listdir(missing.parent), 3, 0.7)
        where += f"; did you mean {' or '.join(near)}?" if near else ""
    return where


def is_present(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of this name; one that is there by name only is an error.

    For side files, which enter a result where they are found: a mask that was not fetched must
    not be passed over as if there were none.

    Raises:
        InputError: As :func:`check_file`, except that the file may be missing or a folder.
    """
    path = Path(path)
    if not path.is_file() and not path.is_symlink():
        return False
    check_file(path)
    return True


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(100)
    for mark, fetch in _POINTERS.items():
        if mark in start:
            raise InputError(f"{path}: holds no data but a pointer of {fetch}")


def content_hash(source: str | os.PathLike[str] | bytes) -> str:
    """SHA-256, in hexadecimal, of a file's content or of bytes.

    Raises:
        InputError: The file cannot be read.

    Example:
        >>> content_hash(b"medrev")[:12]
        '7e557e5ccf67'
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    try:
        with Path(source).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise InputError(f"cannot read {source} ({_reason(error)})") from None
    return digest.hexdigest()


def as_bytes(text: str) -> bytes:
    """A text in UTF-8, bytes of file names that are no text as they are.

    Example:
        >>> as_bytes(os.fsdecode(bytes([99, 233]))) == bytes([99, 233])
        True
    """
    return text.encode("utf-8", "surrogateescape")


def files_below(folder: str | os.PathLike[str]) -> list[Path]:
    """All files below a folder, sorted; hidden ones and those of hidden folders are left out."""
    found = []
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(target):
        raise OutputError(f"{target} exists already; give --overwrite to replace it")


def _beside(target: Path) -> Path:
    """A new hidden name in the target's folder, with the target's suffixes."""
    return target.with_name(temporary_name("".join(target.suffixes[-2:])))


def _sync(path: Path) -> None:
    """Put a file, or a folder's list of names, on the disk; folders only where that exists."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Turn the system's errors of a full or read-only disk into one line.

    What is written into a temporary file or folder is told of by who makes that.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK and not any(map(is_own_name, target.parts)):
            raise OutputError(f"cannot write {target} ({_reason(error)})") from error
        raise


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = os.strerror(number) if number else str(error)
    return text[:1].lower() + text[1:]
