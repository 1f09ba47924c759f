"""The held-out table: methods by metrics, mean ± std over subjects, in four formats."""

import json
import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from medrev.errors import InputError
from medrev.evaluation.results import Record, Results
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import INTERIOR, MASK, WHOLE, Key

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = ["HELDOUT", "HeldoutColumn", "HeldoutTable", "Summary"]


class HeldoutColumn(NamedTuple):
    """A column of the held-out table, of ``heldout.csv`` and of ``validation.csv``.

    Attributes:
        title: Heading with unit.
        metric: As in :class:`Key`.
        component: As in :class:`Key`; directions and round trips in that of translations.
        digits: Digits after the point.
        interior: Whether it is of the interior of the mask, not of all voxels that are compared.
        higher_is_better: Whether larger values are better.
    """

    title: str
    metric: str
    component: str | None = None
    digits: int = 2
    interior: bool = False
    higher_is_better: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        """Where its values may be: in the mask, or in the whole where there is none."""
        regions = (INTERIOR,) if self.interior else (MASK, WHOLE)
        return tuple(Key(self.metric, region, self.component) for region in regions)

    @property
    def direction(self) -> str | None:
        """Of which translation or round trip it is; None where there is one direction."""
        return self.component if self.component is not None and "→" in self.component else None


#: All columns by name, in the order of tables: of diffusion tensors; of images and contrasts, in
#: both directions; of segmentations, counted over all images together.
HELDOUT: dict[str, HeldoutColumn] = {
    "rmse_interior": HeldoutColumn("RMSE interior [1e-5 mm²/s]", "rmse", interior=True),
    "rmse": HeldoutColumn("RMSE mask [1e-5 mm²/s]", "rmse"),
    "ratio_interior": HeldoutColumn("÷ cubic interior", "ratio", digits=3, interior=True),
    "ratio": HeldoutColumn("÷ cubic mask", "ratio", digits=3),
    "psnr": HeldoutColumn("PSNR [dB]", "psnr", higher_is_better=True),
    "ssim": HeldoutColumn("SSIM", "ssim", digits=4, higher_is_better=True),
    "fa_error": HeldoutColumn("FA error", "mae", "FA", digits=4),
    "md_error": HeldoutColumn("MD error [1e-5 mm²/s]", "mae", "MD"),
    "direction_error": HeldoutColumn("direction error [°]", "direction_error"),
    "not_positive_definite": HeldoutColumn(
        "not positive definite [%]", "not_positive_definite", digits=3
    ),
    "nmae_forward": HeldoutColumn("L1 x→y", "nmae", "x→y", digits=4),
    "psnr_forward": HeldoutColumn("PSNR x→y [dB]", "psnr", "x→y", higher_is_better=True),
    "ssim_forward": HeldoutColumn("SSIM x→y", "ssim", "x→y", digits=4, higher_is_better=True),
    "flicker_forward": HeldoutColumn("slice flicker x→y", "flicker", "x→y", digits=3),
    "nmae_inverse": HeldoutColumn("L1 y→x", "nmae", "y→x", digits=4),
    "psnr_inverse": HeldoutColumn("PSNR y→x [dB]", "psnr", "y→x", higher_is_better=True),
    "ssim_inverse": HeldoutColumn("SSIM y→x", "ssim", "y→x", digits=4, higher_is_better=True),
    "flicker_inverse": HeldoutColumn("slice flicker y→x", "flicker", "y→x", digits=3),
    "cycle_x": HeldoutColumn("cycle error x→y→x", "nmae", "x→y→x", digits=5),
    "cycle_y": HeldoutColumn("cycle error y→x→y", "nmae", "y→x→y", digits=5),
    "pixel_accuracy": HeldoutColumn(
        "per-pixel accuracy", "pixel_accuracy", digits=3, higher_is_better=True
    ),
    "class_accuracy": HeldoutColumn(
        "per-class accuracy", "class_accuracy", digits=3, higher_is_better=True
    ),
    "class_iou": HeldoutColumn("class IoU", "class_iou", digits=3, higher_is_better=True),
}


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


