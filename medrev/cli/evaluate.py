"""``medrev-evaluate``: measure a cohort, and write its tables and its report."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medrev.cli.common import PARTIAL, command_parser, importing, run_command
from medrev.cli.options import given_options, take_options
from medrev.cli.places import add_places, check_places, pool_of, retries_of
from medrev.errors import ConfigError
from medrev.evaluate_options import BASELINES, WHOLE, EvaluationConfig, Sources

if TYPE_CHECKING:
    from medrev.parallel import Pool

logger = logging.getLogger("medrev.evaluate")

_MEASURES = {"group": "measures"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What else is told: the results, and what Python callers give in other words."""

    resample_reference: Literal["no", "yes"] = field(default="no", metadata={"group": "volumes"})
    """yes: bring references on another grid onto the predictions' (default: no, an error)"""
    baselines: str | None = field(default=None, metadata={**_MEASURES, "metavar": "NAME,…"})
    """interpolations of the input: nearest, trilinear, cubic, bspline, or none (default: the
    pipeline's, else all)"""
    paper_table: tuple[str, ...] = field(
        default=(), metadata={**_MEASURES, "metavar": "NAME", "repeat": True}
    )
    """also write a table in a paper's own form: revgan-2, revgan-3, revgan-4, one2one-1 to
    one2one-5, cinn-1, cinn-9, generative-1; may be repeated"""
    group: str | None = field(default=None, metadata={**_MEASURES, "metavar": "COLUMN"})
    """compare groups of subjects"""
    output: Path | None = field(default=None, metadata={"metavar": "DIR"})
    """folder of the results (default: RUN/evaluation of a single run, else evaluation)"""
    overwrite: bool = False
    """replace an existing evaluation"""
    resume: bool = False
    """go on with an existing evaluation"""
    embed: int = field(default=6, metadata={"metavar": "N"})
    """subjects with pictures and volumes in the report (default: 6)"""
    title: str | None = field(default=None, metadata={"metavar": "TEXT"})
    """heading of the report"""

    def __post_init__(self) -> None:
        if not 0 <= self.embed <= 10_000:
            raise ConfigError(f"--embed must be 0 to 10000, got {self.embed}")
        if self.resume and self.overwrite:
            raise ConfigError("give either --resume or --overwrite")


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-evaluate``."""
    parser = command_parser(
        "medrev-evaluate",
        Sources,
        EvaluationConfig,
        Options,
        groups=("volumes", "measures"),
        device=True,
        threads=False,  # each subject is measured on one, whatever there is
        description="Compare predictions with references over a cohort: tables per subject and "
        "over all, statistics, and a report that is one HTML file. Prints the report's path.",
        epilog="examples:\n"
        "  medrev-evaluate runs/hcp_dti_sr\n"
        "  medrev-evaluate first=runs/a second=runs/b --output evaluations/a-b\n"
        "  medrev-evaluate results --reference truth --input low --workers 4\n"
        "  medrev-evaluate pix2pix=runs/a one2one=runs/b --sensitivity pix2pix "
        "--paper-table one2one-5\n"
        "  medrev-evaluate cohort.tsv --group site --scheduler tcp://host:8786",
    )
    add_places(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-evaluate`` and return its exit code."""
    return run_command(
        build_parser,
        _evaluate,
        argv,
        memory_advice="run fewer --workers",
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    options = take_options(Options, arguments)
    more = {"mask": "whole"} if arguments.mask == WHOLE else {}
    take_options(EvaluationConfig, arguments, **more)  # refused before anything slow is imported
    spread = arguments.ensemble > 1 or arguments.samples is not None
    if arguments.interval is not None and not spread:
        raise ConfigError("--interval needs --ensemble or --samples, whose spread it is of")
    if arguments.participants is not None and options.group is None:
        raise ConfigError("--participants is the table of --group: give that, or leave it out")
    check_places(arguments)
    if not (arguments.debug or arguments.verbose):  # one line a subject
        logging.getLogger("medrev.prediction").setLevel(logging.WARNING)
    with pool_of(arguments, warm="medrev.evaluation") as pool:
        pool.start()  # workers start while this process imports
        return _run(options, arguments, pool)


def _run(options: Options, arguments: argparse.Namespace, pool: "Pool") -> int:
    with importing():
        from medrev.evaluation import named_inputs
        from medrev.report import combine, evaluate, is_evaluation

    sources = take_options(Sources, arguments)
    named = named_inputs(sources.inputs)
    if all(map(is_evaluation, named.values())):
        _refuse_all_but(arguments, {"inputs", "paper_table", "output", "overwrite"})
        output = options.output or Path("evaluation_tables")
        written = combine(named, options.paper_table, output, overwrite=options.overwrite)
        print(*written, sep="\n")
        return 0
    choices = given_options(EvaluationConfig, arguments) | {
        "device": arguments.device,
        "resample_reference": options.resample_reference == "yes",
    }
    if options.baselines is not None:
        choices["baselines"] = _baselines(options.baselines)
    evaluation = evaluate(
        sources,
        output=options.output,
        choices=choices,
        group=options.group,
        title=options.title,
        embed=options.embed,
        overwrite=options.overwrite,
        resume=options.resume,
        paper_tables=options.paper_table,
        pool=pool,
        retries=retries_of(arguments),
    )
    evaluation.summary.print(strong=evaluation.evaluated.models)
    for name, why in evaluation.failures.items():
        logger.error("medrev-evaluate: %s: %s", name, why)
    print(evaluation.report)
    return PARTIAL if evaluation.failures else 0


def _refuse_all_but(arguments: argparse.Namespace, allowed: set[str]) -> None:
    """Options of a measurement mean nothing where finished evaluations are put together."""
    allowed = {*allowed, "debug", "quiet", "verbose"}
    usual = vars(build_parser().parse_args(["-"]))
    given = [n for n, value in vars(arguments).items() if n not in allowed and value != usual[n]]
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} says how subjects are measured, but the inputs are "
            "finished evaluations: leave it out"
        )


def _baselines(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if names == ("none",):
        return ()
    wrong = [name for name in names if name not in BASELINES]
    if wrong or not names:
        raise ConfigError(
            f"--baselines must be some of {', '.join(BASELINES)}, or none, got {text!r}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
