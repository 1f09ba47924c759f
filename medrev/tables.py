"""Tables of text as people and spreadsheets leave them."""

import csv
import io
import os
from dataclasses import dataclass

from medrev.errors import InputError
from medrev.texts import read_text

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
