"""One table object, written as CSV, JSON, Markdown and LaTeX."""

import csv
import io
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medrev.errors import InputError, OutputError
from medrev.evaluation.catalogue import Better
from medrev.files import write_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


class MeanStd(NamedTuple):
    """A mean and its sample standard deviation, shown as ``7.03 ± 0.31``.

    Attributes:
        mean: The mean.
        std: The standard deviation; None where there is none.
    """

    mean: float
    std: float | None = None


Cell = str | int | float | MeanStd | None
"""Text, a number, a mean with its deviation, or nothing."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading.
        digits: Digits after the point of its numbers; None for text and whole numbers.
        group: Heading that spans it and its neighbours of the same group.
        bounded: Show a positive number that would be rounded to zero as a bound: ``< 0.0001``.
        better: Which numbers are good (:class:`medrev.evaluation.catalogue.Metric`).
    """

    heading: str
    digits: int | None = None
    group: str = ""
    bounded: bool = False
    better: Better = "none"

    @property
    def title(self) -> str:
        """Group and heading."""
        return f"{self.group}: {self.heading}" if self.group else self.heading


@dataclass(frozen=True)
class Tabular:
    """A table of which every format shows the same.

    CSV and JSON hold numbers at full precision, Markdown and LaTeX rounded to the digits of their
    column. A cell without value is empty in CSV, ``null`` in JSON and ``–`` elsewhere.

    Attributes:
        columns: The columns; the first is the rows' heading.
        rows: One cell per column.
        caption: What the table shows.
        notes: What the reader must know, one sentence each.
        sections: Rows before which a rule stands.
        bold: Row and column of the cells that are set in bold.

    Raises:
        InputError: A row has another number of cells than there are columns, or a cell is NaN.

    Example:
        >>> columns = (Column("method"), Column("RMSE", 2))
        >>> table = Tabular(columns, (("cubic", MeanStd(9.256, 0.3)), ("model", None)))
        >>> print(table.to_markdown())
        | method | RMSE |
        | --- | ---: |
        | cubic | 9.26 ± 0.30 |
        | model | – |
        <BLANKLINE>
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    sections: tuple[int, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"a row has {len(row)} cells, the table {len(self.columns)}")
            if any(math.isnan(number) for cell in row for number in _numbers(cell)):
                raise InputError("a cell is NaN: undefined values are None")

    @property
    def spans(self) -> list[tuple[str, int]]:
        """Headings over several columns and their number; nothing where there is none."""
        spans = [(g, len(list(some))) for g, some in groupby(c.group for c in self.columns)]
        return spans if any(group for group, _ in spans) else []

    def to_csv(self) -> str:
        """The table at full precision; a column of means is followed by one of their deviations."""
        paired = [
            any(isinstance(row[c], MeanStd) for row in self.rows) for c in range(len(self.columns))
        ]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        heading: list[str] = []
        for column, pair in zip(self.columns, paired, strict=True):
            heading += [column.title, f"{column.title} std"] if pair else [column.title]
        writer.writerow(heading)
        for row in self.rows:
            cells: list[object] = []
            for cell, pair in zip(row, paired, strict=True):
                mean, std = cell if isinstance(cell, MeanStd) else (cell, None)
                cells += ["" if v is None else v for v in ((mean, std) if pair else (mean,))]
            writer.writerow(cells)
        return stream.getvalue()

    def to_json(self) -> str:
        """Caption, columns, rows and notes as one JSON object; infinite is the text ``inf``."""
        document = {
            "caption": self.caption,
            "columns": [{"heading": c.heading, "group": c.group} for c in self.columns],
            "rows": [[_json(cell) for cell in row] for row in self.rows],
            "notes": list(self.notes),
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """A Markdown table, followed by the notes."""
        align = ["---" if column.digits is None else "---:" for column in self.columns]
        rows = [[column.title for column in self.columns], align]
        for r, row in enumerate(self.rows):
            cells = [_markdown(self.text(r, c)) for c in range(len(row))]
            rows.append([f"**{t}**" if (r, c) in self.bold else t for c, t in enumerate(cells)])
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        if self.caption:
            lines = [_markdown(self.caption), "", *lines]
        for note in self.notes:
            lines += ["", f"Note: {_markdown(note)}"]
        return "\n".join(lines) + "\n"

    def to_latex(self) -> str:
        r"""A ``table`` environment with the rules of booktabs (``\usepackage{booktabs}``)."""
        align = "".join("l" if column.digits is None else "r" for column in self.columns)
        lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
        cells, rules, first = [], [], 1
        for group, width in self.spans:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_latex(group)}}}")
            if group:
                rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
            else:
                cells[-1:] = [""] * width
            first += width
        if cells:
            lines += [_latex_row(cells), " ".join(rules)]
        lines += [_latex_row([_latex(column.heading) for column in self.columns]), r"\midrule"]
        for r, row in enumerate(self.rows):
            if r in self.sections and r:
                lines.append(r"\midrule")
            texts = [self.text(r, c) for c in range(len(row))]
            cells = [
                _latex(text if isinstance(cell, str) else text.replace("-", "−"))
                for cell, text in zip(row, texts, strict=True)
            ]
            bold = [rf"\textbf{{{t}}}" if (r, c) in self.bold else t for c, t in enumerate(cells)]
            lines.append(_latex_row(bold))
        lines += [r"\bottomrule", r"\end{tabular}"]
        text = " ".join(part for part in (self.caption, *self.notes) if part)
        if text:
            lines.append(rf"\caption{{{_latex(text)}}}")
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def write(self, stem: Path, *, overwrite: bool) -> list[Path]:
        """Write it as CSV, JSON, Markdown and LaTeX, whose files are a path with these endings.

        Raises:
            OutputError: A file exists already or cannot be written.
        """
        texts = {
            ".csv": self.to_csv,
            ".json": self.to_json,
            ".md": self.to_markdown,
            ".tex": self.to_latex,
        }
        paths = {stem.with_name(stem.name + ending): text for ending, text in texts.items()}
        existing = [path for path in paths if path.exists() and not overwrite]
        if existing:
            raise OutputError(f"{existing[0]} exists already; give --overwrite to replace it")
        for path, text in paths.items():
            write_text(path, text(), overwrite=True)
        return list(paths)

    def print(self, console: "Console | None" = None, *, strong: Collection[str] = ()) -> None:
        """Print it to standard error with its caption and notes, turned so that it fits.

        Rows whose first cell is ``strong`` stand out.

        The table's columns stand below each other, its rows beside each other; where the terminal
        is too narrow for deviations, the means alone.
        """
        from rich.console import Console

        if console is None:
            console = Console(stderr=True)
            console = console if console.is_terminal else Console(stderr=True, width=120)
        table = self._turned(strong, deviations=True)
        unlimited = console.options.update(max_width=1000)
        if console.measure(table, options=unlimited).maximum > console.width:
            table = self._turned(strong, deviations=False)
        console.print(table)
        for line in self.notes:
            console.print(f"Note: {line}", highlight=False, markup=False)

    def _turned(self, strong: Collection[str], *, deviations: bool) -> "RichTable":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text

        caption = self.caption
        if not deviations:
            caption = re.sub("([Mm]ean) ± standard deviation", r"\1", caption)
        table = RichTable(
            title=caption,
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 0, 0, 1),
            pad_edge=False,
            show_edge=False,
        )
        table.add_column("", no_wrap=True)
        for row in self.rows:
            # The words of a name may stand above each other, numbers are never broken.
            name = str(row[0])
            head = Text(name if deviations else name.replace(" ", "\n"))
            style = "bold" if name in strong else None
            table.add_column(head, justify="right", style=style, no_wrap=True)
        for c, column in enumerate(self.columns[1:], start=1):
            cells = [self.text(r, c, deviation=deviations) for r in range(len(self.rows))]
            table.add_row(Text(column.title), *cells)
        return table

    def text(self, r: int, c: int, *, deviation: bool = True) -> str:
        """A cell as it is read, rounded to the column's digits."""
        column = self.columns[c]
        mean, std = shown(self.rows[r][c], column.digits, bounded=column.bounded)
        return f"{mean} ± {std}" if std and deviation else mean


