"""``medrev-export``: trained models for other programs."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medrev.cli.common import command_parser, run_command
from medrev.cli.options import take_options


@dataclass(frozen=True, kw_only=True)
class Options:
    """What :func:`medrev.export.export_model` is given."""

    kind: Literal["bundle", "onnx", "torchscript"] = field(
        metadata={"positional": True, "metavar": "KIND"}
    )
    """bundle, onnx or torchscript"""
    model: Path = field(metadata={"positional": True, "metavar": "RUN|FILE"})
    """run folder or .safetensors file"""
    output: Path = field(metadata={"positional": True, "metavar": "OUTPUT"})
    """folder of a bundle, or file"""
    direction: Literal["forward", "inverse"] = "forward"
    """forward (default): low to high resolution, source to target contrast, x to y of images;
    inverse: back"""
    overwrite: bool = False
    """replace what is there"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-export``."""
    return command_parser(
        "medrev-export",
        Options,
        threads=True,
        description="Write a trained model for other programs: of diffusion tensors a network\n"
        "from mm²/s to such, of contrasts and images one in network range, -1 to 1. What was\n"
        "written is compared with PyTorch; its path is printed.",
        epilog="kinds:\n"
        "  bundle        a MONAI bundle: configurations, weights, TorchScript, ONNX (tensors)\n"
        "  onnx          one ONNX file (needs the extra onnx)\n"
        "  torchscript   one TorchScript file\n\n"
        "examples:\n"
        "  medrev-export bundle runs/hcp_dti_sr bundles/hcp_dti_sr\n"
        "  medrev-export onnx runs/hcp_dti_sr hcp_dti_sr.onnx --direction inverse",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-export`` and return its exit code."""
    return run_command(build_parser, _export, argv)


def _export(arguments: argparse.Namespace) -> None:
    from medrev.export import export_model

    print(export_model(**vars(take_options(Options, arguments))))


if __name__ == "__main__":
    sys.exit(main())
