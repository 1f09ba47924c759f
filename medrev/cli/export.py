"""``medrev-export``: trained models for other programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medrev import __version__
from medrev.cli.common import run_command

__all__ = ["build_parser", "main"]

KINDS = ("bundle", "onnx", "torchscript")


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-export``."""
    parser = argparse.ArgumentParser(
        prog="medrev-export",
        allow_abbrev=False,
        description="Write a trained model for other programs: of diffusion tensors a network\n"
        "from mm²/s to such, of contrasts and images one in network range, -1 to 1. What was\n"
        "written is compared with PyTorch; its path is printed.",
        epilog="kinds:\n"
        "  bundle        a MONAI bundle: configurations, weights, TorchScript, ONNX (tensors)\n"
        "  onnx          one ONNX file (pip install 'medrev[onnx]')\n"
        "  torchscript   one TorchScript file\n\n"
        "examples:\n"
        "  medrev-export bundle runs/hcp_dti_sr bundles/hcp_dti_sr\n"
        "  medrev-export onnx runs/hcp_dti_sr hcp_dti_sr.onnx --direction inverse",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kind", choices=KINDS, metavar="KIND", help="bundle, onnx or torchscript")
    add("model", type=Path, metavar="RUN|FILE", help="run folder or .safetensors file")
    add("output", type=Path, metavar="OUTPUT", help="folder of a bundle, or file")
    add(
        "--direction",
        choices=("forward", "inverse"),
        default="forward",
        help="forward (default): low to high resolution, source to target contrast, x to y of "
        "images; inverse: back",
    )
    add("--overwrite", action="store_true", help="replace what is there")
    add("--debug", action="store_true", help="show tracebacks and the warnings of libraries")
    add("--version", action="version", version=f"medrev {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-export`` and return its exit code."""
    return run_command(build_parser, _export, argv)


def _export(arguments: argparse.Namespace) -> None:
    from medrev.export import write_bundle, write_onnx, write_torchscript
    from medrev.prediction import load_model

    write = {"bundle": write_bundle, "onnx": write_onnx, "torchscript": write_torchscript}
    model = load_model(arguments.model, "cpu")
    inverse = arguments.direction == "inverse"
    path = write[arguments.kind](
        model, arguments.output, inverse=inverse, overwrite=arguments.overwrite
    )
    print(path)


if __name__ == "__main__":
    sys.exit(main())
