"""Results of an evaluation: one tidy pandas table with one measured value per row."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from medrev.errors import InputError
from medrev.metrics import Key

if TYPE_CHECKING:  # pandas is loaded where a table is made, not where a training starts
    import pandas as pd


class Record(NamedTuple):
    """One measured value: a row of the table.

    Attributes:
        subject: Subject name.
        method: Name of the model or baseline.
        metric: As in :class:`Key`.
        region: As in :class:`Key`.
        component: As in :class:`Key`.
        value: The value; infinite for the PSNR of equal volumes, None where undefined, never NaN.
        unit: Unit of the value, empty for none.
        reason: Why the value is undefined, empty if that is not known; None where it is defined.
    """

    subject: str
    method: str
    metric: str
    region: str
    component: str | None
    value: float | None
    unit: str
    reason: str | None = None

    @property
    def key(self) -> Key:
        """What was measured where."""
        return Key(self.metric, self.region, self.component)


#: Columns of the table, in this order.
COLUMNS = Record._fields


@dataclass(frozen=True, eq=False)
class Results:
    """Measured values of any number of subjects and methods.

    Attributes:
        frame: The table: :data:`COLUMNS`, in the order in which they were measured; undefined
            values are NaN, no component and no reason None.

    Example:
        >>> a = Record("A", "cubic", "rmse", "mask", None, 9.5, "1e-5 mm²/s")
        >>> b = Record("B", "cubic", "rmse", "mask", None, None, "1e-5 mm²/s", "empty mask")
        >>> Results.of([a, b]).values("cubic", Key("rmse"))
        {'A': 9.5}
    """

    frame: "pd.DataFrame"

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Results":
        """Measured values as a table.

        Raises:
            InputError: A name is no text; a value is NaN, undefined without a reason, or defined
                with one.
        """
        import pandas as pd

        rows = list(records)
        for row in rows:
            if not all(isinstance(name, str) for name in row[:4]):
                raise InputError(f"subject, method, metric and region must be texts, got {row[:4]}")
            if row.value is not None and math.isnan(row.value):
                raise InputError(f"{row.key} of {row.subject} is NaN: undefined values are None")
            if (row.value is None) != (row.reason is not None):
                raise InputError(f"{row.key} of {row.subject} must have either a value or a reason")
        # Of equal texts, read from files or sent by workers, one is kept.
        shared = ([intern(x) if type(x) is str else x for x in row] for row in rows)
        frame = pd.DataFrame(shared, columns=list(COLUMNS), dtype=object)
        return cls(frame.astype({"value": float}))

    @classmethod
    def join(cls, parts: Iterable["Results"]) -> "Results":
        """The values of several subjects or runs, one after the other."""
        return cls.of(record for part in parts for record in part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Results) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[Record]:
        for row in self.frame.itertuples(index=False, name=None):
            record = Record(*row)
            yield record._replace(value=None) if math.isnan(row[5]) else record

    def without(self, *methods: str) -> "Results":
        """The values of all other methods."""
        return Results(self.frame[~self.frame["method"].isin(methods)])

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Subject names in the order of the table."""
        return tuple(self.frame["subject"].unique())

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Method names in the order of the table."""
        return tuple(self.frame["method"].unique())

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """What was measured where, in the order of the table."""
        return tuple(dict.fromkeys(key for _, key in self._cells))

    @cached_property
    def _cells(self) -> "dict[tuple[str, Key], dict[str, Record]]":
        """Rows by method and key, by subject."""
        cells: dict[tuple[str, Key], dict[str, Record]] = {}
        for row in self:
            of_subject = cells.setdefault((row.method, row.key), {})
            if row.subject in of_subject:
                raise InputError(
                    f"{row.key} of {row.subject} by {row.method} was measured twice: "
                    "subjects need different names"
                )
            of_subject[row.subject] = row
        return cells

    def record(self, subject: str, method: str, key: Key) -> Record | None:
        """The value of one subject and method, or None if it was not measured."""
        return self._cells.get((method, key), {}).get(subject)

    def measured(self, method: str, key: Key) -> bool:
        """Whether a key was measured of a method, be it with undefined values only."""
        return (method, key) in self._cells

    def values(self, method: str, key: Key) -> dict[str, float]:
        """Value by subject of one method, without the subjects where it is undefined."""
        found = self._cells.get((method, key), {})
        return {s: record.value for s, record in found.items() if record.value is not None}

    def unit(self, key: Key) -> str:
        """Unit of a key; empty if it has none or was not measured."""
        return self._units.get(key, "")

    @cached_property
    def _units(self) -> dict[Key, str]:
        return {key: next(iter(rows.values())).unit for (_, key), rows in self._cells.items()}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why values are undefined, one line per subject and reason."""
        undefined = self.frame[self.frame["reason"].astype(bool)]
        by = undefined.groupby(["subject", "reason"], sort=False)["method"]
        return tuple(f"{s} ({', '.join(m.unique())}): {reason}" for (s, reason), m in by)

    def to_csv(self) -> str:
        """The table at full precision; undefined values are empty, infinite ones ``inf``."""
        text: str = self.frame.to_csv(index=False, lineterminator="\n")
        return text

    def to_json(self) -> str:
        """A JSON list of rows; undefined values are null, infinite ones the text ``inf``."""
        rows = (record._asdict() for record in self)
        shown = (
            row | {"value": str(row["value"])}
            if row["value"] is not None and math.isinf(row["value"])
            else row
            for row in rows
        )
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in shown)
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
            return cls.of(Record(**row) for row in rows)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise InputError(f"not a list of records of an evaluation: {error}") from error
