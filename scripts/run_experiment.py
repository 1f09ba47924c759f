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

from experiment import Experiment, Length, find_experiment, list_experiments, read_experiment, run
from experiment.figures import MAPS, draw_depth, draw_maps, draw_samples
from experiment.rows import undone
from experiment.tables import markdown, paper_form, write_table

from medrev.errors import ConfigError, MedrevError


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
