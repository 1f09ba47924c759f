"""What 3D Slicer starts: ``python -m medrev.cli.slicer_module KIND INPUT OUTPUT …``.

Its options are those of the description beside the module (:mod:`medrev.slicer.module`).
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medrev.cli.common import check_device_name, command_parser, run_command
from medrev.cli.options import take_options


@dataclass(frozen=True, kw_only=True)
class Options:
    """What Slicer gives, and :func:`medrev.slicer.module.run_module` takes."""

    kind: Literal["tensor", "scalar"] = field(metadata={"positional": True})
    """what the volumes hold"""
    input: Path = field(metadata={"positional": True})
    """NRRD that Slicer has written"""
    output: Path = field(metadata={"positional": True})
    """NRRD to write for Slicer"""
    mask: Path | None = None
    """label volume on the grid of the input"""
    fa: Path | None = None
    """NRRD of the fractional anisotropy to write"""
    md: Path | None = None
    """NRRD of the mean diffusivity to write"""
    model: Path | None = None
    """weight file"""
    direction: Literal["forward", "inverse"] = "forward"
    """forward or inverse"""
    device: str = field(default="auto", metadata={"parse": check_device_name})
    """where the model runs"""


def build_parser() -> argparse.ArgumentParser:
    """The options that Slicer gives."""
    return command_parser(
        "medrev in Slicer",
        Options,
        description="Started by 3D Slicer; see medrev-slicer install.",
    )


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
        run_module(**vars(take_options(Options, arguments)))


if __name__ == "__main__":
    sys.exit(main())
