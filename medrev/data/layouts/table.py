"""A CSV or TSV file of paths, one subject a row; paths are relative to the table's folder."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from medrev.data.layouts.listing import Listing
from medrev.data.subject import Subject
from medrev.errors import InputError
from medrev.files import read_text

_ID_NAMES = ("id", "participant_id", "subject", "subject_id")
_NAMES = ("participants.tsv", "participants.csv", "subjects.tsv", "subjects.csv")
_EMPTY = ("", "n/a", "na", "nan", "none")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table into rows without empty cells, names of columns in lower case.

    Raises:
        InputError: As :func:`read_table`.
    """
    return [{k.lower(): v for k, v in row.items()} for row in read_table(path)[1]]


def read_table(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Read a table: its columns, and its rows without empty cells.

    Returns:
        Columns but that of the identifier, and rows with the identifier under ``id``.

    Raises:
        InputError: The file cannot be read as a table, or has no identifier column.
    """
    text = read_text(path, western=True)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"cannot read the table {path}: it is empty")
    delimiter = "\t" if "\t" in lines[0] else ","
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    names = {column.lower(): column for column in reversed(columns)}
    id_name = next((names[name] for name in _ID_NAMES if name in names), None)
    if id_name is None:
        raise InputError(
            f"{path} needs an identifier column ({', '.join(_ID_NAMES)}); "
            f"its columns are: {', '.join(columns) or 'none'}"
        )
    rows = []
    for raw in reader:
        cells = {k: v.strip() for k, v in raw.items() if isinstance(k, str) and v is not None}
        row = {k: v for k, v in cells.items() if v.lower() not in _EMPTY}
        row["id"] = row.pop(id_name, "")
        rows.append(row)
    return tuple(column for column in columns if column != id_name), rows


def find_table(root: Path) -> Path | None:
    """Return ``root`` itself if it is a table, else the table in it."""
    if root.is_file() and root.suffix in (".csv", ".tsv"):
        return root
    return next((p for name in _NAMES if (p := root / name).is_file()), None)


def take_participants(listing: Listing, root: Path, roles: Sequence[str] = ()) -> None:
    """Take over what ``participants.tsv`` says of subjects, where there is one: their ``split``.

    Its identifiers are the subjects', or the persons' with or without ``sub-``. One that cannot be
    read is a matter of those who need its parts (:attr:`Listing.unread`).

    Args:
        listing: Changed in place.
        root: Folder of the table.
        roles: Columns of more files, whose paths are relative to the folder.
    """
    path = root / "participants.tsv"
    if not path.is_file():
        return
    try:
        rows = {row["id"]: row for row in read_rows(path)}
    except InputError as error:
        listing.unread = str(error)
        return
    for index, subject in enumerate(listing.subjects):
        names = (subject.id, subject.person, subject.person.removeprefix("sub-"))
        row = next((rows[name] for name in names if name in rows), None)
        if row is not None:
            more = {role: root / row[role] for role in roles if role in row}
            listing.subjects[index] = replace(
                subject, split=row.get("split"), files={**subject.files, **more}
            )


def list_rows(table: Path, files: Callable[[dict[str, str], Path], dict[str, Path]]) -> Listing:
    """List the subjects in the rows of a table.

    Args:
        table: The file.
        files: Gives the files of a row, whose paths are relative to the folder, by role.
    """
    listing = Listing()
    for number, row in enumerate(read_rows(table), start=2):
        if row["id"]:
            found = files(row, table.parent)
            listing.subjects.append(Subject(row["id"], found, split=row.get("split")))
        else:
            listing.problems.append(f"{table.name} row {number}: the identifier is empty")
    return listing
