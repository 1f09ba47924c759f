"""``medrev-infer``: apply a trained model to one subject."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medrev.cli.common import add_common_options, run_command

__all__ = ["build_parser", "main"]


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-infer``."""
    parser = argparse.ArgumentParser(
        prog="medrev-infer",
        allow_abbrev=False,
        description="Super-resolve the diffusion tensors of a subject. Writes the tensors on the "
        "finer grid, FA and MD maps, and a JSON sidecar, and prints their paths.",
        epilog="examples:\n"
        "  medrev-infer sub-01_dwi.nii.gz --mask sub-01_mask.nii.gz --output results\n"
        "  medrev-infer tensor.nii.gz --model runs/hcp_dti_sr --tensor-order mrtrix",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "input",
        type=Path,
        metavar="INPUT",
        help="NIfTI of six tensor components, or of raw DWI with b-values and b-vectors",
    )
    add(
        "--model",
        type=Path,
        metavar="RUN|FILE",
        help="run folder or .safetensors file (default: the newest finished run in runs/)",
    )
    add(
        "--mask",
        type=Path,
        metavar="M",
        help="brain mask on the grid of INPUT (default: the one beside raw DWI under its BIDS or "
        "HCP name, else median_otsu; of tensors: their non-zero voxels)",
    )
    add("--bval", type=Path, metavar="F", help="b-values (default: beside INPUT)")
    add("--bvec", type=Path, metavar="F", help="b-vectors (default: beside INPUT)")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the results (default: the current folder)",
    )
    add("--overwrite", action="store_true", help="replace existing results")
    add(
        "--direction",
        choices=("forward", "inverse"),
        default="forward",
        help="forward: low to high resolution (default); inverse: high to low",
    )
    add(
        "--tensor-order",
        choices=("fsl", "dipy", "mrtrix", "ants"),
        help="component order of a tensor INPUT (default: what the JSON file beside it says, "
        "else fsl, Dxx Dxy Dxz Dyy Dyz Dzz)",
    )
    add(
        "--tensor-frame",
        choices=("fsl", "voxel", "ras"),
        help="frame of a tensor INPUT (default: what the JSON file beside it says, else fsl, the "
        "frame of dtifit's b-vectors)",
    )
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-infer`` and return its exit code."""
    return run_command(
        build_parser,
        _infer,
        argv,
        memory_advice="close other programs, or run with --device cpu",
    )


def _infer(arguments: argparse.Namespace) -> None:
    from medrev.inference import infer_file

    written = infer_file(
        arguments.input,
        model=arguments.model,
        mask=arguments.mask,
        bval=arguments.bval,
        bvec=arguments.bvec,
        output=arguments.output,
        overwrite=arguments.overwrite,
        device=arguments.device,
        direction=arguments.direction,
        tensor_order=arguments.tensor_order,
        tensor_frame=arguments.tensor_frame,
    )
    for path in written:
        print(path)


if __name__ == "__main__":
    sys.exit(main())
