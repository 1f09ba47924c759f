"""The text and the voxels of NRRD files: in the file itself, beside it, or in several files."""

import bz2
import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.files import check_file, named_in
from medrev.volumes.gzipped import read_gzip
from medrev.volumes.reading import numbered, one_line, text_numbers

#: Names of the types, by NumPy's code.
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
#: Names of the encodings.
ENCODINGS = {
    "raw": "raw",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "ascii": "text",
    "text": "text",
    "txt": "text",
    "hex": "hex",
}
#: Names of fields that the standard lets one write in two ways.
ALIASES = {
    "datafile": "data file",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "centers": "centerings",
}
#: Fields of vectors, between whose numbers there may be spaces.
VECTORS = ("space directions", "space origin", "measurement frame")
LONGEST = 1 << 20  # bytes of a header
BLOCK = 1 << 20


@dataclass(frozen=True)
class RawHeader:
    """The fields of a header, and where its voxels are.

    Attributes:
        path: The file.
        fields: As pynrrd gives them; names in lower case.
        files: The data files, in order; the file itself where it holds them.
        offset: Byte of the file after the header.
    """

    path: Path
    fields: dict[str, Any]
    files: tuple[Path, ...]
    offset: int

    @property
    def detached(self) -> bool:
        """Whether the voxels lie in other files."""
        return self.files != (self.path,)


@contextlib.contextmanager
def nrrd_errors(path: Path, field: str = "") -> Iterator[None]:
    """Turn what pynrrd raises, of a field if one is named, into one line."""
    import nrrd

    kinds = (nrrd.NRRDError, ValueError, KeyError, IndexError, TypeError, OverflowError)
    place = f"{path}: the field {field}" if field else path
    with one_line(place, *kinds, StopIteration):
        yield


def read_raw_header(path: Path) -> RawHeader:
    """Read the fields of a NRRD file.

    Raises:
        InputError: It is no NRRD file, damaged, or a data file is missing.
    """
    import nrrd

    with nrrd_errors(path), open(path, "rb") as stream:
        if stream.read(4) != b"NRRD":
            raise InputError(f"{path}: not a NRRD file (it does not begin with NRRD)")
        stream.seek(0)
        lines, listed = _lines(stream)
        offset = stream.tell()
        nrrd.read_header(lines[:1])  # the version
        for line in lines[1:]:  # one by one, so that an error names its field
            with nrrd_errors(path, line.partition(":")[0]):
                nrrd.read_header([lines[0], line])
        raw = nrrd.read_header(lines)
    missing = [name for name in ("type", "dimension", "sizes", "encoding") if name not in raw]
    if missing:
        raise InputError(f"{path}: truncated: the header has no {' and no '.join(missing)}")
    stated = str(raw.get("data file", ""))
    names = [stated] if stated else []
    if stated.split()[:1] == ["LIST"]:
        names = listed
    elif "%" in stated:
        with nrrd_errors(path):
            names = numbered(stated)
    if stated and not names:
        raise InputError(f"{path}: damaged: its data file LIST names no files")
    files = tuple(named_in(path.parent, name) for name in names) or (path,)
    for file in files:
        try:
            check_file(file)
        except InputError as error:
            raise InputError(f"{path}: of its data, {error}") from None
    return RawHeader(path, dict(raw), files, offset)


def _lines(stream: IO[bytes]) -> tuple[list[str], list[str]]:
    """The lines of a header with names of fields in lower case, and those of a list of files."""
    lines: list[str] = []
    while stream.tell() < LONGEST:
        line = stream.readline(LONGEST).decode("utf-8", "replace").rstrip()
        if not line:
            break
        name, colon, value = line.partition(":")
        if lines and colon and value.startswith("="):
            if name.strip().lower() != "modality":  # any key is allowed, a field's name, too
                continue
        elif lines and colon and not line.startswith("#"):
            name = name.strip().lower()
            if name in VECTORS:
                value = re.sub(r"(?<=[(,])\s+|\s+(?=[,)])", "", value)
            line = f"{ALIASES.get(name, name)}:{value}"
            if name in ("data file", "datafile") and value.split()[:1] == ["LIST"]:
                rest = stream.read(LONGEST).decode("utf-8", "replace").splitlines()
                return [*lines, line], [name.strip() for name in rest if name.strip()]
        lines.append(line)
    return lines, []


