"""``medrev-slicer``: results as a scene of 3D Slicer, and medrev as a module inside it."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medrev import __version__
from medrev.cli.common import CommandParser, command_parser, run_command
from medrev.cli.options import take_options


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What :func:`medrev.slicer.bundle_from_results` is given."""

    results: tuple[Path, ...] = field(metadata={"positional": True, "metavar": "RESULTS"})
    """folder that medrev-infer wrote to, or files in it"""
    output: Path | None = field(default=None, metadata={"metavar": "FILE"})
    """bundle to write, .mrb (default: named like the results, in the current folder)"""
    input: Path | None = field(default=None, metadata={"metavar": "F"})
    """what the results were made from (default: where their JSON files say it was)"""
    name: str | None = field(default=None, metadata={"metavar": "BEGINNING"})
    """beginning of the files' names, where the folder has the results of several inputs"""
    layout: Literal["two-by-two", "four-up", "side-by-side"] = "two-by-two"
    """two-by-two: three planes of the output and one of the input (default); four-up: three planes
    and a 3D view; side-by-side: output and input"""
    overwrite: bool = False
    """replace an existing bundle"""


@dataclass(frozen=True, kw_only=True)
class Install:
    """What :func:`medrev.slicer.install_modules` is given."""

    folder: Path = field(metadata={"positional": True, "metavar": "FOLDER"})
    """a folder of its own for the modules"""
    model: Path | None = field(default=None, metadata={"metavar": "RUN|FILE"})
    """run folder or .safetensors file that the modules propose (default: none, to be chosen in
    Slicer)"""
    overwrite: bool = False
    """replace existing modules"""


def build_parser() -> argparse.ArgumentParser:
    """The commands of ``medrev-slicer``, without their options."""
    parser = CommandParser(
        prog="medrev-slicer",
        allow_abbrev=False,
        description="Open results in 3D Slicer, or run medrev inside it.",
        epilog="commands:\n"
        "  scene RESULTS    write a scene bundle (.mrb) that Slicer opens with one double-click\n"
        "  install FOLDER   write the modules that run a model inside Slicer\n\n"
        "options of a command: medrev-slicer COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND", help="see below")
    parser.add_argument("--version", action="version", version=f"medrev {__version__}")
    return parser


def scene_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-slicer scene``."""
    return command_parser(
        "medrev-slicer scene",
        Scene,
        description="Write a scene bundle of what medrev-infer wrote: input, tensors coloured by\n"
        "direction, maps, mask, with windows, levels and views set. Prints its path.",
        epilog="examples:\n"
        "  medrev-slicer scene results --output case.mrb\n"
        "  medrev-slicer scene results --name sub-01 --input data/sub-01_dwi.nii.gz",
    )


def install_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-slicer install``."""
    return command_parser(
        "medrev-slicer install",
        Install,
        description="Write the command-line modules that run a model of medrev inside 3D Slicer:\n"
        "one for tensor volumes, one for scalar volumes. Then add the folder in Slicer under\n"
        "Edit > Application Settings > Modules > Additional module paths, and restart it.",
        epilog="example:\n  medrev-slicer install ~/slicer-medrev --model runs/hcp_dti_sr",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-slicer`` and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in COMMANDS:
        parser, body = COMMANDS[given[0]]
        return run_command(parser, body, given[1:])
    return run_command(build_parser, lambda arguments: None, given)


def _scene(arguments: argparse.Namespace) -> None:
    from medrev.slicer import bundle_from_results

    print(bundle_from_results(**vars(take_options(Scene, arguments))))


def _install(arguments: argparse.Namespace) -> None:
    from medrev.slicer import install_modules

    print(*install_modules(**vars(take_options(Install, arguments))), sep="\n")


COMMANDS = {"scene": (scene_parser, _scene), "install": (install_parser, _install)}


if __name__ == "__main__":
    sys.exit(main())
