"""Text files as people leave them: JSON and tables in the encodings of editors and spreadsheets."""

import codecs
import csv
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrev.errors import InputError
from medrev.files import check_file

__all__ = ["Table", "decode", "read_json", "read_table", "read_text"]

#: Byte order marks, the longer ones first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = "\t;,"


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

    Args:
        path: The file.
        western: Take what is not UTF-8 for Windows's western code page (1252), in which
            spreadsheets save, instead of refusing it.

    Raises:
        InputError: It is missing, empty, not fetched, or no text.
    """
    path = Path(path)
    check_file(path)
    try:
        content = path.read_bytes()
        return decode(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        if western and b"\0" not in content:
            return content.decode("cp1252", errors="replace")
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: not UTF-8 text (byte 0x{content[error.start]:02x}): save it as UTF-8"
        ) from None


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the keys and values of a JSON file.

    Raises:
        InputError: It is missing, not fetched, no text, no JSON, or no object with keys.
    """
    text = read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not valid JSON, column {error.colno}: {error.msg}"
        ) from None
    except (RecursionError, ValueError) as error:  # a number of more digits than Python reads
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not valid JSON: {reason}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be a JSON object, got {type(document).__name__}")
    return document


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
    characters the one counts that stands in it most often. Text that is not UTF-8 is taken for
    Windows's western code page.

    Raises:
        InputError: It is missing, empty or not fetched, a column is named twice, or a row has more
            cells than there are columns.
    """
    text = read_text(path, western=True)
    lines = text.splitlines()
    first = next((n for n, row in enumerate(lines) if row.strip() and row[:1] != "#"), None)
    if first is None:
        raise InputError(f"{path}: the table is empty")
    delimiter = max(_DELIMITERS, key=lines[first].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns: list[str] = []
    rows: list[dict[str, str]] = []
    places: list[int] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped) or stripped[0].startswith("#"):
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
        raise InputError(f"{path}:{reader.line_num}: cannot be read as a table: {error}") from None
    return Table(tuple(columns), tuple(rows), tuple(places))


def _columns(path: str | os.PathLike[str], names: list[str]) -> list[str]:
    while names and not names[-1]:  # delimiters at the end of the line
        names = names[:-1]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        shown = " and ".join(f"'{name}'" for name in twice)
        raise InputError(f"{path}: the table has more than one column named {shown}")
    return names
