"""A CSV or TSV file of paths, one subject a row; paths are relative to the table's folder."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medrev.data.layouts.listing import Listing
from medrev.data.subject import Subject
from medrev.errors import InputError
from medrev.files import named_in
from medrev.tables import Table, read_table

_ID_NAMES = ("id", "participant_id", "subject", "subject_id")
_NAMES = ("participants.tsv", "participants.csv", "subjects.tsv", "subjects.csv")
_EMPTY = ("", "n/a", "na", "nan", "none")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table into rows without empty cells, names of columns in lower case.

    Raises:
        InputError: As :func:`read_subjects`.
    """
    return [{k.lower(): v for k, v in row.items()} for row in read_subjects(path).rows]


def read_subjects(path: Path) -> Table:
    """Read a table of subjects: its rows have the identifier under ``id``, and no empty cells.

    Returns:
        The table; its columns are those but that of the identifier.

    Raises:
        InputError: The file cannot be read as a table, or has no identifier column.
    """
    table = read_table(path)
    names = {column.lower(): column for column in reversed(table.columns)}
    id_name = next((names[name] for name in _ID_NAMES if name in names), None)
    if id_name is None:
        raise InputError(
            f"{path} needs an identifier column ({', '.join(_ID_NAMES)}); "
            f"its columns are: {', '.join(table.columns) or 'none'}"
            + "; tabs, semicolons or commas divide columns"
            * (len(table.columns) == 1)
        )
    rows = []
    for cells in table.rows:
        row = {k: v for k, v in cells.items() if v.lower() not in _EMPTY}
        row["id"] = row.pop(id_name, "")
        rows.append(row)
    columns = tuple(column for column in table.columns if column != id_name)
    return Table(columns, tuple(rows), table.lines)


def by_name(
    rows: Mapping[str, dict[str, str]], among: Iterable[Subject] = ()
) -> Callable[[str], dict[str, str] | None]:
    """A function from a subject's name, or that of its scan, to its row.

    Identifiers are the subjects', or the persons' with or without ``sub-``. What spreadsheets make
    of them (``1`` or ``1.0`` of ``01``, ``SUB-01``, a longer dash) is understood where it means
    one row only.

    Args:
        rows: By identifier.
        among: All subjects: a row that is written like none of two persons whose it could be (``1``
            of ``sub-01`` and ``sub-001``) is of neither.

    Example:
        >>> by_name({"1": {"age": "30"}})("sub-01_ses-2")
        {'age': '30'}
    """
    labels = Counter(map(_label, rows))
    persons = Counter(map(_label, {subject.person for subject in among}))
    alike = {
        label: row
        for name, row in rows.items()
        if labels[label := _label(name)] == 1 and persons[label] <= 1
    }

    def find(subject: str) -> dict[str, str] | None:
        person = Subject(subject).person
        names = (subject, person, person.removeprefix("sub-"))
        row = next((rows[name] for name in names if name in rows), None)
        return alike.get(_label(person)) if row is None else row

    return find


def _label(name: str) -> str:
    """What spreadsheets leave of an identifier."""
    label = re.sub("[\u2010-\u2015\u2212]", "-", name.strip().lower()).removeprefix("sub-")
    number = re.fullmatch(r"0*(\d+)([.,]0*)?", label)
    return number.group(1) if number else label


def find_table(root: Path) -> Path | None:
    """Return ``root`` itself if it is a table, else the table in it."""
    if root.is_file() and root.suffix in (".csv", ".tsv"):
        return root
    return next((p for name in _NAMES if (p := root / name).is_file()), None)


def take_participants(listing: Listing, root: Path, roles: Sequence[str] = ()) -> None:
    """Take over what ``participants.tsv`` says of subjects, where there is one: their ``split``.

    A table that cannot be read, or divides nobody who is there, is a matter of those who need its
    parts (:attr:`Listing.unread`).

    Args:
        listing: Changed in place.
        root: Folder of the table.
        roles: Columns of more files, whose paths are relative to the folder.
    """
    path = root / "participants.tsv"
    if not path.is_file():
        return
    try:
        rows: dict[str, dict[str, str]] = {}
        for each in read_rows(path):
            if rows.setdefault(each["id"], each).get("split") != each.get("split"):
                raise InputError(
                    f"{path}: {each['id']} is listed twice, in different parts (split)"
                )
    except InputError as error:
        listing.unread = str(error)
        return
    find, found = by_name(rows, listing.subjects), 0
    for index, subject in enumerate(listing.subjects):
        row = find(subject.id)
        if row is not None:
            found += 1
            more = {role: named_in(root, row[role]) for role in roles if role in row}
            listing.subjects[index] = replace(
                subject, split=row.get("split"), files={**subject.files, **more}
            )
    if not found and any("split" in row for row in rows.values()):
        named, there = next(iter(rows)), ", ".join(s.id for s in listing.subjects[:3])
        listing.unread = (
            f"{path}: its split is of none of the subjects ({there}): it names them {named} …"
        )


@dataclass
class TableLayout:
    """A cohort whose files a table names, one subject a row.

    Attributes:
        EXPECTED: What the table looks like.
        names: Whether a row names files of the kind.
        files: The files of a row by role; paths are relative to the folder of the table.
        column: What a column of such files is called, in words.
    """

    EXPECTED: str
    names: Callable[[dict[str, str]], bool]
    files: Callable[[dict[str, str], Path], dict[str, Path]]
    column: str

    def matches(self, root: Path) -> bool:
        """Tell whether ``root`` is, or holds, a table with such files."""
        table = find_table(root)
        try:
            return table is not None and any(map(self.names, read_rows(table)))
        except InputError:
            return False

    def read(self, root: Path) -> Listing:
        """List the subjects of the table that ``root`` is or holds.

        Raises:
            InputError: It cannot be read, or names no such files.
        """
        listing, table = Listing(), find_table(root)
        if table is None:
            return listing
        for number, row in zip(read_subjects(table).lines, read_rows(table), strict=True):
            if row["id"]:
                found = self.files(row, table.parent)
                listing.subjects.append(Subject(row["id"], found, split=row.get("split")))
            else:
                listing.problems.append(f"{table.name} row {number}: the identifier is empty")
        if not self.matches(root):
            raise InputError(f"{table} has no column {self.column}; expected {self.EXPECTED}")
        return listing
