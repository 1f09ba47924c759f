"""``medrev-slicer``: results as a scene of 3D Slicer, and medrev as a module inside it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medrev import __version__
from medrev.cli.common import run_command

__all__ = ["build_parser", "main"]

LAYOUTS = ("two-by-two", "four-up", "side-by-side")


def build_parser() -> argparse.ArgumentParser:
    """The commands of ``medrev-slicer``, without their options."""
    parser = argparse.ArgumentParser(
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
    parser = argparse.ArgumentParser(
        prog="medrev-slicer scene",
        allow_abbrev=False,
        description="Write a scene bundle of what medrev-infer wrote: input, tensors coloured by\n"
        "direction, maps, mask, with windows, levels and views set. Prints its path.",
        epilog="examples:\n"
        "  medrev-slicer scene results --output case.mrb\n"
        "  medrev-slicer scene results --name sub-01 --input data/sub-01_dwi.nii.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="folder that medrev-infer wrote to, or files in it",
    )
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="bundle to write, .mrb (default: named like the results, in the current folder)",
    )
    add(
        "--input",
        type=Path,
        metavar="F",
        help="what the results were made from (default: where their JSON files say it was)",
    )
    add(
        "--name",
        metavar="BEGINNING",
        help="beginning of the files' names, where the folder has the results of several inputs",
    )
    add(
        "--layout",
        choices=LAYOUTS,
        default=LAYOUTS[0],
        help="two-by-two: three planes of the output and one of the input (default); four-up: "
        "three planes and a 3D view; side-by-side: output and input",
    )
    add("--overwrite", action="store_true", help="replace an existing bundle")
    add("--debug", action="store_true", help="show tracebacks and the warnings of libraries")
    return parser


def install_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-slicer install``."""
    parser = argparse.ArgumentParser(
        prog="medrev-slicer install",
        allow_abbrev=False,
        description="Write the command-line modules that run a model of medrev inside 3D Slicer:\n"
        "one for tensor volumes, one for scalar volumes. Then add the folder in Slicer under\n"
        "Edit > Application Settings > Modules > Additional module paths, and restart it.",
        epilog="example:\n  medrev-slicer install ~/slicer-medrev --model runs/hcp_dti_sr",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="a folder of its own for the modules")
    add(
        "--model",
        type=Path,
        metavar="RUN|FILE",
        help="run folder or .safetensors file that the modules propose (default: none, to be "
        "chosen in Slicer)",
    )
    add("--overwrite", action="store_true", help="replace existing modules")
    add("--debug", action="store_true", help="show tracebacks and the warnings of libraries")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-slicer`` and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in COMMANDS:
        parser, body = COMMANDS[given[0]]
        return run_command(parser, body, given[1:])
    return run_command(build_parser, lambda arguments: None, given)


def _scene(arguments: argparse.Namespace) -> None:
    from medrev.slicer import bundle_from_results

    results = arguments.results
    output = bundle_from_results(
        results[0] if len(results) == 1 and not results[0].is_file() else results,
        arguments.output,
        input=arguments.input,
        name=arguments.name,
        layout=arguments.layout,
        overwrite=arguments.overwrite,
    )
    print(output)


def _install(arguments: argparse.Namespace) -> None:
    from medrev.slicer.install import install_modules

    for path in install_modules(
        arguments.folder, model=arguments.model, overwrite=arguments.overwrite
    ):
        print(path)


COMMANDS = {"scene": (scene_parser, _scene), "install": (install_parser, _install)}


if __name__ == "__main__":
    sys.exit(main())
