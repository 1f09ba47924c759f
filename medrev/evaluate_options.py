"""What an evaluation compares, and how: declared once for Python callers and ``medrev-evaluate``.

As in `medrev.options`, fields are keywords and options, their docstrings the help. Nothing slow is
imported here.
"""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from medrev.errors import ConfigError, InputError
from medrev.options import MOST_KEPT, Direction, check_choices

#: Interpolations that a model is compared with.
Baseline = Literal["nearest", "trilinear", "cubic", "bspline"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
#: What is given for masks where all voxels count.
WHOLE = Path("whole")

_VOLUMES, _MEASURES = {"group": "volumes"}, {"group": "measures"}
_FOLDER = {**_VOLUMES, "metavar": "DIR"}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the volumes of a cohort are to be found.

    Raises:
        ConfigError: There is no such part.

    Example:
        >>> import medrev
        >>> medrev.Sources(inputs="results", reference="truth").inputs
        ('results',)
    """

    inputs: tuple[str, ...] = field(metadata={"positional": True, "metavar": "[NAME=]INPUT"})
    """run folders (their held-out subjects are translated), weight files or names of shipped models
    (with --data), folders of predictions, or a table (.csv, .tsv) with the columns id, reference
    and prediction or prediction_NAME; or finished evaluations, one per direction, for
    --paper-table"""
    reference: Path | None = field(default=None, metadata=_FOLDER)
    """references of predictions: a folder, searched with sub-folders, a pattern such as
    'out/**/*_T1w.nii.gz', or a single file; the other volumes likewise"""
    low: Path | None = field(default=None, metadata={**_FOLDER, "option": "input"})
    """the models' inputs, for baselines"""
    mask: Path | None = field(default=None, metadata=_FOLDER)
    """masks (default: files called *mask beside the references or predictions; else the non-zero
    voxels of the reference); 'whole': all voxels"""
    labels: Path | None = field(default=None, metadata=_FOLDER)
    """label maps of the references"""
    uncertainty: Path | None = field(default=None, metadata=_FOLDER)
    """standard deviations of the predictions"""
    data: Path | None = field(default=None, metadata=_FOLDER)
    """a run's cohort, if it has moved, or another one"""
    only: tuple[str, ...] | None = field(
        default=None,
        metadata={
            **_VOLUMES,
            "metavar": "LABEL",
            "option": "participant_label",
            "also": "--participant",
        },
    )
    """only these subjects, with or without 'sub-'"""
    part: Literal["test", "validation", "train", "all"] = field(default="test", metadata=_VOLUMES)
    """part of a run's cohort (default: test); all: every subject of a cohort given with --data,
    which the model has not seen"""
    participants: Path | None = field(default=None, metadata={**_MEASURES, "metavar": "FILE"})
    """table with a row per subject (default: participants.tsv beside the volumes)"""

    def __post_init__(self) -> None:
        for each in fields(self):
            given = getattr(self, each.name)
            if each.name in ("inputs", "only") and isinstance(given, str | Path):
                object.__setattr__(self, each.name, (str(given),))
            elif each.name != "part" and isinstance(given, str):
                object.__setattr__(self, each.name, Path(given))
        check_choices(self, ConfigError)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured, and how; the same for all subjects.

    Raises:
        ConfigError: A number is out of its range, or a value not among those that are listed.
        InputError: The interior of no mask is asked for.
    """

    baselines: tuple[Baseline, ...] = field(default=BASELINES, metadata={"cli": False})
    """interpolations of the input that are measured beside the models"""
    edge: int | None = field(
        default=None, metadata={**_MEASURES, "metavar": "N", "option": "interior"}
    )
    """edge of the interior's neighbourhood in voxels, odd (default: the pipeline's, else 5)"""
    value_range: float | None = field(
        default=None, metadata={**_MEASURES, "metavar": "R", "option": "range"}
    )
    """data range of PSNR and SSIM (default: that of image files' type, of contrasts 1, else the
    reference's in the mask)"""
    colours: Literal["cityscapes"] | None = field(
        default=None, metadata={**_MEASURES, "option": "label_colours"}
    )
    """images are coloured labels: segmentation scores by the nearest colour"""
    resample_reference: bool = field(default=False, metadata={"cli": False})
    """bring a reference on another grid onto the prediction's, instead of refusing it"""
    mask: Literal["nonzero", "whole"] = field(default="nonzero", metadata={"cli": False})
    """where a subject has no mask file: the non-zero voxels of the reference, or all"""
    device: str = field(default="auto", metadata={"cli": False})
    """where models run"""
    ensemble: int = field(default=1, metadata={**_VOLUMES, "metavar": "N"})
    """symmetries of the grid, 1 to 48, whose results a run's model averages; their spread is its
    uncertainty (default: 1, none)"""
    samples: int | None = field(default=None, metadata={**_VOLUMES, "metavar": "N"})
    """samples around the results of runs with a posterior, which are scored as a distribution"""
    interval: float = field(
        default=90.0, metadata={**_VOLUMES, "metavar": "PERCENT", "unset": True}
    )
    """share of voxels that intervals of --ensemble or --samples are to hold (default: 90), with the
    factors of medrev-calibrate where the weights have them"""
    direction: Direction = field(default="forward", metadata=_VOLUMES)
    """how runs of contrasts and images are applied: from x to y, or from y to x (default:
    forward)"""
    sensitivity: str | None = field(default=None, metadata={**_MEASURES, "metavar": "NAME"})
    """how much the scores of every run change with an input that the run of this name makes of the
    reference (one2one's analysis; the baseline is pix2pix)"""
    segmenter: Path | None = field(
        default=None, metadata={**_MEASURES, "metavar": "RUN", "option": "fcn"}
    )
    """images are photographs of labels: segmentation scores of what this run of method.kind
    segmentation sees in them, against the label images that the models were given, or those in
    --labels"""
    classifier: Path | None = field(default=None, metadata={**_MEASURES, "metavar": "RUN"})
    """judge what runs colour by this run of method.kind classification: Fréchet distance of its
    features from those of the true images, and where these have classes, how many it tells"""
    absent: Literal["skip", "zero"] = field(default="skip", metadata=_MEASURES)
    """classes without pixels: left out of the means over classes, or counted as zero, as pix2pix's
    evaluation does (default: skip)"""
    wrapped: bool = field(default=False, metadata={**_MEASURES, "option": "wrapped_mae"})
    """the MAE of 8-bit images in wrapped bytes too, which RevGAN's Table 4 prints"""

    def __post_init__(self) -> None:
        for name in ("segmenter", "classifier"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        if isinstance(self.baselines, str):
            object.__setattr__(self, "baselines", (self.baselines,))
        check_choices(self, ConfigError)
        if not 1 <= self.ensemble <= 48:
            raise ConfigError(f"ensemble must be 1 to 48, got {self.ensemble}")
        if self.samples is not None and not 2 <= self.samples <= MOST_KEPT:
            raise ConfigError(f"samples must be 2 to {MOST_KEPT}, got {self.samples}")
        if not 0 < self.interval < 100:
            raise ConfigError(f"interval must lie between 0 and 100, got {self.interval:g}")
        if self.value_range is not None and not 0 < self.value_range < math.inf:
            raise ConfigError(f"value_range must be positive and finite, got {self.value_range}")
        if self.edge is not None and not (1 <= self.edge <= 999 and self.edge % 2):
            raise ConfigError(f"edge must be odd and positive, at most 999, got {self.edge}")
        if self.edge is not None and self.mask == "whole":
            raise InputError("edge is of masks, got mask whole: leave one of them out")

    @property
    def has_spread(self) -> bool:
        """Whether models give more than one result, whose spread is scored."""
        return self.ensemble > 1 or self.samples is not None
