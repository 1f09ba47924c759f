"""How cohorts lie on disk: what the layouts of all kinds of scans share."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medrev.data.subject import Subject
from medrev.errors import InputError
from medrev.files import named_in
from medrev.texts import Table, read_table
from medrev.volumes import NIFTI, without_twins

logger = logging.getLogger(__name__)

_ID_NAMES = ("id", "participant_id", "subject", "subject_id")
_NAMES = ("participants.tsv", "participants.csv", "subjects.tsv", "subjects.csv")
_EMPTY = ("", "n/a", "na", "nan", "none")
_PARTICIPANTS = _NAMES[:2]


@dataclass
class Listing:
    """Subjects found in a layout, its name, and what was wrong.

    Attributes:
        subjects: All of them.
        problems: What keeps subjects from being used, one line each.
        layout: Its name.
        unread: Why the table of participants, which may divide them, cannot be read.
    """

    subjects: list[Subject] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    layout: str = ""
    unread: str = ""


@dataclass(frozen=True)
class Layout:
    """How a cohort lies on disk.

    Attributes:
        expected: What it looks like, for messages.
        matches: Whether a folder (of a table also the table) looks like it.
        read: Lists the scans in it, and what is wrong there.
    """

    expected: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def folders(root: Path) -> list[Path]:
    """Return the visible folders in ``root``, sorted by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def nifti_files(folder: Path) -> list[Path]:
    """Return the NIfTI files, and links to such, directly in ``folder``, sorted by name.

    Of ``.hdr`` and ``.img`` it is the header, but not where the same is there as one file.
    """
    found = sorted(
        p
        for p in folder.iterdir()
        if p.name.endswith(NIFTI) and is_there(p) and not p.name.startswith(".")
    )
    return without_twins(found)


def first_file(candidates: Iterable[Path]) -> Path | None:
    """Return the first candidate that is a file."""
    return next((path for path in candidates if is_there(path)), None)


def is_there(path: Path) -> bool:
    """Tell whether there is a file of this name, or a link, though its file was not fetched."""
    return path.is_file() or path.is_symlink()


def known(**files: Path | None) -> dict[str, Path]:
    """Return files by role, without those that were not found."""
    return {role: path for role, path in files.items() if path is not None}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table into rows without empty cells, names of columns in lower case.

    Raises:
        InputError: As :func:`read_subjects`.
    """
    return [{k.lower(): v for k, v in row.items()} for row in read_subjects(path).rows]


def read_subjects(path: Path) -> Table:
    """Read a table of subjects: the identifier ``id`` becomes its rows' names; no cell is empty.

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
    """Take over, in place, what ``participants.tsv`` says of subjects, where there is one.

    That is their ``split``, and more files in the columns ``roles``, with paths relative to the
    folder.

    A table that cannot be read, or divides nobody who is there, is a matter of those who need its
    parts (:attr:`Listing.unread`).
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


def table_layout(
    expected: str,
    names: Callable[[dict[str, str]], bool],
    files: Callable[[dict[str, str], Path], dict[str, Path]],
    *,
    column: str,
) -> Layout:
    """A cohort whose files a table names, one subject a row; paths are relative to its folder.

    ``column`` says what a column of such files is called.
    """

    def matches(root: Path) -> bool:
        """Whether ``root`` is, or holds, a table with such files."""
        table = find_table(root)
        try:
            return table is not None and any(map(names, read_rows(table)))
        except InputError:
            return False

    def read(root: Path) -> Listing:
        """List the subjects; refuse a table that cannot be read, or names no such files."""
        listing, table = Listing(), find_table(root)
        if table is None:
            return listing
        for number, row in zip(read_subjects(table).lines, read_rows(table), strict=True):
            if row["id"]:
                found = files(row, table.parent)
                listing.subjects.append(Subject(row["id"], found, split=row.get("split")))
            else:
                listing.problems.append(f"{table.name} row {number}: the identifier is empty")
        if not matches(root):
            raise InputError(f"{table} has no column {column}; expected {expected}")
        return listing

    return Layout(expected, matches, read)


def participants(
    given: Path | None, beside: list[Path], subjects: Iterable[str]
) -> Callable[[str], dict[str, str]]:
    """What is known about the subjects: a function from a subject's name to its cells.

    Of several rows of one subject (sessions, or copies) the cells count in which they agree.

    Args:
        given: The table.
        beside: Where else a ``participants.tsv`` may lie; the first one counts, if it can be read.
        subjects: All subjects: a row that could be of two of them is of neither.

    Raises:
        InputError: The given table cannot be read.
    """
    places = [folder / name for folder in beside for name in _PARTICIPANTS]
    path = given or next((place for place in places if place.is_file()), None)
    if path is None:
        return lambda subject: {}
    rows: dict[str, dict[str, str]] = {}
    try:
        for row in read_subjects(path).rows:
            name = row.pop("id")
            rows[name] = dict(rows.get(name, row).items() & row.items())
    except InputError as error:
        if given is not None:
            raise
        logger.warning("warning: %s; nothing is taken from it", error)
    find = by_name(rows, map(Subject, subjects))
    return lambda subject: find(subject) or {}