def shown(cell: Cell, digits: int | None, *, bounded: bool) -> tuple[str, str]:
    """A cell as it is read, rounded to digits, and its deviation, if it has one."""
    if cell is None or isinstance(cell, str):
        return "–" if cell is None else cell, ""
    if isinstance(cell, MeanStd):
        return _round(cell.mean, digits), "" if cell.std is None else _round(cell.std, digits)
    least = 10 ** -(digits or 0)
    if bounded and 0 < cell < least:
        return f"< {_round(least, digits)}", ""
    return _round(cell, digits), ""


def _round(number: float, digits: int | None) -> str:
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    if digits is None:
        return str(number)
    text = f"{number:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _numbers(cell: Cell) -> tuple[float, ...]:
    if isinstance(cell, MeanStd):
        return tuple(number for number in cell if number is not None)
    return (cell,) if isinstance(cell, float) else ()


def _json(cell: Cell) -> Any:
    if isinstance(cell, MeanStd):
        return {"mean": _json(cell.mean), "std": cell.std}
    return str(cell) if isinstance(cell, float) and math.isinf(cell) else cell


def _markdown(text: str) -> str:
    """Text that cannot leave its cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "–": "--",
    "→": r"$\rightarrow$",
    "↔": r"$\leftrightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "²": r"$^2$",
    "³": r"$^3$",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "†": r"$\dagger$",
    "·": r"$\cdot$",
    "σ": r"$\sigma$",
    "λ": r"$\lambda$",
}


def _latex(text: str) -> str:
    """Text that means itself in LaTeX."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
