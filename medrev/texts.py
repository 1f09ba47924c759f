"""Texts, JSON and tables as people and programs leave them: encodings, and what is no text."""

import codecs
import csv
import io
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrev.errors import InputError
from medrev.files import check_file

#: Byte order marks, the longer ones first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What workbooks of spreadsheets begin with, new and old ones.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def decode(content: bytes) -> str:
    """The text of UTF-8, or of what a byte order mark says.

    Raises:
        UnicodeDecodeError: It is no such text.

    Example:
        >>> decode("medrev".encode("utf-16"))
        'medrev'
    """
    return content.decode(
        next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    )


def read_text(path: str | os.PathLike[str], *, western: bool = False) -> str:
    """Read a text file: UTF-8, UTF-16 or UTF-32 with or without byte order mark.

    What is none is refused, or with ``western`` taken for Windows's code page 1252, in which
    spreadsheets save.

    Raises:
        InputError: It is missing, empty, not fetched, or no text.
    """
    path = Path(path)
    check_file(path)
    try:
        content = path.read_bytes()
        if content.startswith(_WORKBOOKS):
            raise InputError(f"{path}: a workbook or another archive: save it as text (CSV or TSV)")
        text = decode(content)
        if "\0" not in text:
            return text
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{path}:{line}: no text, or UTF-16 without its mark (it has null characters): save "
            "it as UTF-8"
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        if western and b"\0" not in content:
            return content.decode("cp1252", errors="replace")
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: not UTF-8 text (byte 0x{content[error.start]:02x}): save it as UTF-8"
        ) from None


class _TwiceError(ValueError):
    """A key of a JSON object has two values."""


def parse_json(text: str) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: It is no JSON, or an object in it has a key twice with two values.

    Example:
        >>> parse_json('{"Units": "mm", "Units": "m"}')
        Traceback (most recent call last):
        medrev.texts._TwiceError: the key 'Units' is there twice, with "mm" and "m"
    """
    return json.loads(text, object_pairs_hook=_single)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its keys and values, of which none has two values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if value != found[key]:
                both = " and ".join(json.dumps(each)[:40] for each in (value, found[key]))
                raise _TwiceError(f"the key '{key}' is there twice, with {both}")
    return found


def read_json(path: str | os.PathLike[str], *, lenient: bool = False) -> dict[str, Any]:
    """Read the keys and values of a JSON file, in any encoding of :func:`read_text`.

    Nothing, with ``lenient``, where there is none. A key may stand twice where both have the same
    value, as some converters write it.

    Raises:
        InputError: It is missing, not fetched, no text, no JSON, no object with keys, or has a key
            twice with two values.
    """
    if lenient:
        with suppress(InputError):
            return read_json(path) if os.path.isfile(path) else {}
        return {}
    text = read_text(path)
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not valid JSON, column {error.colno}: {error.msg}"
        ) from None
    except _TwiceError as error:
        raise InputError(f"{path}: {error}: keep the one that is right") from None
    except (RecursionError, ValueError) as error:  # a number of more digits than Python reads
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not valid JSON: {reason}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be a JSON object, got {type(document).__name__}")
    return document


_DELIMITERS = "\t;,"
#: Marks of no width, which texts that were copied have around them.
_UNSEEN = "\u200b\u2060\ufeff"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: Names of the columns, without spaces around them, as they are written.
        rows: Cells by column, without spaces around them; a cell that a row lacks is empty.
        lines: Line of the file in which each row stands.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a table whose columns are divided by tabs, semicolons or commas.

    The first line that is neither empty nor a comment (``#``) names the columns; of the three
    characters the one counts that stands in it most often, in a ``.tsv`` the tab where it has one.
    Rows that name the columns once more are left out. Text that is not UTF-8 is taken for Windows's
    western code page.

    Raises:
        InputError: It is missing, empty or not fetched, a column is named twice, a row has more
            cells than there are columns, or a quotation mark is not closed.
    """
    text = read_text(path, western=True)
    lines = text.splitlines()
    first = next((n for n, row in enumerate(lines) if row.strip() and not _aside(row)), None)
    if first is None:
        raise InputError(f"{path}: the table is empty")
    delimiter = max(_DELIMITERS, key=lines[first].count)
    if "\t" in lines[first] and str(path).lower().endswith(".tsv"):
        delimiter = "\t"
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    columns: list[str] = []
    start = 1
    rows: list[dict[str, str]] = []
    places: list[int] = []
    try:
        for cells in reader:
            stripped = [cell.strip().strip(_UNSEEN).strip() for cell in cells]
            start = reader.line_num + 1
            if not any(stripped) or _aside(stripped[0]) or stripped == columns:
                continue
            if not columns:
                columns = _columns(path, stripped)
                continue
            extra = [cell for cell in stripped[len(columns) :] if cell]
            if extra:
                raise InputError(
                    f"{path}:{reader.line_num}: the row has {len(stripped)} cells, there are "
                    f"{len(columns)} columns ({', '.join(columns)})"
                )
            stripped += [""] * (len(columns) - len(stripped))
            rows.append(dict(zip(columns, stripped, strict=False)))
            places.append(reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"{path}:{start}: cannot be read as a table: {error}; is a quotation mark in this row "
            "not closed?"
        ) from None
    return Table(tuple(columns), tuple(rows), tuple(places))


def _aside(line: str) -> bool:
    """Whether a line is a comment, or tells a spreadsheet what divides the columns."""
    return line.startswith("#") or line.lower().startswith("sep=")


def _columns(path: str | os.PathLike[str], names: list[str]) -> list[str]:
    while names and not names[-1]:  # delimiters at the end of the line
        names = names[:-1]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        shown = " and ".join(f"'{name}'" for name in twice)
        raise InputError(f"{path}: the table has more than one column named {shown}")
    return names
