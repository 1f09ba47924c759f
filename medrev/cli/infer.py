"""``medrev-infer``: apply a trained model to one subject or many."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cli.common import PARTIAL, add_common_options, run_command
from medrev.cli.places import add_places, check_places, is_elsewhere, pool_of

if TYPE_CHECKING:
    from medrev.prediction import Entry, Kind, Model, Report

__all__ = ["build_parser", "main"]

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")
SPACINGS = ("auto", "keep", "train")
ENSEMBLES = (1, 2, 4, 8, 24, 48)


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-infer``."""
    parser = argparse.ArgumentParser(
        prog="medrev-infer",
        allow_abbrev=False,
        description="Apply a trained model, and print the paths of the files written:\n"
        "diffusion tensors on another grid with their maps; the other contrast of a head\n"
        "(T1w, T2w, ...); or the other side of an image. The model says which.",
        epilog="examples:\n"
        "  medrev-infer sub-01_dwi.nii.gz --mask sub-01_mask.nii.gz --output results\n"
        "  medrev-infer tensor.nii.gz --model runs/hcp_dti_sr --tensor-order mrtrix\n"
        "  medrev-infer BIDS_FOLDER --participant 01 02 --ensemble 8\n"
        "  medrev-infer sub-01_T2w.nii.gz --model runs/brats_t1_t2 --direction inverse\n"
        "  medrev-infer PHOTOS --model runs/maps --output translated",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_inputs(parser.add_argument_group("input"))
    _add_outputs(parser.add_argument_group("output"))
    _add_computing(parser.add_argument_group("model"))
    add_places(parser)
    add_common_options(parser)
    return parser


def _add_inputs(group: Any) -> None:
    add = group.add_argument
    add(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="tensor models: raw DWI with b-values and b-vectors (NIfTI), or six tensor components "
        "(NIfTI, NRRD). Contrast models: a scalar volume (NIfTI, NRRD, MetaImage, DICOM folder). "
        "Image models: PNG, JPEG, TIFF, BMP. Or a folder: of a subject, of a cohort (BIDS, HCP, "
        "BraTS, ready tensors, table), of images",
    )
    add(
        "--participant",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="only these subjects of a cohort, with or without 'sub-'",
    )
    add(
        "--mask",
        type=Path,
        metavar="M",
        help="brain mask on the grid of INPUT (default: the one beside raw DWI under its BIDS or "
        "HCP name, else median_otsu; of tensors and scalar volumes: their non-zero voxels)",
    )
    add("--bval", type=Path, metavar="F", help="b-values (default: beside INPUT)")
    add("--bvec", type=Path, metavar="F", help="b-vectors (default: beside INPUT)")
    add(
        "--tensor-order",
        choices=("fsl", "dipy", "mrtrix", "ants"),
        help="component order of tensors (default: what their header or the JSON file beside them "
        "says, else fsl, Dxx Dxy Dxz Dyy Dyz Dzz)",
    )
    add(
        "--tensor-frame",
        choices=("fsl", "voxel", "ras"),
        help="frame of tensors (default: what their header or the JSON file beside them says, "
        "else fsl, the frame of dtifit's b-vectors)",
    )


def _add_outputs(group: Any) -> None:
    add = group.add_argument
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the results (default: the current folder; of a cohort or folder of images: "
        "derivatives/medrev in it)",
    )
    add("--overwrite", action="store_true", help="replace existing results")
    add("--format", choices=("nifti", "nrrd"), default="nifti", help="of volumes; default: nifti")
    add("--no-quick-look", action="store_true", help="draw no picture of the result")
    add(
        "--slicer",
        action="store_true",
        help="also write a scene of input and result that 3D Slicer opens (.mrb)",
    )


def _add_computing(group: Any) -> None:
    add = group.add_argument
    add(
        "--model",
        type=Path,
        action="append",
        metavar="RUN|FILE",
        help="run folder or .safetensors file (default: the newest finished run in runs/); of "
        "several (--model A --model B), which must have one factor or the same contrasts, the "
        "results are averaged and their standard deviation is written",
    )
    add(
        "--direction",
        choices=("forward", "inverse"),
        default="forward",
        help="forward (default): low to high resolution, source to target contrast, x to y of "
        "images; inverse: back",
    )
    add(
        "--ensemble",
        type=int,
        choices=ENSEMBLES,
        default=1,
        metavar="N",
        help="average over N symmetries of the grid (2, 4, 8: flips; 24: rotations; 48: all) and "
        "write their standard deviation (default: 1); contrasts: up to 8, of 2D networks up to 4",
    )
    add(
        "--cycle-residual",
        action="store_true",
        help="also translate the result back, and write its distance from the input",
    )
    add(
        "--spacing",
        choices=SPACINGS,
        default="auto",
        help="voxels unlike those of the training: resample coarser ones (auto, default), all "
        "(train) or none (keep); contrasts are not resampled, images with train only",
    )
    add("--engine", choices=ENGINES, default="auto", help="what computes the network")
    add("--precision", choices=PRECISIONS, default="auto", help="of the convolutions")
    add(
        "--max-memory",
        type=float,
        metavar="GIB",
        help="limit on the memory of a translation (default: inference.max_memory of the model)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-infer`` and return its exit code."""
    return run_command(
        build_parser,
        _infer,
        argv,
        memory_advice="close other programs, or give a lower --max-memory",
    )


def _infer(arguments: argparse.Namespace) -> int:
    check_places(arguments)
    from medrev.errors import InputError
    from medrev.prediction import find_entries, kind_of, load_models

    inputs: list[Path] = arguments.inputs
    chosen = arguments.model or [None]
    models = load_models(chosen[0], tuple(chosen[1:]), arguments.device)
    kind = kind_of(models[0], arguments.direction)
    singles = [path for path in inputs if kind.single(path) is not None]
    one = len(inputs) == len(singles) == 1
    if arguments.slicer:
        kind.scene_path("", Path())  # there are none of some kinds
    own = [name for name in ("mask", "bval", "bvec") if getattr(arguments, name) is not None]
    if own and not one:
        raise InputError(f"--{own[0]} is of one scan, got several inputs or a cohort")
    if arguments.participant and len(singles) == len(inputs):
        raise InputError("--participant is of a cohort, got a single scan; give its folder")
    entries = find_entries(inputs, arguments.output, arguments.participant, kind=kind)
    if one:
        _infer_one(entries[0], models, kind, arguments)
        return 0
    return _infer_many(entries, models, kind, arguments)


def _infer_one(
    entry: "Entry", models: "tuple[Model, ...]", kind: "Kind", arguments: argparse.Namespace
) -> None:
    from medrev.prediction import InferenceOptions, infer_file

    bundle = None
    if arguments.slicer:
        from medrev.slicer.scene import check_scene_path

        path = kind.scene_path(entry.base, entry.folder)
        bundle = check_scene_path(path, overwrite=arguments.overwrite)
    written = infer_file(
        entry.path,
        model=models[0],
        mask=arguments.mask,
        bval=arguments.bval,
        bvec=arguments.bvec,
        output=arguments.output,
        overwrite=arguments.overwrite,
        direction=arguments.direction,
        tensor_order=arguments.tensor_order,
        tensor_frame=arguments.tensor_frame,
        format=arguments.format,
        options=InferenceOptions(**_options(arguments)),
        members=models[1:],
        quick_look=not arguments.no_quick_look,
    )
    print(*written, sep="\n", flush=True)
    if bundle is not None:
        print(_bundle(written, bundle, overwrite=arguments.overwrite))


def _infer_many(
    entries: "list[Entry]",
    models: "tuple[Model, ...]",
    kind: "Kind",
    arguments: argparse.Namespace,
) -> int:
    from medrev.prediction import InferenceOptions, Request, infer_distributed, infer_many

    request = Request(
        direction=arguments.direction,
        tensor_order=arguments.tensor_order,
        tensor_frame=arguments.tensor_frame,
        format=arguments.format,
        options=InferenceOptions(**_options(arguments)),
        members=len(models) - 1,
        quick_look=not arguments.no_quick_look,
        overwrite=arguments.overwrite,
    )

    def on_done(entry: "Entry", files: list[Path], new: bool) -> None:
        if arguments.slicer:
            bundle = kind.scene_path(entry.base, entry.folder)
            if new or not bundle.exists():
                _bundle(files, bundle, overwrite=new)
            files = [*files, bundle]
        print(*files, sep="\n", flush=True)

    if is_elsewhere(arguments):
        with pool_of(arguments, warm="medrev.prediction") as pool:
            report = infer_distributed(
                entries,
                models,
                request,
                pool=pool,
                device=arguments.device,
                retries=arguments.retries,
                on_done=on_done,
            )
    else:
        report = infer_many(entries, models, request, on_done=on_done)
    _print_report(report)
    return PARTIAL if report.failed else 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `InferenceOptions` is made of."""
    names = ("engine", "precision", "max_memory", "ensemble", "cycle_residual", "spacing")
    return {name: getattr(arguments, name) for name in names}


def _bundle(files: list[Path], bundle: Path, *, overwrite: bool) -> Path:
    from medrev.slicer import bundle_from_results

    return bundle_from_results(files, bundle, overwrite=overwrite)


def _print_report(report: "Report") -> None:
    """What became of the subjects, on standard error; the failed ones in a table."""
    counts = f"{len(report.done)} done, {len(report.kept)} done before"
    print(f"{counts}, {len(report.failed)} failed", file=sys.stderr)
    if not report.failed:
        return
    width = max(len(name) for name in report.failed)
    print("\nfailed:", file=sys.stderr)
    for name, reason in report.failed.items():
        print(f"  {name:<{width}}  {reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
