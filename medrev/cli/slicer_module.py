"""What 3D Slicer starts: ``python -m medrev.cli.slicer_module KIND INPUT OUTPUT …``.

Its options are those of the description beside the module (:mod:`medrev.slicer.description`).
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from medrev.cli.common import check_device_name, run_command

__all__ = ["build_parser", "main"]


def build_parser() -> argparse.ArgumentParser:
    """The options that Slicer gives."""
    parser = argparse.ArgumentParser(
        prog="medrev in Slicer",
        allow_abbrev=False,
        description="Started by 3D Slicer; see medrev-slicer install.",
    )
    add = parser.add_argument
    add("kind", choices=("tensor", "scalar"), help="what the volumes hold")
    add("input", type=Path, help="NRRD that Slicer has written")
    add("output", type=Path, help="NRRD to write for Slicer")
    add("--mask", type=Path, help="label volume on the grid of the input")
    add("--fa", type=Path, help="NRRD of the fractional anisotropy to write")
    add("--md", type=Path, help="NRRD of the mean diffusivity to write")
    add("--model", type=Path, help="weight file")
    add("--direction", choices=("forward", "inverse"), default="forward")
    add("--device", type=check_device_name, default="auto")
    add("--debug", action="store_true")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a module and return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up, as after Ctrl-C
    return run_command(build_parser, _run, argv, memory_advice="crop the volume, or use a GPU")


def _run(arguments: argparse.Namespace) -> None:
    for handler in logging.getLogger("medrev").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stdout)  # Slicer takes standard error for errors
    from medrev.slicer.module import run_module, told_to_slicer

    with told_to_slicer("medrev"):
        run_module(
            arguments.kind,
            arguments.input,
            arguments.output,
            model=arguments.model,
            mask=arguments.mask,
            fa=arguments.fa,
            md=arguments.md,
            direction=arguments.direction,
            device=arguments.device,
        )


if __name__ == "__main__":
    sys.exit(main())
