"""``medrev-infer``: apply a trained model to one subject or many."""

import argparse
import contextlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cli.common import PARTIAL, CommandParser, add_common_options, importing, run_command
from medrev.cli.options import add_options, take_options
from medrev.cli.places import (
    add_places,
    check_places,
    check_single,
    is_elsewhere,
    pool_of,
    retries_of,
)
from medrev.options import Request

if TYPE_CHECKING:
    from medrev.prediction import Entry, Inference, Report

logger = logging.getLogger("medrev.infer")

_INPUT, _OUTPUT, _MODEL = ({"group": name} for name in ("input", "output", "model"))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is translated by which model, and where results go; the rest is a `Request`."""

    inputs: tuple[Path, ...] = field(metadata={**_INPUT, "positional": True, "metavar": "INPUT"})
    """tensor models: raw DWI with b-values and b-vectors (NIfTI), or six tensor components (NIfTI,
    NRRD). Contrast models: a scalar volume (NIfTI, NRRD, MetaImage, DICOM folder). Image models:
    PNG, JPEG, TIFF, BMP. Or a folder: of a subject, of a cohort (BIDS, HCP, BraTS, ready tensors,
    table), of images"""
    participant_label: tuple[str, ...] | None = field(
        default=None, metadata={**_INPUT, "metavar": "LABEL", "also": "--participant"}
    )
    """only these subjects of a cohort, with or without 'sub-'"""
    mask: Path | None = field(default=None, metadata={**_INPUT, "metavar": "M"})
    """brain mask on the grid of INPUT (default: the one beside raw DWI under its BIDS or HCP name,
    else median_otsu; of tensors and scalar volumes: their non-zero voxels)"""
    bval: Path | None = field(default=None, metadata={**_INPUT, "metavar": "F"})
    """b-values (default: beside INPUT)"""
    bvec: Path | None = field(default=None, metadata={**_INPUT, "metavar": "F"})
    """b-vectors (default: beside INPUT)"""
    output: Path | None = field(default=None, metadata={**_OUTPUT, "metavar": "DIR|FILE"})
    """folder of the results (default: the current folder; of a cohort or folder of images:
    derivatives/medrev in it), or of one INPUT the file of its result, such as fine.nii.gz, beside
    which the others go"""
    slicer: bool = field(default=False, metadata=_OUTPUT)
    """also write a scene of input and result that 3D Slicer opens (.mrb)"""
    model: tuple[Path, ...] | None = field(
        default=None, metadata={**_MODEL, "metavar": "RUN|FILE|NAME", "repeat": True}
    )
    """run folder, .safetensors file, or name of a model that medrev ships (default: the shipped one
    for what INPUT is); of several (--model A --model B), which must have one factor or the same
    contrasts, the results are averaged and their standard deviation is written"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-infer``."""
    parser = CommandParser(
        prog="medrev-infer",
        allow_abbrev=False,
        description="Apply a trained model, and print the paths of the files written:\n"
        "diffusion tensors on another grid with their maps; the other contrast of a head\n"
        "(T1w, T2w, ...); or the other side of an image. The model says which.",
        epilog="examples:\n"
        "  medrev-infer sub-01_dwi.nii.gz --mask sub-01_mask.nii.gz --output results\n"
        "  medrev-infer tensor.nii.gz --model runs/hcp_dti_sr --tensor-order mrtrix\n"
        "  medrev-infer BIDS_FOLDER --participant-label 01 02 --ensemble 8\n"
        "  medrev-infer sub-01_T2w.nii.gz --model runs/brats_t1_t2 --direction inverse\n"
        "  medrev-infer PHOTOS --model runs/maps --output translated",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, Inputs, Request, groups=("input", "output", "model"))
    parser.add_argument(
        "--list-models", action=_ListModels, help="say which models medrev ships, and exit"
    )
    add_places(parser)
    add_common_options(parser)
    return parser


class _ListModels(argparse.Action):
    """Print a line for every shipped model, as ``--version`` prints its own."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from medrev.prediction import shipped_models

        for model in shipped_models():
            size = model.path.stat().st_size / 1e6
            print(f"{model.name:<18} {size:4.1f} MB  {model.description}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-infer`` and return its exit code."""
    return run_command(
        build_parser,
        infer,
        argv,
        memory_advice="close other programs, or give a lower --max-memory",
    )