@dataclass(frozen=True, eq=False)
class HeldoutTable:
    """Scores of several methods on held-out subjects.

    Attributes:
        results: What :func:`medrev.evaluation.score` gave, of all subjects.

    Example:
        >>> a = Record("A", "cubic", "rmse", "mask", None, 9.5, "1e-5 mm²/s")
        >>> b = Record("B", "cubic", "rmse", "mask", None, 9.0, "1e-5 mm²/s")
        >>> HeldoutTable(Results.of([a, b])).summary("cubic", "rmse")
        Summary(mean=9.25, std=0.3535533905932738, count=2)
    """

    results: Results

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subject names in the order in which they were scored."""
        return self.results.subjects

    @property
    def methods(self) -> tuple[str, ...]:
        """Method names in the order in which they were scored."""
        return self.results.methods

    @cached_property
    def columns(self) -> dict[str, HeldoutColumn]:
        """Columns that occur, by name."""
        measured = set(self.results.keys)
        return {n: column for n, column in HELDOUT.items() if measured & set(column.keys)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be computed and why, one line per subject and reason."""
        return self.results.reasons

    def values(self, method: str, column: str) -> dict[str, float]:
        """Value by subject of one method, without the subjects where it is undefined."""
        found: dict[str, float] = {}
        for key in HELDOUT[column].keys:
            found |= self.results.values(method, key)
        return found

    def summary(self, method: str, column: str) -> Summary | None:
        """Mean and standard deviation over subjects, or None where no subject has the metric."""
        values = list(self.values(method, column).values())
        if not values:
            return None
        if not all(math.isfinite(value) for value in values):
            return Summary(math.inf, None, len(values))
        std = statistics.stdev(values) if len(values) > 1 else None
        return Summary(statistics.fmean(values), std, len(values))

    def means(self, method: str = "model") -> dict[str, float]:
        """Means over subjects of one method, by column."""
        found = {name: self.summary(method, name) for name in self.columns}
        return {name: summary.mean for name, summary in found.items() if summary is not None}

    def tabular(self) -> Tabular:
        """Means ± standard deviations: methods are rows."""
        columns = [Column(c.title, c.digits) for c in self.columns.values()]
        rows: list[tuple[Cell, ...]] = []
        for method in self.methods:
            found = [self.summary(method, name) for name in self.columns]
            rows.append((method, *(MeanStd(s.mean, s.std) if s else None for s in found)))
        return Tabular((Column("method"), *columns), tuple(rows))

    def by_subject(self) -> Tabular:
        """Every value: a row per subject and method."""
        columns = [Column(c.title, c.digits) for c in self.columns.values()]
        values = {(m, n): self.values(m, n) for m in self.methods for n in self.columns}
        pairs = self.results.frame[["subject", "method"]].drop_duplicates()
        rows = tuple(
            (subject, method, *(values[method, name].get(subject) for name in self.columns))
            for subject, method in pairs.itertuples(index=False)
        )
        return Tabular((Column("subject"), Column("method"), *columns), rows)

    def to_markdown(self, per_subject: bool = False) -> str:
        """A Markdown table of means ± std, followed by a table per subject if wanted."""
        parts = [self.tabular().to_markdown()]
        parts += [self.by_subject().to_markdown()] if per_subject else []
        return "\n".join([*parts, *(f"Note: {line}.\n" for line in self.notes)])

    def to_csv(self) -> str:
        """One line per subject and method at full precision; undefined metrics stay empty."""
        text = self.by_subject().to_csv()
        return "\n".join([",".join(["subject", "method", *self.columns]), *text.split("\n")[1:]])

    def to_json(self) -> str:
        """Units, rows, means and notes as one JSON object; undefined or infinite is null."""
        names = ["subject", "method", *self.columns]
        rows = self.by_subject().rows
        summaries: dict[str, dict[str, Any]] = {}
        for method in self.methods:
            found = {name: self.summary(method, name) for name in self.columns}
            summaries[method] = {
                name: None
                if s is None
                else {"mean": _finite(s.mean), "std": s.std, "count": s.count}
                for name, s in found.items()
            }
        document = {
            "metrics": {name: column.title for name, column in self.columns.items()},
            "rows": [dict(zip(names, map(_finite, row), strict=True)) for row in rows],
            "summary": summaries,
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "HeldoutTable":
        """Read what :meth:`to_json` wrote; reasons are not in it.

        Raises:
            InputError: The text is no held-out table.
        """
        try:
            rows = json.loads(text)["rows"]
            return cls(
                Results.of(
                    Record(
                        row["subject"],
                        row["method"],
                        *HELDOUT[name].keys[0],
                        row[name],
                        "",
                        "" if row[name] is None else None,
                    )
                    for row in rows
                    for name in HELDOUT
                    if name in row
                )
            )
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"not a held-out table: {error}") from error

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
        means = self.tabular()
        for c, column in enumerate(self.columns.values(), start=1):
            cells = [means.text(r, c, deviation=deviations) for r in range(len(means.rows))]
            table.add_row(Text(column.title), *cells)
        return table


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
