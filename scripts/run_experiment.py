"""Train the rows of an experiment, evaluate them, and write their table beside the paper's.

An experiment is a YAML file in ``scripts/experiments``: rows are pipelines with overrides.
``--list`` names them; every table and figure with results of the RevGAN and one2one papers is one,
and the CycleGAN report is. Without more, rows are trained as long as their paper trains them. With
``--steps`` every row takes the same number of steps; with ``--budget`` the minutes are shared
equally, and each row takes the steps that its share allows (its time per step is measured first).

Rows that are done are not done again, and one that was stopped goes on. ``table.md`` (what the
rows' held-out tables say), ``paper.md`` (the paper's form, beside the paper's numbers), pictures
and the run folders lie in ``--output``.

    python scripts/run_experiment.py --list
    python scripts/run_experiment.py revgan-table2
    python scripts/run_experiment.py revgan-table3 --budget 30 --output runs/table3
    python scripts/run_experiment.py shapes --steps 500
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from experiment import (
    Experiment,
    Length,
    find_experiment,
    list_experiments,
    read_experiment,
    run,
)
from experiment.figures import MAPS, draw_depth, draw_maps, draw_samples
from experiment.rows import undone
from experiment.tables import markdown, paper_form, write_table

from medrev.errors import ConfigError, MedrevError


class Row(BaseModel):
    """A row of the table: a pipeline, what is changed in it, and figures to set beside ours."""

    model_config = ConfigDict(extra="forbid")

    name: str
    pipeline: Path
    overrides: list[str] = []
    beside: list[float] = []


class Experiment(BaseModel):
    """Rows, and the columns of their table.

    Attributes:
        title: Heading.
        rows: What is trained.
        overrides: For every row.
        metrics: Columns from the held-out table.
        losses: Columns from the log of losses: heading → terms that are added.
        round_trip: A column with the largest error of F⁻¹(F(x)) on a training batch.
        baselines: Methods of the held-out table that get a line of their own.
        beside: Headings of the figures that rows set beside ours.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    rows: list[Row]
    overrides: list[str] = []
    metrics: list[str]
    losses: dict[str, list[str]] = {}
    round_trip: bool = False
    baselines: list[str] = []
    beside: list[str] = []


