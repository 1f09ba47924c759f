"""The rows of an experiment: checked before anything is trained, trained once, resumed."""

import csv
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiment.document import Experiment, Row
from medrev.config import Pipeline, load_pipeline
from medrev.errors import ConfigError, MedrevError
from medrev.evaluation import HELDOUT
from medrev.files import atomic_path, ensure_writable_folder

__all__ = ["SEGMENTER", "Length", "check", "load_row", "run", "undone"]

#: Name of the segmenter's files in the output folder.
SEGMENTER = "segmenter"


class Length:
    """How long rows are trained: the papers' time, a number of steps, or minutes."""

    def __init__(self, steps: int | None = None, minutes: float | None = None) -> None:
        self.steps, self.minutes = steps, minutes

    def of(self, pipeline: Pipeline) -> int | None:
        """Steps of a pipeline, at most its own; None: its own.

        Raises:
            ConfigError: The minutes are too few for one step.
        """
        from medrev.training import dry_run

        if self.steps is not None or self.minutes is None:
            return self.steps
        estimate = dry_run(pipeline)
        steps = int(60 * self.minutes / estimate.seconds_per_step)
        if steps < 1:
            raise ConfigError(
                f"{pipeline.name}: one step takes {estimate.seconds_per_step:.3g} s, and its share "
                f"of the budget is {60 * self.minutes:.3g} s; "
                "give a larger --budget, or fewer --rows"
            )
        return min(steps, estimate.steps)

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps} steps a row"
        if self.minutes is not None:
            return f"{self.minutes:.3g} minutes of training a row"
        return "The papers' length of training"


def load_row(
    row: Row, overrides: list[str], steps: int | None = None, more: Sequence[str] = ()
) -> Pipeline:
    """The pipeline of a row; the numbers of steps and validations only where ``steps`` says so.

    Args:
        row: A row; what it changes goes before what its experiment does.
        overrides: Of the experiment.
        steps: Its length.
        more: Of the command line, before all others.
    """
    given = [*overrides, *row.overrides, *more]
    if steps is not None:
        given = [one for one in given if not one.startswith("training.epochs=")]
        given += [f"training.steps={steps}", f"training.validate_every={steps}"]
    return load_pipeline(row.pipeline, given)


def numbered(experiment: Experiment) -> dict[str, Row]:
    """Rows by the name of their files: the segmenter's, then 01, 02 and so on."""
    first = {} if experiment.segmenter is None else {SEGMENTER: experiment.segmenter}
    return first | {f"{n:02d}": row for n, row in enumerate(experiment.rows, start=1)}


def undone(experiment: Experiment, output: Path) -> list[str]:
    """Names of the rows that are not trained."""
    files = numbered(experiment)
    return [row.name for name, row in files.items() if not (output / f"{name}.json").exists()]


def check(experiment: Experiment, wanted: Sequence[str], output: Path, more: Sequence[str]) -> None:
    """See that every row that is to be trained has its data, divided as its paper does.

    Raises:
        ConfigError: Naming the rows whose data is missing or cannot be divided so, and why.
    """
    from medrev.domains.kinds import dataset_of

    problems: dict[str, list[str]] = {}
    for name, row in numbered(experiment).items():
        if name in wanted and not (output / f"{name}.json").exists():
            overrides = [] if name == SEGMENTER else experiment.overrides
            try:
                dataset = dataset_of(load_row(row, overrides, more=more))
                for part in ("train", "test"):
                    if not len(dataset.members(part)):
                        raise ConfigError(f"the data has no {part} part")
            except MedrevError as error:
                problems.setdefault(" ".join(str(error).split()), []).append(row.name)
    if problems:
        raise ConfigError("; ".join(f"{', '.join(rows)}: {why}" for why, rows in problems.items()))


def run(
    experiment: Experiment,
    output: Path,
    length: Length,
    numbers: list[int],
    overrides: list[str],
    *,
    after: Callable[[dict[str, dict[str, Any]]], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Train the rows with these numbers (from 1), unless they are done.

    A row that was stopped goes on where it stood, with the length that it began with.

    Args:
        experiment: Rows.
        output: Folder of runs and figures.
        length: Of each row.
        numbers: Which rows, from 1.
        overrides: Of the command line.
        after: Called with what is done after each row.

    Raises:
        ConfigError: There is no row of a number; data is missing; the budget is too small.
    """
    strange = sorted(set(numbers) - set(range(1, len(experiment.rows) + 1)))
    if strange:
        raise ConfigError(
            f"--rows must be 1 to {len(experiment.rows)}, got {', '.join(map(str, strange))}"
        )
    wanted = [SEGMENTER, *(f"{number:02d}" for number in numbers)]
    check(experiment, wanted, output, overrides)
    done: dict[str, dict[str, Any]] = {}
    for name, row in numbered(experiment).items():
        result = output / f"{name}.json"
        if result.exists():
            figures = json.loads(result.read_text(encoding="utf-8"))
        elif name in wanted:
            print(f"{row.name}: {length}", file=sys.stderr, flush=True)
            of_all = [] if name == SEGMENTER else experiment.overrides
            steps = _steps(
                output / f"{name}_steps.json", length, load_row(row, of_all, more=overrides)
            )
            pipeline = load_row(row, of_all, steps, overrides)
            figures = _train(pipeline, row, experiment, output / name)
            _write_json(result, figures)
        else:
            continue
        done[row.name] = figures
        if after is not None:
            after(done)
    return done


def _steps(file: Path, length: Length, pipeline: Pipeline) -> int | None:
    """The length that a row began with, or begins with now."""
    if not file.exists():
        steps = length.of(pipeline)
        ensure_writable_folder(file.parent)
        _write_json(file, steps)
    kept: int | None = json.loads(file.read_text(encoding="utf-8"))
    return kept


def _train(pipeline: Pipeline, row: Row, experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Train a row, from the beginning or where it was stopped, and return its figures."""
    from medrev.training import RunFolder, train

    begun = RunFolder(folder).state().is_file()
    run = train(pipeline, folder, resume=begun, overwrite=not begun, quiet=True)
    if run.heldout is None:
        raise ConfigError(f"{row.name}: the data has no test part")
    log = list(csv.DictReader(run.metrics.read_text(encoding="utf-8").splitlines()))
    figures: dict[str, Any] = {
        "name": row.name,
        "steps": int(run.read_status()["step"]),
        "tested": len(run.heldout.subjects),
        "seconds": float(log[-1]["seconds"]),
    }
    for method in ("model", *experiment.baselines):
        for metric in experiment.metrics:
            cell = HELDOUT[metric].mean(run.heldout, method)
            if cell is not None:
                figures[f"{method} {metric}"] = list(cell)
    return figures | _details(run.path, experiment, log)


def _details(run: Path, experiment: Experiment, log: list[dict[str, str]]) -> dict[str, Any]:
    """Parameters, losses at the end, and the round trip."""
    import torch

    from medrev.domains.kinds import dataset_of
    from medrev.nets import evaluating
    from medrev.prediction import load_model

    model = load_model(run, "cpu")
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in model.translator.parameters())}
    tail = log[-max(1, len(log) // 10) :]
    for heading, terms in experiment.losses.items():
        values = [sum(float(entry.get(term) or "nan") for term in terms) for entry in tail]
        figures[heading] = [statistics.fmean(values), None]
    if experiment.round_trip:
        batch = next(iter(dataset_of(model.pipeline).batches()))["x"]
        with evaluating(model.translator), torch.no_grad():
            back = model.translator.inverse(model.translator(batch))
        figures["round trip"] = float((back - batch).abs().max())
    return figures


def _write_json(path: Path, document: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
