"""``medrev-train``: train a pipeline and print its table on the held-out subjects."""

import argparse
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from medrev.cli.common import add_common_options, first_process, run_command
from medrev.errors import ConfigError, MedrevError, OutputError

if TYPE_CHECKING:
    from medrev.config import Pipeline

__all__ = ["build_parser", "main"]

RESOLVED = "pipeline.yaml"


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-train``."""
    parser = argparse.ArgumentParser(
        prog="medrev-train",
        allow_abbrev=False,
        usage="%(prog)s PIPELINE [key=value ...] [options]",
        description="Train a pipeline on a cohort, and print its errors on held-out subjects "
        "beside those of interpolation.",
        epilog="examples:\n"
        "  medrev-train pipelines/hcp_dti_sr.yaml --dry-run\n"
        "  medrev-train pipelines/hcp_dti_sr.yaml data.root=/data/hcp training.steps=5000\n"
        "  medrev-train --resume --output runs/hcp_dti_sr",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="PIPELINE key=value",
        help="pipeline file (.yaml), and values that override its keys; the value is YAML",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="run folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint; without PIPELINE, with the one of the run folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run folder")
    parser.add_argument("--seed", type=int, metavar="N", help="same as seed=N")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved pipeline, the data found, and estimates of size, memory and time",
    )
    parser.add_argument(
        "--print-schema",
        action="store_true",
        help="print the JSON Schema of pipeline files, for editors",
    )
    add_common_options(parser)
    return parser


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
    if arguments.print_schema:
        from medrev.config import json_schema

        print(json.dumps(json_schema(), indent=2))
        return
    pipeline = _load(arguments)
    output = arguments.output or Path("runs") / pipeline.name
    if arguments.dry_run:
        from medrev.cli.dry_run import print_dry_run

        print_dry_run(pipeline, arguments.device)
        return
    aside: AbstractContextManager[None] = nullcontext()
    if first_process():
        _check_output(output, resume=arguments.resume, overwrite=arguments.overwrite)
        aside = _set_aside(output, arguments.overwrite)

    from medrev.training import train

    with aside:
        run = train(pipeline, output, resume=arguments.resume, device=arguments.device)
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


def _load(arguments: argparse.Namespace) -> "Pipeline":
    """The pipeline of the command line, before anything slow is imported."""
    from medrev.config import load_pipeline

    if arguments.resume and arguments.overwrite:
        raise ConfigError("give either --resume or --overwrite")
    words: list[str] = arguments.words
    file = Path(words[0]) if words and ("=" not in words[0] or Path(words[0]).is_file()) else None
    overrides = words[1:] if file else words
    if arguments.seed is not None:
        overrides = [*overrides, f"seed={arguments.seed}"]
    if file is None:
        if not (arguments.resume and arguments.output):
            raise ConfigError(
                "PIPELINE is missing: give a pipeline file such as pipelines/hcp_dti_sr.yaml, "
                "or --resume --output RUN"
            )
        file = arguments.output / RESOLVED
        if not file.is_file():
            raise ConfigError(f"nothing to resume in {arguments.output}: it has no {RESOLVED}")
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
