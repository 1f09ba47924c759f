"""Results of an evaluation: a flat, ordered table with one measured value per record."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from medrev.errors import InputError

__all__ = ["COLUMNS", "INTERIOR", "MASK", "WHOLE", "Key", "Record", "Results"]

#: Region of voxels whose neighbourhood lies in the mask.
INTERIOR = "interior"
#: Region of all mask voxels.
MASK = "mask"
#: Region of the whole volume or image, where there is no mask.
WHOLE = "whole"

#: Columns of the flat table, in this order.
COLUMNS = ("subject", "method", "metric", "region", "component", "value", "unit", "reason")


class Key(NamedTuple):
    """What was measured where: the name of a column when subjects and methods are rows.

    Attributes:
        metric: Key of :data:`medrev.evaluation.CATALOGUE`.
        region: :data:`INTERIOR`, :data:`MASK`, :data:`WHOLE` or the name of a label.
        component: Tensor component, scalar map or frequency band; None for all together.
    """

    metric: str
    region: str = MASK
    component: str | None = None

    def __str__(self) -> str:
        """``metric[component]@region``."""
        component = "" if self.component is None else f"[{self.component}]"
        return f"{self.metric}{component}@{self.region}"


@dataclass(frozen=True, slots=True)
class Record:
    """One measured value.

    Attributes:
        subject: Subject name.
        method: Name of the model or baseline.
        metric: Key of :data:`medrev.evaluation.CATALOGUE`.
        region: :data:`INTERIOR`, :data:`MASK`, :data:`WHOLE` or the name of a label.
        component: Tensor component, scalar map or frequency band; None for all together.
        value: The value; infinite for the PSNR of equal volumes, None where undefined, never NaN.
        unit: Unit of the value, empty for none.
        reason: Why the value is undefined; None where it is defined.

    Raises:
        InputError: The value is NaN, or undefined without a reason.
    """

    subject: str
    method: str
    metric: str
    region: str
    component: str | None
    value: float | None
    unit: str
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            raise InputError(f"{self.key} of {self.subject} is NaN: undefined values are None")
        if (self.value is None) != (self.reason is not None):
            raise InputError(f"{self.key} of {self.subject} must have either a value or a reason")

    @property
    def key(self) -> Key:
        """What was measured where."""
        return Key(self.metric, self.region, self.component)


@dataclass(frozen=True)
class Results:
    """Records of any number of subjects and methods.

    Attributes:
        records: The records, in the order in which they were measured.

    Example:
        >>> a = Record("A", "cubic", "rmse", "mask", None, 9.5, "1e-5 mm²/s")
        >>> b = Record("B", "cubic", "rmse", "mask", None, None, "1e-5 mm²/s", "empty mask")
        >>> Results((a, b)).values("cubic", Key("rmse"))
        {'A': 9.5}
    """

    records: tuple[Record, ...]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def without(self, *methods: str) -> "Results":
        """The records of all other methods."""
        return Results(tuple(r for r in self.records if r.method not in methods))

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Subject names in the order of the records."""
        return tuple(dict.fromkeys(record.subject for record in self.records))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Method names in the order of the records."""
        return tuple(dict.fromkeys(record.method for record in self.records))

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """What was measured where, in the order of the records."""
        return tuple(dict.fromkeys(record.key for record in self.records))

    @cached_property
    def _index(self) -> dict[tuple[str, Key], dict[str, Record]]:
        index: dict[tuple[str, Key], dict[str, Record]] = {}
        for record in self.records:
            of_subject = index.setdefault((record.method, record.key), {})
            if record.subject in of_subject:
                raise InputError(
                    f"{record.key} of {record.subject} by {record.method} was measured twice: "
                    "subjects need different names"
                )
            of_subject[record.subject] = record
        return index

    def record(self, subject: str, method: str, key: Key) -> Record | None:
        """The record of one subject and method, or None if it was not measured."""
        return self._index.get((method, key), {}).get(subject)

    def measured(self, method: str, key: Key) -> bool:
        """Whether a key was measured of a method, be it with undefined values only."""
        return (method, key) in self._index

    def values(self, method: str, key: Key) -> dict[str, float]:
        """Value by subject of one method, without the subjects where it is undefined."""
        found = self._index.get((method, key), {})
        return {s: record.value for s, record in found.items() if record.value is not None}

    def unit(self, key: Key) -> str:
        """Unit of a key; empty if it has none or was not measured."""
        return self._units.get(key, "")

    @cached_property
    def _units(self) -> dict[Key, str]:
        return {record.key: record.unit for record in reversed(self.records)}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why values are undefined, one line per subject and reason."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for record in self.records:
            if record.reason is not None:
                found.setdefault((record.subject, record.reason), {})[record.method] = None
        return tuple(f"{s} ({', '.join(m)}): {reason}" for (s, reason), m in found.items())

    def to_csv(self) -> str:
        """The flat table at full precision; undefined values are empty, infinite ones ``inf``."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for record in self.records:
            writer.writerow(["" if v is None else v for v in _fields(record).values()])
        return stream.getvalue()

    def to_json(self) -> str:
        """A JSON list of records; undefined values are null, infinite ones the text ``inf``."""
        rows = [
            fields
            if fields["value"] is None or math.isfinite(fields["value"])
            else {**fields, "value": str(fields["value"])}
            for fields in map(_fields, self.records)
        ]
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: The text is no such list.
        """
        try:
            rows = json.loads(text)
            for row in rows:
                row["value"] = None if row["value"] is None else float(row["value"])
            return cls(tuple(Record(**row) for row in rows))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"not a list of records of an evaluation: {error}") from error

    @classmethod
    def join(cls, parts: Iterable["Results | Iterable[Record]"]) -> "Results":
        """The records of several subjects or runs, one after the other."""
        return cls(tuple(record for part in parts for record in part))


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in COLUMNS}
