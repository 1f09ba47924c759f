"""``medrev-degrade``: scans made coarse, to measure what a model makes of them."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medrev.cli.common import command_parser, run_command
from medrev.cli.options import take_options
from medrev.errors import ConfigError
from medrev.files import check_folder_name

logger = logging.getLogger("medrev.degrade")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is made coarse, and by how much."""

    input: Path = field(metadata={"positional": True})
    """a NIfTI volume, or a folder of such, which is searched with its folders"""
    output: Path = field(metadata={"metavar": "DIR"})
    """folder of the results, which have the names of their sources; gradients and JSON files go
    along"""
    factor: tuple[int, ...] = field(default=(2,), metadata={"metavar": "N"})
    """voxels of a block along every axis, or along each of three (default: 2)"""
    overwrite: bool = False
    """replace existing files"""

    def __post_init__(self) -> None:
        possible = all(1 <= n <= 100 for n in self.factor) and max(self.factor) > 1
        if len(self.factor) not in (1, 3) or not possible:
            raise ConfigError(
                f"--factor must be one number or three from 1 to 100, one above 1, got "
                f"{' '.join(map(str, self.factor))}"
            )


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-degrade``."""
    return command_parser(
        "medrev-degrade",
        Options,
        description="Average blocks of voxels, as a scanner with larger ones would have done,\n"
        "up to its noise and its point spread: inputs for medrev-infer whose truth is known.\n"
        "Masks stay masks. Prints the files written.",
        epilog="examples:\n"
        "  medrev-degrade bids --output low\n"
        "  medrev-degrade sub-01_T1w.nii.gz --output thick --factor 1 1 5",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-degrade`` and return its exit code."""
    return run_command(build_parser, _degrade, argv)


def _degrade(arguments: argparse.Namespace) -> None:
    options = take_options(Options, arguments)
    check_folder_name(options.output)
    from medrev.volumes import coarsen_files

    factor = options.factor[0] if len(options.factor) == 1 else options.factor
    for path, notice in coarsen_files(
        options.input, options.output, factor, overwrite=options.overwrite
    ):
        if notice:
            logger.warning("note: %s: %s", path, notice)
        if path.exists():
            print(path, flush=True)


if __name__ == "__main__":
    sys.exit(main())
