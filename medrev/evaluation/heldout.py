"""The held-out table: methods by metrics, mean ± std over subjects, in four formats."""

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medrev.evaluation.scores import DIGITS, METRICS, Row
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = ["Summary", "Table", "heldout_table"]


@dataclass(frozen=True)
class Summary:
    """One metric of one method over the subjects where it is defined.

    Attributes:
        mean: Mean over subjects.
        std: Sample standard deviation (n − 1); None for a single subject.
        count: Number of subjects that enter.
    """

    mean: float
    std: float | None
    count: int


@dataclass(frozen=True)
class Table:
    """Scores of several methods on held-out subjects.

    Attributes:
        rows: One row per subject and method.

    Example:
        >>> rows = [Row("A", "cubic", {"rmse": 9.5}), Row("B", "cubic", {"rmse": 9})]
        >>> table = heldout_table(rows)
        >>> table.summary("cubic", "rmse")
        Summary(mean=9.25, std=0.3535533905932738, count=2)
    """

    rows: tuple[Row, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subject names in the order of the rows."""
        return tuple(dict.fromkeys(row.subject for row in self.rows))

    @property
    def methods(self) -> tuple[str, ...]:
        """Method names in the order of the rows."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metric keys that occur, in the order of :data:`METRICS`."""
        present = {key for row in self.rows for key in row.scores}
        return tuple(key for key in METRICS if key in present)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be computed and why, one line per subject and reason."""
        lines: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            for note in row.notes:
                lines.setdefault((row.subject, note), []).append(row.method)
        return tuple(
            f"{subject} ({', '.join(methods)}): {note}"
            for (subject, note), methods in lines.items()
        )

    def summary(self, method: str, metric: str) -> Summary | None:
        """Mean and standard deviation over subjects, or None where no subject has the metric."""
        values = [row.scores.get(metric) for row in self.rows if row.method == method]
        defined = [value for value in values if value is not None]
        if not defined:
            return None
        if not all(math.isfinite(value) for value in defined):
            return Summary(math.inf, None, len(defined))
        std = statistics.stdev(defined) if len(defined) > 1 else None
        return Summary(statistics.fmean(defined), std, len(defined))

    def to_markdown(self, per_subject: bool = False) -> str:
        """A Markdown table of means ± std, followed by a table per subject if wanted."""
        columns = [Column(METRICS[key], DIGITS.get(key, 2)) for key in self.metrics]
        means: list[tuple[Cell, ...]] = []
        for method in self.methods:
            found = [self.summary(method, key) for key in self.metrics]
            means.append((method, *(MeanStd(s.mean, s.std) if s else None for s in found)))
        parts = [Tabular((Column("method"), *columns), tuple(means)).to_markdown()]
        if per_subject:
            rows = [
                (row.subject, row.method, *(row.scores.get(key) for key in self.metrics))
                for row in self.rows
            ]
            names = Column("subject"), Column("method")
            parts.append(Tabular((*names, *columns), tuple(rows)).to_markdown())
        parts.extend(f"Note: {line}.\n" for line in self.notes)
        return "\n".join(parts)

    def to_csv(self) -> str:
        """One line per subject and method at full precision; undefined metrics stay empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["subject", "method", *self.metrics])
        for row in self.rows:
            values = (row.scores.get(key) for key in self.metrics)
            writer.writerow(
                [row.subject, row.method, *("" if v is None else repr(float(v)) for v in values)]
            )
        return stream.getvalue()

    def to_json(self) -> str:
        """Units, rows, means and notes as one JSON object; undefined or infinite is null."""
        document: dict[str, Any] = {
            "metrics": {key: METRICS[key] for key in self.metrics},
            "rows": [
                {
                    "subject": row.subject,
                    "method": row.method,
                    **{key: _finite(row.scores.get(key)) for key in self.metrics},
                }
                for row in self.rows
            ],
            "summary": {
                method: {key: _json_summary(self.summary(method, key)) for key in self.metrics}
                for method in self.methods
            },
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def print(self, console: "Console | None" = None, title: str = "Held-out subjects") -> None:
        """Print means ± std to a terminal, metrics down and methods across so that it fits.

        Of a single subject its name is printed instead of the number. Where the terminal is too
        narrow for both, the means alone.
        """
        from rich.console import Console

        console = console or Console()
        single = len(self.subjects) < 2
        shown = f"{title}: {self.subjects[0]}" if single else f"{title} ({len(self.subjects)})"
        suffixes = ("", "") if single else (": mean ± standard deviation", ": mean")
        table = self._rich(shown + suffixes[0], deviations=True)
        unlimited = console.options.update(max_width=1000)
        if console.measure(table, options=unlimited).maximum > console.width:
            table = self._rich(shown + suffixes[1], deviations=False)
        console.print(table)
        for line in self.notes:
            console.print(f"Note: {line}.", highlight=False, markup=False)

    def _rich(self, title: str, deviations: bool) -> "RichTable":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            title=title,
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 0, 0, 1),
            pad_edge=False,
            show_edge=False,
        )
        table.add_column("", no_wrap=True)
        for method in self.methods:
            # The words of a name may stand above each other, numbers are never broken.
            name = Text(method if deviations else method.replace(" ", "\n"))
            style = "bold" if method == "model" else None
            table.add_column(name, justify="right", style=style, no_wrap=True)
        for key in self.metrics:
            summaries = [self.summary(method, key) for method in self.methods]
            cells = [_summary_cell(key, s, deviations=deviations) for s in summaries]
            table.add_row(Text(METRICS[key]), *cells)
        return table


def heldout_table(rows: Iterable[Row]) -> Table:
    """Collect the rows of all subjects (:func:`subject_rows`) into one table."""
    return Table(tuple(rows))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _json_summary(summary: Summary | None) -> dict[str, float | int | None] | None:
    if summary is None:
        return None
    return {"mean": _finite(summary.mean), "std": summary.std, "count": summary.count}


def _cell(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.{DIGITS.get(metric, 2)}f}" if math.isfinite(value) else "∞"


def _summary_cell(metric: str, summary: Summary | None, deviations: bool = True) -> str:
    if summary is None:
        return "–"
    mean = _cell(metric, summary.mean)
    return (
        mean if summary.std is None or not deviations else f"{mean} ± {_cell(metric, summary.std)}"
    )
