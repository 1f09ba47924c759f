"""``medrev-evaluate``: measure a cohort, and write its tables and its report."""

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medrev.cli.common import PARTIAL, command_parser, importing, run_command
from medrev.cli.options import take_options
from medrev.cli.places import Places, add_places, check_places, pool_of, retries_of
from medrev.errors import ConfigError
from medrev.options import MOST_KEPT

if TYPE_CHECKING:
    from medrev.parallel import Pool

logger = logging.getLogger("medrev.evaluate")

_BASELINES = ("nearest", "trilinear", "cubic", "bspline")


_VOLUMES = {"group": "volumes", "metavar": "DIR"}
_MEASURES = {"group": "measures"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is compared with what, how, and where the results go."""

    inputs: tuple[str, ...] = field(metadata={"positional": True, "metavar": "[NAME=]INPUT"})
    """run folders (their held-out subjects are translated), weight files or names of shipped models
    (with --data), folders of predictions, or a table (.csv, .tsv) with the columns id, reference
    and prediction or prediction_NAME; or finished evaluations, one per direction, for
    --paper-table"""
    reference: Path | None = field(default=None, metadata=_VOLUMES)
    """references of predictions: a folder, searched with sub-folders, a pattern such as
    'out/**/*_T1w.nii.gz', or a single file; the other volumes likewise"""
    input: Path | None = field(default=None, metadata=_VOLUMES)
    """the models' inputs, for baselines"""
    mask: Path | None = field(default=None, metadata=_VOLUMES)
    """masks (default: files called *mask beside the references or predictions; else the non-zero
    voxels of the reference); 'whole': all voxels"""
    labels: Path | None = field(default=None, metadata=_VOLUMES)
    """label maps of the references"""
    uncertainty: Path | None = field(default=None, metadata=_VOLUMES)
    """standard deviations of the predictions"""
    resample_reference: Literal["no", "yes"] = field(default="no", metadata={"group": "volumes"})
    """yes: bring references on another grid onto the predictions' (default: no, an error)"""
    data: Path | None = field(default=None, metadata=_VOLUMES)
    """a run's cohort, if it has moved, or another one"""
    participant_label: tuple[str, ...] | None = field(
        default=None,
        metadata={"group": "volumes", "metavar": "LABEL", "also": "--participant"},
    )
    """only these subjects, with or without 'sub-'"""
    part: Literal["test", "validation", "train", "all"] = field(
        default="test", metadata={"group": "volumes"}
    )
    """part of a run's cohort (default: test); all: every subject of a cohort given with --data,
    which the model has not seen"""
    ensemble: int = field(default=1, metadata={"group": "volumes", "metavar": "N"})
    """symmetries of the grid, 1 to 48, whose results a run's model averages; their spread is its
    uncertainty (default: 1, none)"""
    samples: int | None = field(default=None, metadata={"group": "volumes", "metavar": "N"})
    """samples around the results of runs with a posterior, which are scored as a distribution"""
    interval: float | None = field(
        default=None, metadata={"group": "volumes", "metavar": "PERCENT"}
    )
    """share of voxels that intervals of --ensemble or --samples are to hold (default: 90), with the
    factors of medrev-calibrate where the weights have them"""
    direction: Literal["forward", "inverse"] = field(
        default="forward", metadata={"group": "volumes"}
    )
    """how runs of contrasts and images are applied: from x to y, or from y to x (default:
    forward)"""
    baselines: str | None = field(default=None, metadata={**_MEASURES, "metavar": "NAME,…"})
    """interpolations of the input: nearest, trilinear, cubic, bspline, or none (default: the
    pipeline's, else all)"""
    interior: int | None = field(default=None, metadata={**_MEASURES, "metavar": "N"})
    """edge of the interior's neighbourhood in voxels, odd (default: the pipeline's, else 5)"""
    range: float | None = field(default=None, metadata={**_MEASURES, "metavar": "R"})
    """data range of PSNR and SSIM (default: that of image files' type, of contrasts 1, else the
    reference's in the mask)"""
    label_colours: Literal["cityscapes"] | None = field(default=None, metadata=_MEASURES)
    """images are coloured labels: segmentation scores by the nearest colour"""
    fcn: Path | None = field(default=None, metadata={**_MEASURES, "metavar": "RUN"})
    """images are photographs of labels: segmentation scores of what this run of method.kind
    segmentation sees in them, against the label images that the models were given, or those in
    --labels"""
    classifier: Path | None = field(default=None, metadata={**_MEASURES, "metavar": "RUN"})
    """judge what runs colour by this run of method.kind classification: Fréchet distance of its
    features from those of the true images, and where these have classes, how many it tells"""
    absent: Literal["skip", "zero"] = field(default="skip", metadata=_MEASURES)
    """classes without pixels: left out of the means over classes, or counted as zero, as pix2pix's
    evaluation does (default: skip)"""
    wrapped_mae: bool = field(default=False, metadata=_MEASURES)
    """the MAE of 8-bit images in wrapped bytes too, which RevGAN's Table 4 prints"""
    sensitivity: str | None = field(default=None, metadata={**_MEASURES, "metavar": "NAME"})
    """how much the scores of every run change with an input that the run of this name makes of the
    reference (one2one's analysis; the baseline is pix2pix)"""
    participants: Path | None = field(default=None, metadata={**_MEASURES, "metavar": "FILE"})
    """table with a row per subject (default: participants.tsv beside the volumes)"""
    paper_table: tuple[str, ...] = field(
        default=(), metadata={**_MEASURES, "metavar": "NAME", "repeat": True}
    )
    """also write a table in a paper's own form: revgan-2, revgan-3, revgan-4, one2one-1 to
    one2one-5, cinn-1, cinn-9, generative-1; may be repeated"""
    group: str | None = field(default=None, metadata={**_MEASURES, "metavar": "COLUMN"})
    """compare groups of subjects"""
    output: Path | None = field(default=None, metadata={"metavar": "DIR"})
    """folder of the results (default: RUN/evaluation of a single run, else evaluation)"""
    overwrite: bool = False
    """replace an existing evaluation"""
    resume: bool = False
    """go on with an existing evaluation"""
    embed: int = field(default=6, metadata={"metavar": "N"})
    """subjects with pictures and volumes in the report (default: 6)"""
    title: str | None = field(default=None, metadata={"metavar": "TEXT"})
    """heading of the report"""

    def __post_init__(self) -> None:
        if not 0 <= self.embed <= 10_000:
            raise ConfigError(f"--embed must be 0 to 10000, got {self.embed}")
        if not 1 <= self.ensemble <= 48:
            raise ConfigError(f"--ensemble must be 1 to 48, got {self.ensemble}")
        if self.samples is not None and not 2 <= self.samples <= MOST_KEPT:
            raise ConfigError(f"--samples must be 2 to {MOST_KEPT}, got {self.samples}")
        if self.interval is not None and self.ensemble == 1 and self.samples is None:
            raise ConfigError("--interval needs --ensemble or --samples, whose spread it is of")
        if self.interval is not None and not 0 < self.interval < 100:
            raise ConfigError(f"--interval must lie between 0 and 100, got {self.interval:g}")
        if self.range is not None and not 0 < self.range < math.inf:
            raise ConfigError(f"--range must be positive and finite, got {self.range}")
        if self.interior is not None and not (1 <= self.interior <= 999 and self.interior % 2):
            raise ConfigError(
                f"--interior must be odd and positive, at most 999, got {self.interior}"
            )
        if self.participants is not None and self.group is None:
            raise ConfigError("--participants is the table of --group: give that, or leave it out")
        if self.resume and self.overwrite:
            raise ConfigError("give either --resume or --overwrite")


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-evaluate``."""
    parser = command_parser(
        "medrev-evaluate",
        Options,
        groups=("volumes", "measures"),
        device=True,
        threads=False,  # each subject is measured on one, whatever there is
        description="Compare predictions with references over a cohort: tables per subject and "
        "over all, statistics, and a report that is one HTML file. Prints the report's path.",
        epilog="examples:\n"
        "  medrev-evaluate runs/hcp_dti_sr\n"
        "  medrev-evaluate first=runs/a second=runs/b --output evaluations/a-b\n"
        "  medrev-evaluate results --reference truth --input low --workers 4\n"
        "  medrev-evaluate pix2pix=runs/a one2one=runs/b --sensitivity pix2pix "
        "--paper-table one2one-5\n"
        "  medrev-evaluate cohort.tsv --group site --scheduler tcp://host:8786",
    )
    add_places(parser)
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
    options = take_options(Options, arguments)
    check_places(arguments)
    if not (arguments.debug or arguments.verbose):  # one line a subject
        logging.getLogger("medrev.prediction").setLevel(logging.WARNING)
    with pool_of(arguments, warm="medrev.evaluation") as pool:
        pool.start()  # workers start while this process imports
        return _run(options, arguments, pool)


def _run(options: Options, arguments: argparse.Namespace, pool: "Pool") -> int:
    with importing():
        from medrev.evaluation import Sources, named_inputs
        from medrev.prediction import weight_file
        from medrev.report import combine, evaluate, is_evaluation

    named = named_inputs(options.inputs)
    if all(map(is_evaluation, named.values())):
        _refuse_all_but(options, arguments, ("inputs", "paper_table", "output", "overwrite"))
        output = options.output or Path("evaluation_tables")
        written = combine(named, options.paper_table, output, overwrite=options.overwrite)
        print(*written, sep="\n")
        return 0
    whole = options.mask is not None and str(options.mask) == "whole"
    sources = Sources(
        inputs=options.inputs,
        reference=options.reference,
        low=options.input,
        mask=None if whole else options.mask,
        labels=options.labels,
        uncertainty=options.uncertainty,
        participants=options.participants,
        only=options.participant_label,
        part=options.part,
        data=options.data,
    )
    networks = {"segmenter": options.fcn, "classifier": options.classifier}
    choices: dict[str, Any] = {
        "edge": options.interior,
        "value_range": options.range,
        "baselines": None if options.baselines is None else _baselines(options.baselines),
        "resample_reference": options.resample_reference == "yes",
        "mask": "whole" if whole else "nonzero",
        "colours": options.label_colours,
        "device": arguments.device,
        "ensemble": options.ensemble,
        "samples": options.samples,
        "interval": options.interval,
        "direction": options.direction,
        "sensitivity": options.sensitivity,
        "absent": options.absent,
        "wrapped": options.wrapped_mae,
        **{name: run and weight_file(run).absolute() for name, run in networks.items()},
    }
    choices = {name: value for name, value in choices.items() if value is not None}
    evaluation = evaluate(
        sources,
        output=options.output,
        choices=choices,
        group=options.group,
        title=options.title,
        embed=options.embed,
        overwrite=options.overwrite,
        resume=options.resume,
        paper_tables=options.paper_table,
        pool=pool,
        retries=retries_of(arguments),
    )
    evaluation.summary.print(strong=evaluation.evaluated.models)
    for name, why in evaluation.failures.items():
        logger.error("medrev-evaluate: %s: %s", name, why)
    print(evaluation.report)
    return PARTIAL if evaluation.failures else 0


def _refuse_all_but(
    options: Options, arguments: argparse.Namespace, allowed: tuple[str, ...]
) -> None:
    """Options of a measurement mean nothing where finished evaluations are put together."""
    given = [
        each.name
        for each in fields(options)
        if each.name not in allowed and getattr(options, each.name) != each.default
    ]
    given += [each.name for each in fields(Places) if getattr(arguments, each.name) is not None]
    given += ["device"] if arguments.device != "auto" else []
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} says how subjects are measured, but the inputs are "
            "finished evaluations: leave it out"
        )


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
