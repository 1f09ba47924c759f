"""Tables of volumes (one subject a row), and tables of participants."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from medrev.data.layouts import by_name, read_subjects
from medrev.data.subject import Subject
from medrev.errors import InputError
from medrev.evaluation.case import Case, Found
from medrev.evaluation.pair import Pair
from medrev.files import named_in

logger = logging.getLogger(__name__)

_PARTICIPANTS = ("participants.tsv", "participants.csv")
#: Columns with paths; ``prediction`` and ``uncertainty`` may be followed by a model's name.
_PREDICTION, _STD = "prediction", "uncertainty"
_OTHERS = ("reference", "input", "mask", "labels")


def read_table(path: Path) -> Found:
    """Read a CSV or TSV file with a row per subject.

    Its columns are ``id`` (or ``participant_id``, ``subject``), ``reference``, ``prediction`` or
    one ``prediction_NAME`` per model, and where wanted ``input``, ``mask``, ``labels`` and
    ``uncertainty`` or ``uncertainty_NAME``. Paths are relative to the table's folder. All other
    columns can be used to compare groups.

    Raises:
        InputError: It cannot be read, lacks a column, or has a subject twice.
    """
    columns, rows = _read(path)
    models = _models(columns, path)
    if "reference" not in columns:
        raise InputError(f"{path} needs the column reference; it has {_words(columns)}")
    roles = {column: column for column in _OTHERS}
    for name, column in models.items():
        roles[column] = f"prediction {name}"
        roles[column.replace(_PREDICTION, _STD, 1)] = f"uncertainty {name}"
    cases: list[Case] = []
    failures = {}
    for subject, cells in rows.items():
        lacking = [c for c in ("reference", *models.values()) if c not in cells]
        if lacking:
            failures[subject] = f"no {' and no '.join(lacking)} in {path.name}"
            continue
        folder = path.parent.absolute()
        files = {role: named_in(folder, cells[c]) for c, role in roles.items() if c in cells}
        known = {c: v for c, v in cells.items() if c not in roles and not c.startswith(_STD)}
        cases.append(Pair.of(subject, files, known))
    cases.sort(key=lambda case: case.id)
    return Found(kind="table", cases=tuple(cases), models=tuple(models), failures=failures)


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


def _read(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Columns, and cells by subject; double subjects are named."""
    read = read_subjects(path)
    for number, row in zip(read.lines, read.rows, strict=True):
        if not row["id"]:
            raise InputError(f"{path} row {number}: the identifier is empty")
    counts = Counter(row["id"] for row in read.rows)
    double = sorted(name for name, count in counts.items() if count > 1)
    if double:
        shown = ", ".join(double[:10]) + (" …" if len(double) > 10 else "")
        raise InputError(f"{path}: subjects are listed more than once: {shown}")
    return read.columns, {row.pop("id"): row for row in read.rows}


def _models(columns: Sequence[str], path: Path) -> dict[str, str]:
    """Column by model."""
    found = [c for c in columns if c == _PREDICTION or c.startswith(f"{_PREDICTION}_")]
    if not found:
        raise InputError(
            f"{path} needs a column prediction, or prediction_NAME for every model; "
            f"it has {_words(columns)}"
        )
    return {c.removeprefix(_PREDICTION).removeprefix("_") or "model": c for c in found}


def _words(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "no columns"
