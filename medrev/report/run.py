"""The report of a training run: curves, pictures, held-out table, resources, in one HTML page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from medrev.errors import InputError
from medrev.evaluation import Results, Tabular, heldout_columns, heldout_table, read_heldout
from medrev.report.charts import box_plot
from medrev.report.figures import Chart, training_curves
from medrev.report.page import render, write_page
from medrev.report.words import data_table, run_paragraphs, run_words
from medrev.texts import read_json, read_table

_MOST_SAMPLES, _MOST_BOXES = 6, 6
#: Files of a run that are linked, and what they are.
_FILES = {
    "model_card.md": "what the model is, what it saw, how far it can be trusted",
    "pipeline.yaml": "the resolved pipeline",
    "environment.json": "versions, seed, device, the data by content",
    "metrics.csv": "losses",
    "validation.csv": "errors on the validation subjects",
    "heldout.csv": "a line per test subject and method",
    "checkpoints/best/weights.safetensors": "the weights",
}


def write_run_report(run: Path, *, peak_memory: float | None = None) -> Path:
    """Write ``report.html`` into a run folder, from what lies in it.

    Args:
        run: The run folder, finished or not.
        peak_memory: Most memory that training held at a time, in GiB, if it is known.

    Raises:
        InputError: It is no run folder.
        OutputError: The page cannot be written.
    """
    if not (run / "pipeline.yaml").is_file():
        raise InputError(f"{run} is no run folder: it has no pipeline.yaml")
    text = (run / "pipeline.yaml").read_text(encoding="utf-8")
    pipeline = yaml.safe_load(text)
    if not isinstance(pipeline, dict):
        raise InputError(f"{run} is no run folder: its pipeline.yaml holds no pipeline")
    status, environment = (
        read_json(run / "run.json", lenient=True),
        read_json(run / "environment.json", lenient=True),
    )
    table = _heldout(run / "heldout.json")
    metrics, validation = _columns(run / "metrics.csv"), _columns(run / "validation.csv")
    page, words = run / "report.html", run_words(pipeline)
    html = render(
        "run.html.j2",
        title=f"Training of {pipeline.get('name', run.name)}",
        status=status,
        environment=environment,
        description=pipeline.get("description") or "",
        warnings=[str(line) for line in status.get("warnings") or ()],
        heldout=None if table is None else _captioned(table),
        series={} if table is None else _series(table),
        heldout_notes=[] if table is None else table.reasons,
        boxes=[] if table is None else _boxes(table),
        curves=training_curves(metrics, validation),
        samples=_samples(run),
        data=data_table(environment, words["things"]),
        seconds=_last(metrics, "seconds"),
        steps_done=_last(metrics, "step"),
        peak_memory=peak_memory,
        methods=run_paragraphs(pipeline, status, environment, chosen=_chosen(validation)),
        words=words,
        pipeline=text,
        files={name: what for name, what in _FILES.items() if (run / name).is_file()},
    )
    write_page(page, html)
    return page


def _columns(path: Path) -> dict[str, list[float]]:
    """The columns of a log as numbers; what is none is NaN. Empty where there is no log.

    Raises:
        InputError: The log is no table.
    """
    if not path.is_file():
        return {}
    table = read_table(path)
    return {name: [_number(row[name]) for row in table.rows] for name in table.columns}


def _number(text: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _heldout(path: Path) -> Results | None:
    """The held-out table, read back from its JSON file."""
    try:
        results = read_heldout(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # InputErrors among them
        return None
    return results or None


def _captioned(results: Results) -> Tabular:
    """The held-out table; reasons stand below it as notes of the page."""
    count = len(results.subjects)
    caption = f"held-out: {results.subjects[0]}"
    if count > 1:
        caption = f"{count} held-out subjects, mean ± standard deviation"
    return replace(heldout_table(results), caption=caption, notes=())


def _series(results: Results) -> dict[str, int]:
    return {method: n for n, method in enumerate(results.methods)}


def _boxes(results: Results) -> list[Chart]:
    """Distributions over subjects, where there are several."""
    if len(results.subjects) < 2:
        return []
    charts = []
    for column in list(heldout_columns(results).values())[:_MOST_BOXES]:
        groups = {method: column.values(results, method) for method in results.methods}
        svg = box_plot(groups, series=_series(results), digits=column.digits)
        charts.append(Chart(svg, column.title))
    return charts


def _chosen(validation: Mapping[str, Sequence[float]]) -> bool:
    """Whether checkpoints were chosen by an error: cycle errors alone tell nothing."""
    return any(name not in ("step", "best_step", "cycle_x", "cycle_y") for name in validation)


def _samples(run: Path) -> list[dict[str, Any]]:
    """The last picture, and some of those before, the newest first."""
    found = sorted((run / "samples").glob("step_*.png"), reverse=True)
    step = max(1, -(-len(found) // _MOST_SAMPLES))
    return [
        {"name": f"step {int(path.stem.removeprefix('step_'))}", "png": path.read_bytes()}
        for path in found[::step]
    ]


def _last(metrics: Mapping[str, Sequence[float]], name: str) -> float:
    """The last number in a column of a log; 0 where there is none."""
    return next((v for v in reversed(metrics.get(name, [])) if math.isfinite(v)), 0.0)
