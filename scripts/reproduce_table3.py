"""Train the twelve rows of RevGAN's Table 3 under a time budget and tabulate them.

The paper trains 20 epochs on 7 Human Connectome brains on a GPU. Here every row gets an equal share
of ``--budget``: its time per step is measured first, and that share divided by it gives its steps
(at most the paper's 20 epochs). Errors are RMSE in 1e-5 mm²/s on the cohort's test subjects, beside
the paper's, which are on other brains and after more steps. Rows that are done are not done again.

    python scripts/reproduce_table3.py --budget 30 --output runs/table3
"""

import argparse
import json
import sys
from pathlib import Path

from medrev.config import Pipeline, load_pipeline
from medrev.errors import MedrevError
from medrev.files import atomic_path

PIPELINES = Path(__file__).parents[1] / "pipelines" / "paper"
CORES = {"srcnn": "3D-SRCNN", "2r": "+2R", "4r": "+4R", "8r": "+8R"}
METHODS = {
    "paired_without_gan": "Paired w/o L_GAN",
    "paired": "Paired",
    "unpaired": "Unpaired",
}
#: Interior and total RMSE of the paper's Table 3, 1e-5 mm²/s.
PAPER = {
    "srcnn_paired_without_gan": (7.03, 12.41),
    "2r_paired_without_gan": (7.02, 12.41),
    "4r_paired_without_gan": (6.68, 11.85),
    "8r_paired_without_gan": (18.43, 21.40),
    "srcnn_paired": (11.94, 20.73),
    "2r_paired": (9.61, 17.36),
    "4r_paired": (8.43, 14.81),
    "8r_paired": (7.82, 13.76),
    "srcnn_unpaired": (17.23, 26.94),
    "2r_unpaired": (11.05, 17.76),
    "4r_unpaired": (18.98, 28.06),
    "8r_unpaired": (18.96, 27.94),
}


def load_row(row: str, overrides: list[str], steps: int | None = None) -> Pipeline:
    path = PIPELINES / f"hcp_table3_{row}.yaml"
    if steps is None:
        return load_pipeline(path, overrides)
    length = [f"training.steps={steps}", f"training.validate_every={steps}"]
    return load_pipeline(path, [*overrides, *length])


def run_row(row: str, overrides: list[str], minutes: float, folder: Path) -> dict[str, object]:
    """Train one row for a share of the budget and return its figures."""
    from medrev.training import dry_run, train

    estimate = dry_run(load_row(row, overrides))
    steps = max(1, min(int(60 * minutes / estimate.seconds_per_step), estimate.steps))
    pipeline = load_row(row, overrides, steps)
    run = train(pipeline, folder / row, overwrite=(folder / row).exists(), quiet=True)
    if run.table is None:
        raise MedrevError("the cohort has no test subjects")
    figures: dict[str, object] = {"row": row, "steps": steps}
    for method in ("model", "cubic", "noise floor"):
        for metric in ("rmse_interior", "rmse"):
            summary = run.table.summary(method, metric)
            if summary is not None:
                figures[f"{method} {metric}"] = [summary.mean, summary.std]
    return figures


def cell(value: object) -> str:
    mean, std = value if isinstance(value, list) else (float("nan"), None)
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def markdown(done: dict[str, dict[str, object]], minutes: float) -> str:
    lines = [
        f"Budget: {minutes:g} minutes of training per row. RMSE in 1e-5 mm²/s, mean ± standard "
        "deviation over the test subjects.",
        "",
        "| model | steps | interior | whole mask | paper interior | paper total |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for method, title in METHODS.items():
        for core, name in CORES.items():
            row = f"{core}_{method}"
            if row in done:
                ours, paper = done[row], PAPER[row]
                lines.append(
                    f"| {title}, {name} | {ours['steps']} | {cell(ours['model rmse_interior'])} "
                    f"| {cell(ours['model rmse'])} | {paper[0]:.2f} | {paper[1]:.2f} |"
                )
    first = next(iter(done.values()))
    for name in ("cubic", "noise floor"):
        if f"{name} rmse" in first:
            inner, whole = first[f"{name} rmse_interior"], first[f"{name} rmse"]
            lines.append(f"| {name} | | {cell(inner)} | {cell(whole)} | | |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=60, help="minutes of training, all rows")
    parser.add_argument("--output", type=Path, default=Path("runs/table3"))
    parser.add_argument("--rows", nargs="+", choices=sorted(PAPER), default=list(PAPER))
    parser.add_argument("overrides", nargs="*", help="key=value for every row", metavar="key=value")
    args = parser.parse_args()
    minutes = args.budget / len(args.rows)
    args.output.mkdir(parents=True, exist_ok=True)
    done: dict[str, dict[str, object]] = {}
    try:
        for row in args.rows:
            result = args.output / f"{row}.json"
            if result.exists():
                done[row] = json.loads(result.read_text())
                continue
            print(f"{row}: {minutes:g} minutes", file=sys.stderr, flush=True)
            done[row] = run_row(row, args.overrides, minutes, args.output)
            with atomic_path(result) as temporary:
                temporary.write_text(json.dumps(done[row], indent=2) + "\n")
    except MedrevError as error:
        print(f"reproduce_table3: error: {error}", file=sys.stderr)
        return 2
    table = markdown(done, minutes)
    with atomic_path(args.output / "table3.md", overwrite=True) as temporary:
        temporary.write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
