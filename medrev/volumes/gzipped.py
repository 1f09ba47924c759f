"""Gzip streams: isal's where it is installed (extra fast-gzip), else the standard library's."""

import gzip
import importlib.util
import zlib
from pathlib import Path
from typing import IO, Any

fast_gzip: Any = importlib.import_module("isal.igzip") if importlib.util.find_spec("isal") else None

#: What either library raises for a truncated or damaged stream.
DAMAGE: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
if fast_gzip is not None:
    DAMAGE = (*DAMAGE, importlib.import_module("isal.isal_zlib").error)


#: Deflate makes of 258 bytes no less than two bits.
MOST_FOLD = 1032


def is_gzip(path: Path) -> bool:
    """Whether a file is zipped: by its first bytes, not by its suffix."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def most_bytes(path: Path) -> int:
    """How many bytes a file can hold, unzipped: more is promised by no whole file."""
    return path.stat().st_size * (MOST_FOLD if is_gzip(path) else 1)


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading; unzipped where it is zipped."""
    opener: Any = open
    if is_gzip(path):
        opener = gzip.open if fast_gzip is None else fast_gzip.open
    stream: IO[bytes] = opener(path, "rb")
    return stream


def read_gzip(file: IO[bytes]) -> Any:
    """The bytes of the gzip stream that begins where a file stands; its check sum is checked."""
    library = gzip if fast_gzip is None else fast_gzip
    return library.GzipFile(fileobj=file) if library is gzip else library.IGzipFile(fileobj=file)


def write_gzip(file: IO[bytes]) -> Any:
    """A gzip stream into a file, to be closed; without file name and time in its header."""
    if fast_gzip is None:
        return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
    return fast_gzip.IGzipFile(filename="", mode="wb", compresslevel=2, fileobj=file, mtime=0)
