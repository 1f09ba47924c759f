"""``medrev-evaluate``: measure a cohort, and write its tables and its report."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cli.common import PARTIAL, add_common_options, run_command
from medrev.cli.places import add_places, check_places, pool_of
from medrev.errors import ConfigError

if TYPE_CHECKING:
    from medrev.parallel import Pool

__all__ = ["build_parser", "main"]

_BASELINES = ("nearest", "trilinear", "cubic", "bspline")


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-evaluate``."""
    parser = argparse.ArgumentParser(
        prog="medrev-evaluate",
        allow_abbrev=False,
        description="Compare predictions with references over a cohort: tables per subject and "
        "over all, statistics, and a report that is one HTML file. Prints the report's path.",
        epilog="examples:\n"
        "  medrev-evaluate runs/hcp_dti_sr\n"
        "  medrev-evaluate first=runs/a second=runs/b --output evaluations/a-b\n"
        "  medrev-evaluate results --reference truth --input low --workers 4\n"
        "  medrev-evaluate pix2pix=runs/a one2one=runs/b --sensitivity pix2pix "
        "--paper-table one2one-5\n"
        "  medrev-evaluate cohort.tsv --group site --scheduler tcp://host:8786",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="[NAME=]INPUT",
        help="run folders (their held-out subjects are translated), folders of predictions, or a "
        "table (.csv, .tsv) with the columns id, reference and prediction or prediction_NAME; or "
        "finished evaluations, one per direction, for --paper-table",
    )
    data = parser.add_argument_group(
        "volumes",
        "folders, searched with sub-folders; patterns such as 'out/**/*_T1w.nii.gz'; or "
        "single files",
    )
    data.add_argument("--reference", type=Path, metavar="DIR", help="references of predictions")
    data.add_argument(
        "--input", type=Path, metavar="DIR", dest="low", help="the models' inputs, for baselines"
    )
    data.add_argument(
        "--mask",
        type=Path,
        metavar="DIR",
        help="masks (default: files called *mask beside the references or predictions; else the "
        "non-zero voxels of the reference); 'whole': all voxels",
    )
    data.add_argument("--labels", type=Path, metavar="DIR", help="label maps of the references")
    data.add_argument(
        "--uncertainty", type=Path, metavar="DIR", help="standard deviations of the predictions"
    )
    data.add_argument(
        "--resample-reference",
        choices=("no", "yes"),
        default="no",
        help="yes: bring references on another grid onto the predictions' (default: no, an error)",
    )
    data.add_argument("--data", type=Path, metavar="DIR", help="a run's cohort, if it has moved")
    data.add_argument(
        "--part",
        choices=("test", "validation", "train"),
        default="test",
        help="part of a run's cohort (default: test)",
    )
    data.add_argument(
        "--ensemble",
        type=int,
        default=1,
        metavar="N",
        help="symmetries of the grid, 1 to 48, whose results a run's model averages; their spread "
        "is its uncertainty (default: 1, none)",
    )
    data.add_argument(
        "--direction",
        choices=("forward", "inverse"),
        default="forward",
        help="how runs of contrasts and images are applied: from x to y, or from y to x (default: "
        "forward)",
    )
    measures = parser.add_argument_group("measures")
    measures.add_argument(
        "--baselines",
        metavar="NAME,…",
        help=f"interpolations of the input: {', '.join(_BASELINES)}, or none (default: the "
        "pipeline's, else all)",
    )
    measures.add_argument(
        "--interior",
        type=int,
        metavar="N",
        help="edge of the interior's neighbourhood in voxels, odd (default: the pipeline's, else "
        "5)",
    )
    measures.add_argument(
        "--range",
        type=float,
        metavar="R",
        dest="value_range",
        help="data range of PSNR and SSIM (default: the reference's in the mask)",
    )
    measures.add_argument(
        "--label-colours",
        choices=("cityscapes",),
        help="images are coloured labels: segmentation scores by the nearest colour",
    )
    measures.add_argument(
        "--fcn",
        type=Path,
        metavar="RUN",
        help="images are photographs of labels: segmentation scores of what this run of "
        "method.kind segmentation sees in them, against the label images that the models were "
        "given, or those in --labels",
    )
    measures.add_argument(
        "--sensitivity",
        metavar="NAME",
        help="how much the scores of every run change with an input that the run of this name "
        "makes of the reference (one2one's analysis; the baseline is pix2pix)",
    )
    measures.add_argument(
        "--participants",
        type=Path,
        metavar="FILE",
        help="table with a row per subject (default: participants.tsv beside the volumes)",
    )
    measures.add_argument(
        "--paper-table",
        action="append",
        default=[],
        metavar="NAME",
        help="also write a table in a paper's own form: revgan-2, revgan-3, revgan-4, one2one-1 to "
        "one2one-5; may be repeated",
    )
    measures.add_argument("--group", metavar="COLUMN", help="compare groups of subjects")
    add_places(parser)
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the results (default: RUN/evaluation of a single run, else evaluation)",
    )
    add("--overwrite", action="store_true", help="replace an existing evaluation")
    add("--resume", action="store_true", help="go on with an existing evaluation")
    add(
        "--embed",
        type=int,
        default=6,
        metavar="N",
        help="subjects with pictures and volumes in the report (default: 6)",
    )
    add("--title", metavar="TEXT", help="heading of the report")
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-evaluate`` and return its exit code."""
    return run_command(
        build_parser,
        _evaluate,
        argv,
        memory_advice="run fewer --workers",
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    _check(arguments)
    if not arguments.debug:  # one line a subject
        logging.getLogger("medrev.prediction").setLevel(logging.WARNING)
    with pool_of(arguments, warm="medrev.cohorts") as pool:
        pool.start()  # workers start while this process imports
        return _run(arguments, pool)


def _run(arguments: argparse.Namespace, pool: "Pool") -> int:
    from medrev.cohorts import Sources, named_inputs
    from medrev.prediction import weight_file
    from medrev.report import combine, evaluate, is_evaluation

    named = named_inputs(tuple(arguments.inputs))
    if all(map(is_evaluation, named.values())):
        output = arguments.output or Path("evaluation_tables")
        written = combine(named, arguments.paper_table, output, overwrite=arguments.overwrite)
        print(*written, sep="\n")
        return 0
    whole = arguments.mask is not None and str(arguments.mask) == "whole"
    sources = Sources(
        inputs=tuple(arguments.inputs),
        reference=arguments.reference,
        low=arguments.low,
        mask=None if whole else arguments.mask,
        labels=arguments.labels,
        uncertainty=arguments.uncertainty,
        participants=arguments.participants,
        part=arguments.part,
        data=arguments.data,
    )
    choices: dict[str, Any] = {
        "value_range": arguments.value_range,
        "resample_reference": arguments.resample_reference == "yes",
        "mask": "whole" if whole else "nonzero",
        "colours": arguments.label_colours,
        "device": arguments.device,
        "ensemble": arguments.ensemble,
        "direction": arguments.direction,
        "sensitivity": arguments.sensitivity,
    }
    if arguments.fcn is not None:
        choices["segmenter"] = weight_file(arguments.fcn).absolute()
    if arguments.baselines is not None:
        choices["baselines"] = _baselines(arguments.baselines)
    if arguments.interior is not None:
        choices["edge"] = arguments.interior
    evaluation = evaluate(
        sources,
        output=arguments.output,
        choices=choices,
        group=arguments.group,
        title=arguments.title,
        embed=arguments.embed,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
        paper_tables=arguments.paper_table,
        pool=pool,
        retries=arguments.retries,
    )
    for name, why in evaluation.failures.items():
        print(f"medrev-evaluate: {name}: {why}", file=sys.stderr)
    print(evaluation.report)
    return PARTIAL if evaluation.failures else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse values that make no sense before anything slow is imported."""
    check_places(arguments)
    if arguments.embed < 0:
        raise ConfigError(f"--embed must be at least 0, got {arguments.embed}")
    if not 1 <= arguments.ensemble <= 48:
        raise ConfigError(f"--ensemble must be 1 to 48, got {arguments.ensemble}")
    if arguments.value_range is not None and not arguments.value_range > 0:
        raise ConfigError(f"--range must be positive, got {arguments.value_range}")
    if arguments.interior is not None and (arguments.interior < 1 or arguments.interior % 2 == 0):
        raise ConfigError(f"--interior must be odd and positive, got {arguments.interior}")
    if arguments.resume and arguments.overwrite:
        raise ConfigError("give either --resume or --overwrite")


def _baselines(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if names == ("none",):
        return ()
    wrong = [name for name in names if name not in _BASELINES]
    if wrong or not names:
        raise ConfigError(
            f"--baselines must be some of {', '.join(_BASELINES)}, or none, got {text!r}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
