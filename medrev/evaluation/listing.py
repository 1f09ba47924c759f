"""Tables of volumes (one subject a row), and tables of participants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medrev.errors import InputError
from medrev.evaluation.case import Case
from medrev.evaluation.pair import Pair

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "participants", "read_table"]

_IDS = ("participant_id", "id", "subject", "subject_id")
_PARTICIPANTS = ("participants.tsv", "participants.csv")
_NO_VALUE = ("", "n/a", "na", "nan", "none")
#: Columns with paths; ``prediction`` and ``uncertainty`` may be followed by a model's name.
_PREDICTION, _STD = "prediction", "uncertainty"
_OTHERS = ("reference", "input", "mask", "labels")


@dataclass(frozen=True)
class Table:
    """What a table of volumes holds.

    Attributes:
        cases: The subjects, sorted by name.
        models: Names of the models.
        failures: Why a row cannot be evaluated, by subject.
    """

    cases: tuple[Case, ...]
    models: tuple[str, ...]
    failures: Mapping[str, str]


def read_table(path: Path) -> Table:
    """Read a CSV or TSV file with a row per subject.

    Its columns are ``id`` (or ``participant_id``, ``subject``), ``reference``, ``prediction`` or
    one ``prediction_NAME`` per model, and where wanted ``input``, ``mask``, ``labels`` and
    ``uncertainty`` or ``uncertainty_NAME``. Paths are relative to the table's folder. All other
    columns can be used to compare groups.

    Raises:
        InputError: It cannot be read, lacks a column, or has a subject twice.
    """
    frame = _read(path)
    models = _models(frame, path)
    if "reference" not in frame:
        raise InputError(f"{path} needs the column reference; it has {_columns(frame)}")
    paths = {
        column
        for column in _names(frame)
        if column in _OTHERS or column in models.values() or column.startswith(_STD)
    }
    cases: list[Case] = []
    failures = {}
    for subject, cells in _rows(frame):
        files = {c: path.parent.absolute() / cells[c] for c in paths if c in cells}
        lacking = [c for c in ("reference", *models.values()) if c not in files]
        if lacking:
            failures[subject] = f"no {' and no '.join(lacking)} in {path.name}"
            continue
        stds = {name: files.get(_std_column(column)) for name, column in models.items()}
        cases.append(
            Pair(
                id=subject,
                reference=files["reference"],
                predictions={name: files[column] for name, column in models.items()},
                input=files.get("input"),
                mask=files.get("mask"),
                labels=files.get("labels"),
                uncertainties={name: std for name, std in stds.items() if std is not None},
                columns={c: v for c, v in cells.items() if c not in paths},
            )
        )
    cases.sort(key=lambda case: case.id)
    return Table(tuple(cases), tuple(models), failures)


def participants(given: Path | None, beside: list[Path]) -> Callable[[str], dict[str, str]]:
    """What is known about the subjects: a function from a subject's name to its cells.

    Args:
        given: The table.
        beside: Where else a ``participants.tsv`` may lie; the first one counts.

    Raises:
        InputError: The table cannot be read, or has a subject twice.
    """
    places = [folder / name for folder in beside for name in _PARTICIPANTS]
    path = given or next((place for place in places if place.is_file()), None)
    if path is None:
        return lambda subject: {}
    rows = dict(_rows(_read(path)))

    def find(subject: str) -> dict[str, str]:
        person = subject.split("_", maxsplit=1)[0]
        names = (subject, person, person.removeprefix("sub-"))
        return next((rows[name] for name in names if name in rows), {})

    return find


def _read(path: Path) -> "pd.DataFrame":
    """A table as text, with the subject as index; double subjects are named."""
    import pandas as pd

    try:
        frame = pd.read_csv(
            path,
            sep="\t" if path.suffix == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skipinitialspace=True,
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        text = " ".join(str(error).split())
        raise InputError(f"cannot read the table {path}: {text}") from None
    frame.columns = [str(column).strip() for column in frame.columns]
    key = next((name for name in _IDS if name in frame), None)
    if key is None:
        raise InputError(
            f"{path} needs an identifier column ({', '.join(_IDS)}); it has {_columns(frame)}"
        )
    frame = frame.set_index(frame[key].str.strip()).drop(columns=key)
    if (frame.index == "").any():
        row = int((frame.index == "").argmax()) + 2
        raise InputError(f"{path} row {row}: the identifier is empty")
    double = sorted(set(frame.index[frame.index.duplicated()]))
    if double:
        shown = ", ".join(double[:10]) + (" …" if len(double) > 10 else "")
        raise InputError(f"{path}: subjects are listed more than once: {shown}")
    return frame


def _rows(frame: "pd.DataFrame") -> list[tuple[str, dict[str, str]]]:
    """The cells that are not empty, by subject."""
    return [
        (
            str(subject),
            {
                str(c): str(v).strip()
                for c, v in row.items()
                if str(v).strip().lower() not in _NO_VALUE
            },
        )
        for subject, row in frame.iterrows()
    ]


def _models(frame: "pd.DataFrame", path: Path) -> dict[str, str]:
    """Column by model."""
    columns = [c for c in _names(frame) if c == _PREDICTION or c.startswith(f"{_PREDICTION}_")]
    if not columns:
        raise InputError(
            f"{path} needs a column prediction, or prediction_NAME for every model; "
            f"it has {_columns(frame)}"
        )
    return {c.removeprefix(_PREDICTION).removeprefix("_") or "model": c for c in columns}


def _std_column(column: str) -> str:
    return column.replace(_PREDICTION, _STD, 1)


def _names(frame: "pd.DataFrame") -> list[str]:
    return [str(column) for column in frame.columns]


def _columns(frame: "pd.DataFrame") -> str:
    return ", ".join(_names(frame)) or "no columns"
