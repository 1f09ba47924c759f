"""The table of an experiment: from the held-out tables of its rows, and in its paper's form."""

import math
from pathlib import Path
from typing import Any

from experiment.document import Experiment
from experiment.rows import Length, numbered, undone
from medrev.errors import ConfigError
from medrev.evaluation import HELDOUT, Cell, Column, MeanStd, Sources, Tabular
from medrev.files import atomic_path

__all__ = ["markdown", "paper_form", "write_table"]


def markdown(experiment: Experiment, done: dict[str, dict[str, Any]], length: Length) -> str:
    """The table of what the rows' held-out tables and logs say, as Markdown."""
    columns = [Column("model"), Column("parameters"), Column("steps")]
    columns += [Column(HELDOUT[key].title, HELDOUT[key].digits) for key in experiment.metrics]
    columns += [Column(heading, 3) for heading in experiment.losses]
    columns += [Column("largest round-trip error")] * experiment.round_trip
    columns += [Column(heading, 2) for heading in experiment.beside]
    rows: list[tuple[Cell, ...]] = []
    for row in experiment.rows:
        if row.name not in done:
            continue
        found = done[row.name]
        cells: list[Cell] = [row.name, found["parameters"], found["steps"]]
        cells += [_cell(found.get(f"model {key}")) for key in experiment.metrics]
        cells += [_cell(found.get(heading)) for heading in experiment.losses]
        if experiment.round_trip:
            cells.append(f"{found['round trip']:.1e}")
        cells += [*row.beside, *[None] * (len(experiment.beside) - len(row.beside))]
        rows.append(tuple(cells))
    first = next((done[row.name] for row in experiment.rows if row.name in done), {})
    tested = f" {first['tested']} in the test part." if "tested" in first else ""
    empty = len(columns) - 3 - len(experiment.metrics)
    for name in experiment.baselines:
        cells = [_cell(first.get(f"{name} {key}")) for key in experiment.metrics]
        if any(cell is not None for cell in cells):
            rows.append((name, None, None, *cells, *[None] * empty))
    table = Tabular(tuple(columns), tuple(rows)).to_markdown()
    lacking = [row.name for row in experiment.rows if row.name not in done]
    notes = [f"\nNot trained yet: {', '.join(lacking)}.\n"] if lacking else []
    notes += [f"\n{experiment.note}\n"] if experiment.note else []
    return "".join([f"# {experiment.title}\n\n{length}.{tested}\n\n{table}", *notes])


def write_table(output: Path, text: str) -> None:
    """Write ``table.md``."""
    with atomic_path(output / "table.md", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def paper_form(experiment: Experiment, output: Path) -> str:
    """Evaluate the runs in every direction; the table in the paper's form, and the paper's own.

    Raises:
        ConfigError: The table is half done.
    """
    from medrev.prediction import weight_file
    from medrev.report import combine, evaluate

    assert experiment.form is not None
    lacking = undone(experiment, output)
    if lacking:
        raise ConfigError(
            f"the table is half done, not trained: {', '.join(lacking)}; "
            "run the experiment without --rows and --no-training to train what is missing"
        )
    runs = {row.name: output / name for name, row in numbered(experiment).items()}
    segmenter = None if experiment.segmenter is None else runs.pop(experiment.segmenter.name)
    inputs = tuple(f"{name}={folder}" for name, folder in runs.items())
    folders = {}
    for number, one in enumerate(experiment.evaluations, start=1):
        choices = {"baselines": (), "direction": one.direction, **one.choices}
        if one.segmented:
            assert segmenter is not None
            choices["segmenter"] = weight_file(segmenter).absolute()
        folder = output / f"{experiment.form}_{number}"
        evaluate(
            Sources(inputs=inputs),
            output=folder,
            choices=choices,
            resume=folder.is_dir(),
            embed=0,
            paper_tables=[experiment.form],
            show_progress=False,
        )
        folders[one.name] = folder
    combine(folders, [experiment.form], output, overwrite=True)
    ours = (output / f"{experiment.form}.md").read_text(encoding="utf-8")
    head = ours.splitlines()[: _lines_of_heading(ours)]
    theirs = "\n".join([*head, *experiment.paper])
    text = f"# {experiment.title}\n\nHere:\n\n{ours.rstrip()}\n\nIn the paper:\n\n{theirs}\n"
    if experiment.note:
        text += f"\n{experiment.note}\n"
    with atomic_path(output / "paper.md", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def _lines_of_heading(table: str) -> int:
    """Lines of a Markdown table up to its rule."""
    lines = table.splitlines()
    return next(n for n, line in enumerate(lines, start=1) if line.startswith(("|-", "| -", "|:")))


def _cell(value: Any) -> Cell:
    if value is None or not math.isfinite(value[0]):
        return None
    return MeanStd(value[0], value[1])