def nrrd_type(raw: RawHeader) -> np.dtype[Any]:
    """The type of the voxels.

    Raises:
        InputError: It is none of whole or real numbers, or nobody says in which order its bytes
            are.
    """
    name = " ".join(str(raw.fields["type"]).split()).lower()
    code = next((code for code, names in TYPES.items() if name in names), None)
    if code is None:
        raise InputError(f"{raw.path}: the type must be whole or real numbers, got {name}")
    endian = str(raw.fields.get("endian", "")).lower()
    binary = ENCODINGS.get(str(raw.fields["encoding"]).lower()) != "text"
    if np.dtype(code).itemsize > 1 and binary and endian not in ("little", "big"):
        raise InputError(f"{raw.path}: endian must be little or big, got {endian or 'nothing'}")
    return np.dtype(code).newbyteorder(">" if endian == "big" else "<")


def read_voxels(raw: RawHeader) -> NDArray[Any]:
    """The array as stored, its fastest axis first.

    Raises:
        InputError: The voxels are damaged or cut off, or their encoding is not known.
    """
    sizes = [int(n) for n in raw.fields["sizes"]]
    dtype = nrrd_type(raw)
    total, count = math.prod(sizes), len(raw.files)
    if total % count:
        raise InputError(f"{raw.path}: {total} numbers cannot be shared by {count} data files")
    parts = [_numbers(raw, file, dtype, total // count) for file in raw.files]
    whole = parts[0] if count == 1 else np.concatenate(parts)
    return whole.reshape(sizes, order="F")


def _numbers(raw: RawHeader, file: Path, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """The numbers of one data file."""
    stated = str(raw.fields["encoding"]).lower()
    encoding = ENCODINGS.get(stated)
    if encoding is None:
        raise InputError(f"{raw.path}: the encoding must be {', '.join(ENCODINGS)}, got {stated}")
    lines, skip = (int(raw.fields.get(name, 0)) for name in ("line skip", "byte skip"))
    if lines < 0 or skip < -1 or (skip == -1 and encoding != "raw"):
        raise InputError(
            f"{raw.path}: line skip must be 0 or more, and byte skip too (or -1 in raw files), got "
            f"{lines} and {skip}"
        )
    size = count * dtype.itemsize
    with nrrd_errors(file), open(file, "rb") as stream, contextlib.ExitStack() as stack:
        stream.seek(0 if raw.detached else raw.offset)
        for _ in range(lines):
            if not stream.readline():
                break
        source: Any = stream
        if encoding == "gzip":
            source = stack.enter_context(read_gzip(stream))
        elif encoding == "bzip2":
            source = stack.enter_context(bz2.open(stream))
        if encoding in ("text", "hex"):
            _pass_over(source, skip)
            return _of_text(raw.path, source.read(), encoding, dtype, count)
        if skip == -1:
            stream.seek(-min(size, file.stat().st_size), 2)
        else:
            _pass_over(source, skip)
        content = source.read(size)
        if encoding != "raw":  # at its end the check sum is compared
            _pass_over(source)
    return np.frombuffer(_whole(raw.path, content, size), dtype)


def _pass_over(source: IO[bytes], count: float = math.inf) -> None:
    """Read so many bytes, or to the end, and keep none."""
    while count > 0 and (block := source.read(int(min(count, BLOCK)))):
        count -= len(block)


def _of_text(
    path: Path, content: bytes, encoding: str, dtype: np.dtype[Any], count: int
) -> NDArray[Any]:
    if encoding == "hex":
        size = count * dtype.itemsize
        try:
            digits = bytes.fromhex(content.decode("ascii", "replace"))
        except ValueError:
            raise InputError(
                f"{path}: its hexadecimal digits are truncated or damaged: copy it again"
            ) from None
        return np.frombuffer(_whole(path, digits, size), dtype)
    return text_numbers(path, content.replace(b",", b" "), dtype, count)


def _whole(path: Path, content: bytes, size: int) -> bytes:
    if len(content) < size:
        raise InputError(
            f"{path}: truncated: the header promises {size} bytes of voxels, got {len(content)}: "
            "copy it again"
        )
    return content[:size]
