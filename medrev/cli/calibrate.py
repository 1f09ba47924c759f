"""``medrev-calibrate``: the factors that make a model's intervals hold what they promise."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medrev.cli.common import command_parser, importing, run_command
from medrev.cli.options import take_options
from medrev.errors import ConfigError
from medrev.files import ensure_writable_folder
from medrev.options import CALIBRATED


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``medrev-calibrate`` is told beside the device."""

    model: str = field(metadata={"positional": True, "metavar": "MODEL"})
    """run folder, .safetensors file, or name of a shipped model"""
    data: Path | None = field(default=None, metadata={"metavar": "DIR"})
    """cohort of references, or its table (default: the run's)"""
    part: Literal["validation", "all"] = "validation"
    """subjects of the cohort: its validation part (default), which chose the best weights, or all,
    of a cohort that the model has never seen, which is better"""
    level: tuple[float, ...] = field(default=(), metadata={"metavar": "PERCENT"})
    """levels of intervals (default: 50 80 90): 80 % need 4 subjects, 90 % need 9, 95 % need 19; the
    more there are, the narrower intervals become"""
    ensemble: int | None = field(
        default=None, metadata={"metavar": "N", "choices": (2, 4, 8, 24, 48)}
    )
    """symmetries of the grid whose spread is scaled (default: 8); intervals are for as many"""
    samples: int | None = field(default=None, metadata={"metavar": "N"})
    """instead of an ensemble: samples around the result of a model with a posterior"""
    output: Path | None = field(default=None, metadata={"metavar": "FILE"})
    """calibrated copy of the weights (default: calibrated.safetensors in the run folder, where
    it is found when the run is the model, else MODEL-calibrated.safetensors here)"""
    overwrite: bool = False
    """replace an existing copy"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-calibrate``."""
    return command_parser(
        "medrev-calibrate",
        Options,
        device=True,
        description="Find by how much a model's standard deviations must be scaled, so that its\n"
        "intervals hold as many voxels as they promise, on subjects that it has not seen. The\n"
        "factors are written into a copy of the weights, whose path is printed.",
        epilog="what is promised:\n"
        "  On average over subjects like those of the calibration, whose inputs are made alike,\n"
        "  at least 90 % of the mask's voxels lie in their 90 % intervals. Nothing is promised\n"
        "  of a single subject, voxel, tissue or lesion, or of scans of another kind.\n\n"
        "examples:\n"
        "  medrev-calibrate runs/hcp_dti_sr\n"
        "  medrev-calibrate dti-x2 --data cohort --part all --level 80 90 95\n"
        "  medrev-calibrate dti-x2-posterior --samples 16 --data cohort --part all",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-calibrate`` and return its exit code."""
    return run_command(build_parser, _calibrate, argv)


def _calibrate(arguments: argparse.Namespace) -> None:
    options = take_options(Options, arguments)
    if options.ensemble is not None and options.samples is not None:
        raise ConfigError("--ensemble and --samples are two kinds of spread: leave one out")
    for level in options.level:
        if not 0 < level < 100:
            raise ConfigError(
                f"--level must lie between 0 and 100 percent, both left out, got {level:g}"
            )
    given = Path(options.model)
    beside = given / CALIBRATED if given.is_dir() else Path(f"{given.stem}-{CALIBRATED}")
    output = options.output or beside
    if output.suffix != ".safetensors":
        raise ConfigError(f"--output must end in .safetensors, got {output}")
    if output.exists() and not options.overwrite:
        raise ConfigError(f"{output} exists: give --overwrite or another --output")
    ensure_writable_folder(output.parent)

    with importing():
        from medrev.evaluation import calibrate
        from medrev.options import InferenceOptions
        from medrev.prediction import copy_weights, weight_file

    logger = logging.getLogger("medrev.prediction")
    before = logger.level
    if not (arguments.debug or arguments.verbose):  # one line a subject
        logger.setLevel(logging.WARNING)
    try:
        found = calibrate(
            options.model,
            data=options.data,
            part=options.part,
            levels=sorted(set(options.level)) or (50, 80, 90),
            options=InferenceOptions(ensemble=options.ensemble or 8)
            if options.samples is None
            else InferenceOptions(samples=options.samples),
            device=arguments.device,
            show_progress=True,
        )
    finally:
        logger.setLevel(before)
    print(*found.lines(), sep="\n", file=sys.stderr)
    weights = weight_file(given)
    print(copy_weights(weights, output, found.header(), overwrite=options.overwrite))


if __name__ == "__main__":
    sys.exit(main())
