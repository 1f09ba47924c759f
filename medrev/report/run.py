"""The report of a training run: curves, pictures, held-out table, resources, in one HTML page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medrev import __version__
from medrev.errors import InputError
from medrev.evaluation import (
    Results,
    Tabular,
    heldout_columns,
    heldout_table,
    read_heldout,
)
from medrev.evaluation.tables import marked_rows
from medrev.files import read_json
from medrev.metrics import NOISE_FLOOR
from medrev.progress import format_seconds
from medrev.report.charts import box_plot
from medrev.report.figures import Chart, training_curves
from medrev.report.page import link_to, render, write_page
from medrev.report.words import RunWords, data_table
from medrev.tables import read_table

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

    Returns:
        The page.

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
    page, words = run / "report.html", RunWords(pipeline)
    samples = _samples(run)
    sections = {
        "results": "Results" if table else "",
        "curves": "Curves" if metrics else "",
        "samples": "Samples" if samples else "",
        "data": "Data",
        "resources": "Resources",
        "methods": "Methods",
        "pipeline": "Pipeline",
        "files": "Files",
    }
    html = render(
        "run.html.j2",
        title=f"Training of {pipeline.get('name', run.name)}",
        facts=_facts(status, environment),
        sections=[(id_, name) for id_, name in sections.items() if name],
        closing=f"Written by medrev {__version__}.",
        unfinished="" if status.get("status") == "finished" else str(status.get("status", "")),
        description=pipeline.get("description") or "",
        warnings=[str(line) for line in status.get("warnings") or ()],
        heldout=None if table is None else _heldout_table(table),
        series={} if table is None else _series(table),
        heldout_notes=[] if table is None else table.reasons,
        boxes=[] if table is None else _boxes(table),
        curves=training_curves(metrics, validation),
        samples=samples,
        data=data_table(environment, words.things),
        resources=_resources(status, environment, metrics, peak_memory),
        methods=words.methods(status, environment, chosen=_chosen(validation)),
        words=words,
        pipeline=text,
        files=[
            {"name": name, "what": what, "href": link_to(run / name, run)}
            for name, what in _FILES.items()
            if (run / name).is_file()
        ],
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


def _heldout_table(results: Results) -> Tabular:
    """Means ± standard deviations, the best marked, the noise floor below."""
    tabular = heldout_table(results)
    bold = set()
    for c, column in enumerate(heldout_columns(results).values(), start=1):
        cells = [None if row[0] == NOISE_FLOOR else row[c] for row in tabular.rows]
        bold |= {(r, c) for r in marked_rows(column.keys[0], cells, column.digits)}
    count = len(results.subjects)
    caption = f"held-out: {results.subjects[0]}"
    if count > 1:
        caption = f"{count} held-out subjects, mean ± standard deviation"
    floor = [r for r, row in enumerate(tabular.rows) if row[0] == NOISE_FLOOR]
    sections = (1, *floor)
    return Tabular(tabular.columns, tabular.rows, caption, (), sections, frozenset(bold))


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


def _facts(status: Mapping[str, Any], environment: Mapping[str, Any]) -> list[str]:
    step, steps = status.get("step"), status.get("steps")
    return [
        text
        for text in (
            str(status.get("status", "")),
            f"step {step} of {steps}" if step and steps else "",
            f"medrev {environment.get('medrev', __version__)}",
            str(status.get("changed", ""))[:16].replace("T", " "),
        )
        if text
    ]


def _resources(
    status: Mapping[str, Any],
    environment: Mapping[str, Any],
    metrics: Mapping[str, Sequence[float]],
    peak_memory: float | None,
) -> list[tuple[str, str]]:
    """What training took, as pairs of words."""
    seconds, steps = (
        [value for value in metrics.get(name, []) if math.isfinite(value)]
        for name in ("seconds", "step")
    )
    trained = bool(seconds and steps)
    device, packages = environment.get("device"), environment.get("packages") or {}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    known = {
        "time in training steps": trained and format_seconds(seconds[-1]),
        "steps per minute": trained and f"{60 * steps[-1] / max(seconds[-1], 1e-9):.3g}",
        "most memory held at a time": peak_memory is not None and f"{peak_memory:.2f} GiB",
        "device": device and f"{device} ({environment.get('device_name')})",
        "processes": device and str(environment.get("processes")),
        "threads per process": device and str(environment.get("threads")),
        "started": str(status.get("started") or "").replace("T", " "),
        "ended": str(status.get("changed") or "").replace("T", " "),
        "versions": versions and f"Python {environment.get('python')}, {versions}",
        "commit of medrev": environment.get("git_commit"),
    }
    return [(name, str(said)) for name, said in known.items() if said]