def read_experiment(path: Path) -> Experiment:
    """Read an experiment; paths of pipelines are relative to its file.

    Raises:
        ConfigError: It cannot be read, or says something that is not known.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        experiment = Experiment.model_validate(document)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    for row in experiment.rows:
        row.pipeline = path.parent / row.pipeline
    unknown = set(experiment.metrics) - set(HELDOUT)
    if unknown:
        raise ConfigError(f"{path}: metrics must be of {', '.join(HELDOUT)}, got {unknown}")
    return experiment


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
    length = (
        [] if steps is None else [f"training.steps={steps}", f"training.validate_every={steps}"]
    )
    return load_pipeline(row.pipeline, [*overrides, *row.overrides, *more, *length])


def run_row(
    row: Row, experiment: Experiment, more: list[str], folder: Path, length: "Length"
) -> dict[str, Any]:
    """Train a row and return its figures."""
    from medrev.training import train

    steps = length.of(load_row(row, experiment.overrides, more=more))
    pipeline = load_row(row, experiment.overrides, steps, more)
    run = train(pipeline, folder, overwrite=folder.exists(), quiet=True)
    if run.heldout is None:
        raise ConfigError(f"{row.name}: the data has no test part")
    methods = ["model", *experiment.baselines]
    figures: dict[str, Any] = {"name": row.name, "steps": steps, "seconds": _seconds(run.metrics)}
    for method in methods:
        for metric in experiment.metrics:
            cell = HELDOUT[metric].mean(run.heldout, method)
            if cell is not None:
                figures[f"{method} {metric}"] = list(cell)
    figures |= _details(run.path, experiment)
    return figures


class Length:
    """How long rows are trained: steps, or minutes."""

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        self.steps, self.minutes = steps, minutes

    def of(self, pipeline: Pipeline) -> int:
        """Steps of a pipeline, at most its own."""
        from medrev.training import dry_run

        if self.steps is not None:
            return self.steps
        assert self.minutes is not None
        estimate = dry_run(pipeline)
        return max(1, min(int(60 * self.minutes / estimate.seconds_per_step), estimate.steps))

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps} steps a row"
        return f"{self.minutes:.3g} minutes of training a row"


def _details(run: Path, experiment: Experiment) -> dict[str, Any]:
    """Parameters, losses at the end, and the round trip."""
    import torch

    from medrev.domains.kinds import dataset_of
    from medrev.prediction import load_model

    model = load_model(run, "cpu")
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in model.translator.parameters())}
    log = list(csv.DictReader((run / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    tail = log[-max(1, len(log) // 10) :]
    for heading, terms in experiment.losses.items():
        values = [sum(float(entry.get(term) or "nan") for term in terms) for entry in tail]
        figures[heading] = [statistics.fmean(values), None]
    if experiment.round_trip:
        batch = next(iter(dataset_of(model.pipeline).batches()))["x"]
        with torch.no_grad():
            back = model.translator.inverse(model.translator(batch))
        figures["round trip"] = float((back - batch).abs().max())
    return figures


def _seconds(metrics: Path) -> float:
    last = list(csv.DictReader(metrics.read_text(encoding="utf-8").splitlines()))[-1]
    return float(last["seconds"])


def markdown(experiment: Experiment, done: dict[str, dict[str, Any]], length: Length) -> str:
    """The table as Markdown."""
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
    first = next(iter(done.values()))
    empty = len(columns) - 3 - len(experiment.metrics)
    for name in experiment.baselines:
        cells = [_cell(first.get(f"{name} {key}")) for key in experiment.metrics]
        if any(cell is not None for cell in cells):
            rows.append((name, None, None, *cells, *[None] * empty))
    table = Tabular(tuple(columns), tuple(rows)).to_markdown()
    return f"# {experiment.title}\n\n{length}.\n\n{table}"


def _cell(value: Any) -> Cell:
    if value is None or not math.isfinite(value[0]):
        return None
    return MeanStd(value[0], value[1])


def main() -> int:
    """Run the experiment of the command line."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", nargs="?", help="a name (--list) or a file")
    parser.add_argument("--list", action="store_true", help="name all experiments")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", type=float, help="minutes of training, all rows together")
    length.add_argument("--steps", type=int, help="steps of every row")
    length.add_argument("--no-training", action="store_true", help="evaluate what is trained")
    parser.add_argument("--output", type=Path, help="folder (default: runs/NAME)")
    parser.add_argument("--rows", nargs="+", type=int, metavar="N", help="only these, from 1")
    parser.add_argument("--maps", nargs="+", default=["md"], metavar="MAP", help=", ".join(MAPS))
    parser.add_argument("overrides", nargs="*", help="key=value for every row", metavar="key=value")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the experiment of the command line."""
    args = build_parser().parse_intermixed_args(argv)
    try:
        if args.list:
            for name, title in list_experiments().items():
                print(f"{name:<18}{title}")
            return 0
        print(_run(args))
    except MedrevError as error:
        print(f"run_experiment: error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: argparse.Namespace) -> str:
    """Do what the command line asks for, and return the last table."""
    if args.experiment is None:
        raise ConfigError("name an experiment, or give --list")
    for name in ("budget", "steps"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise ConfigError(f"--{name} must be above 0, got {value}")
    path = find_experiment(args.experiment)
    experiment = read_experiment(path)
    output = args.output or Path("runs") / path.stem
    if experiment.memory:
        return _memory(output)
    numbers = args.rows or list(range(1, len(experiment.rows) + 1))
    count = len(numbers) + (experiment.segmenter is not None)
    length = Length(args.steps, None if args.budget is None else args.budget / count)

    def tabulate(done: dict[str, dict[str, Any]]) -> None:
        if experiment.metrics:
            write_table(output, markdown(experiment, done, length))

    wanted = [] if args.no_training else numbers
    done = run(experiment, output, length, wanted, args.overrides, after=tabulate)
    text = markdown(experiment, done, length) if experiment.metrics else ""
    if experiment.form is not None:
        text = _in_the_papers_form(experiment, output, text, partly=bool(args.rows))
    if experiment.figure == "maps":
        draw_maps(experiment, output, args.maps)
    elif experiment.figure == "depth" and not undone(experiment, output):
        draw_depth(experiment, output)
    draw_samples(experiment, output)
    return text


def _in_the_papers_form(experiment: Experiment, output: Path, text: str, *, partly: bool) -> str:
    """The paper's form once all rows are there; with ``--rows`` the other table until then."""
    if partly and undone(experiment, output):
        lacking = ", ".join(undone(experiment, output))
        return f"{text}\nThe paper's form waits for the rows that are not trained: {lacking}."
    return f"{text}\n{paper_form(experiment, output)}"


def _memory(output: Path) -> str:
    """Table 5 and Figure 6b of the RevGAN paper: a step's memory by depth."""
    program = Path(__file__).with_name("benchmark_reversible.py")
    if not (output / "table5.md").exists():
        command = [sys.executable, str(program), "--table5", "--output", str(output)]
        if subprocess.run(command, check=False).returncode:
            raise ConfigError("the memory could not be measured (see above)")
    return (output / "table5.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
