"""A table of an evaluation as the page's template takes it."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from medrev.evaluation import CATALOGUE, Cell, Column, MeanStd, Tabular
from medrev.metrics import Key
from medrev.report.charts import number

_ARROWS = {"lower": "↓", "higher": "↑", "zero": "→\u202f0", "one": "→\u202f1", "none": ""}
_WORDS = {"lower": "lower", "higher": "higher", "zero": "nearer to 0", "one": "nearer to 1"}
_UNIT = re.compile(r"^(?P<title>.*) \[(?P<unit>.*)\]$")


@dataclass(frozen=True)
class HtmlColumn:
    """Heading with unit below it; the sign of the good direction, and the same in words."""

    title: str
    unit: str
    text: bool
    arrow: str = ""
    better: str = ""


@dataclass(frozen=True)
class HtmlCell:
    """Text, its deviation below, and what is special about it."""

    text: str
    deviation: str = ""
    best: bool = False
    flag: bool = False
    href: str = ""


@dataclass(frozen=True)
class HtmlRow:
    """Cells; number of the colour of its method; whether a rule stands above it."""

    cells: tuple[HtmlCell, ...]
    series: int | None = None
    strong: bool = False
    rule: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """A table for the template; ``spans`` are headings over several columns and their number."""

    caption: str
    columns: tuple[HtmlColumn, ...]
    rows: tuple[HtmlRow, ...]
    spans: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def html_table(
    table: Tabular,
    *,
    keys: Sequence[Key] = (),
    series: Mapping[str, int] | None = None,
    strong: Collection[str] = (),
    links: Mapping[str, str] | None = None,
    flags: Collection[tuple[int, int]] = (),
    caption: str | None = None,
) -> HtmlTable:
    """Prepare a table for the page.

    Args:
        table: The table.
        keys: What its last columns measure, for the signs of their good direction.
        series: Number of the colour of rows, by the text of their first cell.
        strong: Rows that stand out, by the text of their first cell.
        links: Where first cells lead, by their text.
        flags: Row and column of cells that deserve attention.
        caption: Instead of the table's own.
    """
    first = len(table.columns) - len(keys)
    columns = tuple(
        _column(column, keys[c - first] if keys and c >= first else None)
        for c, column in enumerate(table.columns)
    )
    digits = [_digits(table, c) for c in range(len(table.columns))]
    rows = []
    for r, row in enumerate(table.rows):
        name = str(row[0])
        cells = tuple(
            _cell(
                cell,
                digits[c],
                bounded=table.columns[c].bounded,
                best=(r, c) in table.bold,
                flag=(r, c) in flags,
                href=(links or {}).get(name, "") if c == 0 else "",
            )
            for c, cell in enumerate(row)
        )
        rule = r in table.sections and r > 0
        rows.append(HtmlRow(cells, (series or {}).get(name), name in strong, rule))
    spans = [(group, len(list(found))) for group, found in groupby(c.group for c in table.columns)]
    return HtmlTable(
        table.caption if caption is None else caption,
        columns,
        tuple(rows),
        tuple(spans) if any(group for group, _ in spans) else (),
        table.notes,
    )


def _column(column: Column, key: Key | None) -> HtmlColumn:
    match = _UNIT.match(column.heading)
    title, unit = (match["title"], match["unit"]) if match else (column.heading, "")
    metric = CATALOGUE.get(key.metric) if key else None
    better = metric.better if metric else "none"
    return HtmlColumn(title, unit, column.digits is None, _ARROWS[better], _WORDS.get(better, ""))


def _digits(table: Tabular, c: int) -> int | None:
    """The column's digits, but of large numbers no more than can be read."""
    digits = table.columns[c].digits
    cells = (row[c] for row in table.rows)
    values = [cell.mean if isinstance(cell, MeanStd) else cell for cell in cells]
    sizes = [abs(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    if digits is None or not sizes or max(sizes) < 10:
        return digits
    return min(digits, 2 if max(sizes) < 1000 else 1)


def _cell(
    cell: Cell, digits: int | None, *, bounded: bool, best: bool, flag: bool, href: str
) -> HtmlCell:
    if isinstance(cell, MeanStd):
        deviation = "" if cell.std is None else number(cell.std, digits)
        return HtmlCell(number(cell.mean, digits), deviation, best, flag, href)
    if cell is None:
        text = "–"
    elif isinstance(cell, str):
        text = cell
    elif bounded and 0 < cell < (least := 10 ** -(digits or 0)):
        text = f"< {number(least, digits or 0)}"
    else:
        text = number(float(cell), digits or 0)
    return HtmlCell(text, "", best, flag, href)
