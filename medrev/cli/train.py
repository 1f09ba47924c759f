"""``medrev-train``: train a pipeline and print its table on the held-out subjects."""

import argparse
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medrev.cli.common import command_parser, first_process, run_command
from medrev.cli.options import take_options
from medrev.errors import ConfigError, MedrevError, OutputError

if TYPE_CHECKING:
    from medrev.config import Pipeline

__all__ = ["Options", "build_parser", "main"]

RESOLVED = "pipeline.yaml"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``medrev-train`` is told beside the device."""

    words: tuple[str, ...] = field(
        default=(), metadata={"positional": True, "metavar": "PIPELINE key=value"}
    )
    """pipeline file (.yaml), and values that override its keys; the value is YAML"""
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
    if options.print_schema:
        from medrev.config import json_schema

        print(json.dumps(json_schema(), indent=2))
        return
    pipeline = _load(options)
    output = options.output or Path("runs") / pipeline.name
    if options.dry_run:
        from medrev.cli.dry_run import print_dry_run

        print_dry_run(pipeline, device)
        return
    aside: AbstractContextManager[None] = nullcontext()
    if first_process():
        _check_output(output, resume=options.resume, overwrite=options.overwrite)
        aside = _set_aside(output, options.overwrite)

    from medrev.training import train

    with aside:
        run = train(pipeline, output, resume=options.resume, device=device)
    if first_process():
        _report(run.path)
        print(run.path)


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
        file = options.output / RESOLVED
        if not file.is_file():
            raise ConfigError(f"nothing to resume in {options.output}: it has no {RESOLVED}")
    elif file.is_dir() and (file / RESOLVED).is_file():
        file = file / RESOLVED
    return load_pipeline(file, overrides)


def _check_output(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to touch what is in the run folder unless told so.

    Raises:
        OutputError: It holds something, or cannot be written; the message says what to do.
    """
    existing = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file, not a folder; choose another --output")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {existing} cannot be written; choose another --output")
    if resume or existing is not output or not any(output.iterdir()):
        return
    is_run = (output / RESOLVED).is_file()
    if not overwrite:
        ways = "--resume goes on with it, --overwrite replaces it, or " if is_run else ""
        raise OutputError(f"{output} exists and is not empty; {ways}choose another --output")
    if not is_run:
        raise OutputError(
            f"{output} is no run folder (it has no {RESOLVED}) and is not replaced; "
            f"choose another --output"
        )


@contextmanager
def _set_aside(output: Path, overwrite: bool) -> Iterator[None]:
    """Keep the run that is replaced until the new one has saved something or ended well."""
    if not overwrite or not output.is_dir():
        yield
        return
    aside = output.with_name(f".{output.name}.replaced-{os.getpid()}")
    output.rename(aside)
    try:
        yield
    except BaseException:
        if any(output.glob("checkpoints/*/*")):
            shutil.rmtree(aside, ignore_errors=True)
        else:
            shutil.rmtree(output, ignore_errors=True)
            aside.rename(output)
        raise
    shutil.rmtree(aside, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
