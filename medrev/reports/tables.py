"""Tables of a report: methods by metrics with the best marked, and plain rows of cells."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medrev.evaluation import CATALOGUE, INTERIOR, MASK, WHOLE, Key, Results, digits, heading
from medrev.reports.charts import number

__all__ = [
    "Cell",
    "Column",
    "DataTable",
    "ScoreTable",
    "closeness",
    "headline_keys",
    "key_groups",
    "main_region",
    "score_table",
]

_ARROWS = {"lower": "↓", "higher": "↑", "zero": "→ 0", "one": "→ 1", "none": ""}
_WORDS = {"lower": "lower", "higher": "higher", "zero": "nearer to 0", "one": "nearer to 1"}
#: What goes into the first table, in this order, where it was measured.
_HEADLINE: tuple[tuple[str, str | None, str | None], ...] = (
    ("rmse", INTERIOR, None),
    ("rmse", None, None),
    ("mae", None, None),
    ("mae", None, "FA"),
    ("mae", None, "MD"),
    ("direction_error", None, None),
    ("psnr", None, None),
    ("ssim", None, None),
    ("gradient_ratio", None, None),
    ("not_positive_definite", None, None),
    ("dice", None, None),
    ("pixel_accuracy", None, None),
    ("class_accuracy", None, None),
    ("class_iou", None, None),
    ("d_psnr", None, None),
    ("d_ssim", None, None),
    ("d_mae", None, None),
)
_SHARPNESS = {"gradient_ratio", "through_plane_ratio", "power_ratio", "coherence"}
_TRUST = {
    "coverage_error",
    "reliability_error",
    "sparsification_error",
    "error_correlation",
    "cycle_largest",
    "cycle_mean",
    "cycle_relative",
}
_MOST_COLUMNS = 14


@dataclass(frozen=True)
class Column:
    """A metric's column.

    Attributes:
        key: What was measured where.
        title: Its name without unit.
        detail: Unit.
        better: Which values are better, in words; empty for none.
        arrow: The same as a sign.
    """

    key: Key
    title: str
    detail: str
    better: str
    arrow: str


@dataclass(frozen=True)
class Score:
    """A cell: mean and standard deviation as text; None where there is none."""

    mean: str | None
    std: str | None
    best: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """A method's row."""

    name: str
    series: int
    model: bool
    first_baseline: bool
    cells: tuple[Score, ...]


@dataclass(frozen=True)
class ScoreTable:
    """Methods by metrics."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class Cell:
    """A cell of a plain table.

    Attributes:
        text: What it says.
        href: Where it leads.
        flag: Whether it deserves attention.
    """

    text: str
    href: str = ""
    flag: bool = False


@dataclass(frozen=True)
class Heading:
    """A column of a plain table, its unit below; ``text`` columns are aligned to the left."""

    title: str
    detail: str = ""
    text: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class DataTable:
    """Rows of cells.

    Attributes:
        caption: What it shows.
        columns: Headings.
        rows: As many cells each.
    """

    caption: str
    columns: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(default=())


def main_region(results: Results) -> str:
    """The region that the tables are about: the mask, or the whole volume where there is none."""
    return MASK if any(key.region == MASK for key in results.keys) else WHOLE


def headline_keys(results: Results) -> list[Key]:
    """What goes into the first table."""
    region = main_region(results)
    wanted = [Key(metric, where or region, part) for metric, where, part in _HEADLINE]
    return [key for key in wanted if key in results.keys]


def key_groups(results: Results) -> dict[str, list[Key]]:
    """All other measurements, by the table they go into."""
    region = main_region(results)
    groups: dict[str, list[Key]] = {}
    for key in results.keys:
        metric = CATALOGUE.get(key.metric)
        if metric is not None and metric.curve:
            continue
        if key.metric in _SHARPNESS:
            name = "Sharpness"
        elif key.metric in _TRUST:
            name = "Uncertainty and round trips"
        elif key.region == INTERIOR:
            name = "Interior of the mask"
        elif key.region == region:
            name = "Whole mask" if region == MASK else "Whole volume"
        else:
            name = f"Region {key.region}"
        groups.setdefault(name, []).append(key)
    return groups


def score_table(
    results: Results,
    keys: Sequence[Key],
    *,
    caption: str,
    models: Sequence[str],
    series: Mapping[str, int],
) -> ScoreTable:
    """Means ± standard deviations over subjects; the best mean of a column is marked."""
    columns = tuple(_column(results, key) for key in keys)
    cells: dict[str, list[Score]] = {method: [] for method in results.methods}
    for column in columns:
        values = {m: list(results.values(m, column.key).values()) for m in results.methods}
        means = {m: _mean(v) for m, v in values.items() if v}
        best = _best(column.key, {m: v for m, v in means.items() if m != "noise floor"})
        shown = digits(column.key, results.unit(column.key))
        for method, found in values.items():
            cells[method].append(
                Score(
                    number(means[method], shown) if method in means else None,
                    number(statistics.stdev(found), shown)
                    if len(found) > 1 and all(map(math.isfinite, found))
                    else None,
                    method in best,
                )
            )
    ordered = [m for m in results.methods if m in models]
    others = [m for m in results.methods if m not in models]
    rows = tuple(
        ScoreRow(m, series.get(m, 0), m in models, m == others[0] if others else False, tuple(c))
        for m in [*ordered, *others]
        if (c := cells[m])
    )
    return ScoreTable(caption, columns, rows)


def closeness(key: Key, value: float) -> float:
    """How bad a value is: the larger, the worse."""
    metric = CATALOGUE.get(key.metric)
    better = metric.better if metric else "lower"
    return {
        "lower": value,
        "higher": -value,
        "zero": abs(value),
        "one": abs(math.log(value)) if value > 0 else math.inf,
        "none": 0.0,
    }[better]


def _best(key: Key, means: Mapping[str, float]) -> set[str]:
    """The methods with the best mean; none where all are equal or nothing is better."""
    metric = CATALOGUE.get(key.metric)
    if metric is None or metric.better == "none" or len(means) < 2:
        return set()
    badness = {method: closeness(key, mean) for method, mean in means.items()}
    least = min(badness.values())
    best = {method for method, bad in badness.items() if bad == least}
    return best if len(best) < len(means) else set()


def _column(results: Results, key: Key) -> Column:
    metric = CATALOGUE.get(key.metric)
    better = metric.better if metric else "none"
    return Column(
        key, heading(key), results.unit(key), _WORDS.get(better, ""), _ARROWS.get(better, "")
    )


def _mean(values: Sequence[float]) -> float:
    if all(map(math.isfinite, values)):
        return statistics.fmean(values)
    return math.inf if math.inf in values else -math.inf
