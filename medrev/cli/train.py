"""``medrev-train``: train a pipeline and print its table on the held-out subjects."""

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from medrev.cli.common import command_parser, first_process, run_command
from medrev.cli.options import take_options
from medrev.errors import ConfigError, MedrevError
from medrev.files import not_there
from medrev.folders import RUN, OutputFolder

if TYPE_CHECKING:
    from medrev.config import Pipeline

RESOLVED = RUN.mark


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``medrev-train`` is told beside the device."""

    words: tuple[str, ...] = field(
        default=(), metadata={"positional": True, "metavar": "PIPELINE key=value"}
    )
    """pipeline file (.yaml), and values that override its keys: words, numbers, or YAML in
    brackets or quotes"""
    output: Path | None = field(default=None, metadata={"metavar": "DIR"})
    """run folder (default: runs/NAME)"""
    resume: bool = False
    """go on from the last checkpoint; without PIPELINE, with the one of the run folder"""
    overwrite: bool = False
    """replace an existing run folder"""
    seed: int | None = field(default=None, metadata={"metavar": "N"})
    """same as seed=N"""
    dry_run: bool = False
    """print the resolved pipeline, the data found, and estimates of size, memory and time"""
    print_schema: bool = False
    """print the JSON Schema of pipeline files, for editors"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-train``."""
    return command_parser(
        "medrev-train",
        Options,
        device=True,
        usage="%(prog)s PIPELINE [key=value ...] [options]",
        description="Train a pipeline on a cohort, and print its errors on held-out subjects "
        "beside those of interpolation.",
        epilog="examples:\n"
        "  medrev-train pipelines/hcp_dti_sr.yaml --dry-run\n"
        "  medrev-train pipelines/hcp_dti_sr.yaml data.root=/data/hcp training.steps=5000\n"
        "  medrev-train --resume --output runs/hcp_dti_sr",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-train`` and return its exit code."""
    return run_command(
        build_parser,
        _train,
        argv,
        memory_advice="try a smaller data.batch_size (with a larger training.accumulate), "
        "data.patches.size or model.width",
    )


def _train(arguments: argparse.Namespace) -> None:
    options, device = take_options(Options, arguments), arguments.device
    _refuse_without_effect(options)
    if options.print_schema:
        from medrev.config import json_schema

        print(json.dumps(json_schema(), indent=2))
        return
    pipeline = _load(options)
    output = options.output or Path("runs") / pipeline.name
    if options.dry_run:
        _print_dry_run(pipeline, device)
        return
    if first_process():
        OutputFolder(output, RUN).check(resume=options.resume, overwrite=options.overwrite)

    from medrev.training import train

    resume, overwrite = options.resume, options.overwrite
    run = train(pipeline, output, resume=resume, overwrite=overwrite, device=device)
    if first_process():
        _report(run.path)
        print(run.path)


def _refuse_without_effect(options: Options) -> None:
    """Options that mean nothing beside ``--print-schema`` or ``--dry-run`` are errors."""
    alone = ("print_schema",) if options.print_schema else ("dry_run", "words", "seed")
    if options.print_schema or options.dry_run:
        for each in fields(options):
            if each.name not in alone and getattr(options, each.name) != each.default:
                name = "PIPELINE" if each.name == "words" else f"--{each.name.replace('_', '-')}"
                beside = alone[0].replace("_", "-")
                raise ConfigError(f"{name} has no effect beside --{beside}: leave it out")


def _report(run: Path) -> None:
    """Write the run's page; a trained model is not lost because its page cannot be written."""
    from medrev.report import write_run_report

    try:
        write_run_report(run, peak_memory=_peak_memory())
    except MedrevError as error:
        logging.getLogger("medrev").warning("warning: no report: %s", error)


def _peak_memory() -> float | None:
    """Most memory that this process held at a time, in GiB: the GPU's if it used one."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return float(torch.cuda.max_memory_allocated()) / 2**30
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _load(options: Options) -> "Pipeline":
    """The pipeline of the command line, before anything slow is imported."""
    from medrev.config import load_pipeline

    if options.resume and options.overwrite:
        raise ConfigError("give either --resume or --overwrite")
    words = options.words
    file = Path(words[0]) if words and ("=" not in words[0] or Path(words[0]).is_file()) else None
    overrides = words[1:] if file else words
    if options.seed is not None:
        overrides = (*overrides, f"seed={options.seed}")
    if file is None:
        if not (options.resume and options.output):
            raise ConfigError(
                "PIPELINE is missing: give a pipeline file such as pipelines/hcp_dti_sr.yaml, "
                "or --resume --output RUN"
            )
        OutputFolder(options.output, RUN).restore()
        file = options.output / RESOLVED
        if not file.is_file():
            similar = "" if options.output.is_dir() else not_there(options.output)
            raise ConfigError(
                f"nothing to resume in {options.output}: it has no {RESOLVED}{similar}"
            )
    elif file.is_dir() and (file / RESOLVED).is_file():
        file = file / RESOLVED
    return load_pipeline(file, overrides)


def _print_dry_run(pipeline: "Pipeline", device: str) -> None:
    """Print the resolved pipeline, the data found, and the estimates; nothing is written.

    The output is itself a pipeline file: everything beside the resolved keys is a comment.
    """
    from medrev.config import dump_pipeline
    from medrev.domains.kinds import dataset_of
    from medrev.training import dry_run

    found, estimates = dataset_of(pipeline).found(), dry_run(pipeline, device).lines()
    print(dump_pipeline(pipeline), flush=True)
    _print_comments("data found", found)
    _print_comments("estimates", estimates)


def _print_comments(title: str, lines: Iterable[str]) -> None:
    print(f"# {title}")
    for line in lines:
        print(f"#   {line}")
    print("#")


if __name__ == "__main__":
    sys.exit(main())