def infer(arguments: argparse.Namespace) -> int:
    """Translate what the options name."""
    check_places(arguments)
    with importing():
        from medrev.prediction import infer_entry

    given, request = take_options(Inputs, arguments), take_options(Request, arguments)
    jobs, one = _jobs(given, request, arguments.device)
    if not one:
        return _infer_many(jobs, given.slicer, arguments)
    check_single(arguments)
    inference, (entry,) = jobs[0]
    bundle = None
    if given.slicer:
        from medrev.slicer.scene import check_scene_path

        path = inference.target.scene_path(entry.base, entry.folder)
        bundle = check_scene_path(path, overwrite=request.overwrite)
    entry = replace(entry, mask=given.mask, bval=given.bval, bvec=given.bvec)
    written = infer_entry(inference, entry)
    print(*written, sep="\n", flush=True)
    if bundle is not None:
        print(_bundle(written, bundle, overwrite=request.overwrite))
    return 0


def _jobs(
    given: Inputs, request: Request, device: str
) -> "tuple[list[tuple[Inference, list[Entry]]], bool]":
    """Which models translate which subjects, and whether that is a single scan."""
    from medrev.errors import InputError
    from medrev.prediction import (
        Inference,
        find_entries,
        load_models,
        shipped_sources,
        suitable_models,
    )

    inputs = list(given.inputs)
    if given.model is None:
        sources = shipped_sources()
    else:
        inference = Inference(load_models(given.model, device), request)
        sources = [inference.source]
    singles = [path for path in inputs if any(s.single(path) is not None for s in sources)]
    one = len(inputs) == len(singles) == 1
    own = [name for name in ("mask", "bval", "bvec") if getattr(given, name) is not None]
    if own and not one:
        raise InputError(f"--{own[0]} applies to a single scan, got several inputs or a cohort")
    people = given.participant_label
    if people and len(singles) == len(inputs):
        raise InputError(
            "--participant-label applies to a cohort, got a single scan; give its folder"
        )
    if given.model is None:
        jobs = [
            (Inference(load_models([model.path], device), request), entries)
            for model, entries in suitable_models(inputs, given.output, people)
        ]
    else:
        jobs = [(inference, find_entries(inference.source, inputs, given.output, people))]
    if not one and given.output is not None and given.output.is_file():
        raise InputError(f"{given.output} is a file, not a folder; choose another output")
    if given.slicer:
        for each, _ in jobs:
            each.target.scene_path("", Path())  # there are none of some domains
    return jobs, one


def _infer_many(
    jobs: "list[tuple[Inference, list[Entry]]]", slicer: bool, arguments: argparse.Namespace
) -> int:
    from medrev.errors import InputError
    from medrev.prediction import Report, infer_distributed, infer_many

    def do(inference: "Inference", entries: "list[Entry]", **elsewhere: Any) -> "Report":
        def on_done(entry: "Entry", files: list[Path], new: bool) -> None:
            if slicer:
                bundle = inference.target.scene_path(entry.base, entry.folder)
                if new or _is_older(bundle, files):
                    _bundle(files, bundle, overwrite=True)
                files = [*files, bundle]
            print(*files, sep="\n", flush=True)

        inference.introduce()
        run = infer_distributed if elsewhere else infer_many
        return run(entries, inference.models, inference.request, on_done=on_done, **elsewhere)

    if arguments.retries is not None and not is_elsewhere(arguments):
        raise InputError("--retries are those of several --workers: give --workers, too")
    with contextlib.ExitStack() as stack:
        elsewhere: dict[str, Any] = {}
        if is_elsewhere(arguments):
            pool = stack.enter_context(pool_of(arguments, warm="medrev.prediction"))
            elsewhere = {
                "pool": pool,
                "device": arguments.device,
                "retries": retries_of(arguments),
            }
        report = Report()
        for inference, entries in jobs:
            report.add(do(inference, entries, **elsewhere))
    _print_report(report)
    return PARTIAL if report.failed else 0


def _bundle(files: list[Path], bundle: Path, *, overwrite: bool) -> Path:
    from medrev.slicer import bundle_from_results

    return bundle_from_results(files, bundle, overwrite=overwrite)


def _is_older(bundle: Path, files: list[Path]) -> bool:
    """Whether a scene is missing, or was made before its results: of earlier ones."""
    return not bundle.exists() or bundle.stat().st_mtime_ns < max(
        file.stat().st_mtime_ns for file in files
    )


def _print_report(report: "Report") -> None:
    """What became of the subjects, on standard error; the failed ones in a table."""
    counts = f"{len(report.done)} done, {len(report.kept)} done before"
    print(f"{counts}, {len(report.failed)} failed", file=sys.stderr)
    if not report.failed:
        return
    width = max(len(name) for name in report.failed)
    logger.error("\nfailed:")
    for name, reason in report.failed.items():
        logger.error("  %s  %s", name.ljust(width), reason)


if __name__ == "__main__":
    sys.exit(main())
