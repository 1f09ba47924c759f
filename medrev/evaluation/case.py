"""One subject to be evaluated: where its volumes lie, and the volumes themselves."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medrev import __version__
from medrev.evaluation.compared import Prediction
from medrev.files import content_hash, is_present
from medrev.metrics import BASELINES, Baseline, Settings
from medrev.volumes import read_header, strip_suffix

#: Part of every key: results of another form are not taken over.
_FORM = 3


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured, and how; the same for all subjects.

    Attributes:
        baselines: Interpolations of the input that are measured beside the models.
        edge: Edge of the interior's neighbourhood in voxels, odd.
        value_range: Data range of PSNR and SSIM; None: that of the reference in the mask, of image
            files that of their type.
        colours: Name of the colours of coloured label images, for segmentation scores.
        resample_reference: Bring a reference on another grid onto the prediction's, instead of
            refusing it.
        mask: Where a subject has no mask file: ``nonzero`` takes the non-zero voxels of the
            reference, ``whole`` all.
        device: Where models run.
        ensemble: How many symmetries of the grid a model's input is turned by; the spread of the
            results is the uncertainty. 1: none.
        samples: How many samples around a result models with a posterior draw; None: none.
        interval: Share of voxels, in percent, that intervals of these are to hold.
        direction: Which way models are applied: forward from x to y, inverse from y to x.
        sensitivity: Name of the model that changes the inputs, to measure the sensitivity of all.
        segmenter: Weight file of a network that tells the classes of translated photographs.
        classifier: Weight file of a classifier that judges what runs make of all samples together.
        absent: Classes that have no accuracy, or no IoU: left out of the means over classes, or
            counted as zero, as pix2pix's evaluation does.
        wrapped: Measure the MAE of images in wrapped bytes too, which RevGAN's Table 4 prints.
    """

    baselines: tuple[Baseline, ...] = BASELINES
    edge: int = 5
    value_range: float | None = None
    colours: Literal["cityscapes"] | None = None
    resample_reference: bool = False
    mask: Literal["nonzero", "whole"] = "nonzero"
    device: str = "auto"
    ensemble: int = 1
    samples: int | None = None
    interval: float = 90.0
    direction: Literal["forward", "inverse"] = "forward"
    sensitivity: str | None = None
    segmenter: Path | None = None
    classifier: Path | None = None
    absent: Literal["skip", "zero"] = "skip"
    wrapped: bool = False

    @property
    def has_spread(self) -> bool:
        """Whether models give more than one result, whose spread is scored."""
        return self.ensemble > 1 or self.samples is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """The volumes of a subject, on the reference's grid and in its voxel frame.

    Attributes:
        reference: ``(C, I, J, K)``; tensors in mm²/s. Images have one slice.
        predictions: By method: models in the order given, then the baselines.
        models: Which of the methods are models.
        mask: ``(1, I, J, K)``, bool; None: the whole volume counts.
        affine: Voxel → RAS mm, 4×4.
        settings: How the volumes are measured, unless the configuration says otherwise.
        low: The input ``(C, i, j, k)`` on its own grid, if there is one.
        labels: Label map ``(I, J, K)``, if there is one.
        label_image: Coloured labels ``(3, I, J, 1)`` of what predicted photographs show, if there
            are any.
        largest: Largest value that the type of an image file holds; None of volumes.
        facts: What the report says about the subject beside shape and mask.
        notes: What the user should know, one line each.
    """

    reference: torch.Tensor
    predictions: Mapping[str, Prediction]
    models: Sequence[str]
    mask: torch.Tensor | None
    affine: NDArray[np.float64]
    settings: Settings
    low: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    label_image: torch.Tensor | None = None
    largest: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tensors(self) -> bool:
        """Whether the volumes are diffusion tensors."""
        return bool(self.settings.tensors)


class Case(Protocol):
    """One subject to be evaluated; small, so that it can be sent to a worker."""

    @property
    def id(self) -> str:
        """Name, unique in its cohort."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Cells of the participants' table, for comparing groups."""

    @property
    def files(self) -> Mapping[str, Path]:
        """All files that the result depends on, by role."""

    def describe(self) -> Mapping[str, Any]:
        """What the result depends on beside files and configuration, as JSON."""

    def load(self, config: EvaluationConfig) -> Loaded:
        """Read, compute and check the volumes.

        Raises:
            MedrevError: They cannot be read, or do not fit each other.
        """


#: What is to be known where :func:`component_std` was used.
FROBENIUS = (
    "the tensors' uncertainty, a Frobenius norm, was taken to be spread evenly over components"
)


def component_std(frobenius: torch.Tensor) -> torch.Tensor:
    """Standard deviations of the six components from that of the tensor.

    If all components have one standard deviation σ, the Frobenius norm of the tensor's deviation
    is 3σ: its square sums over three diagonal and, twice, three off-diagonal components.

    Args:
        frobenius: ``(1, I, J, K)``.

    Returns:
        ``(6, I, J, K)``, all channels alike.
    """
    return (frobenius / 3).expand(6, -1, -1, -1)


def content_key(case: Case, config: EvaluationConfig) -> str:
    """Hash of everything that a subject's result depends on: contents, not names or times.

    Raises:
        InputError: A file cannot be read.
    """
    files = dict(case.files)
    if config.segmenter is not None:
        files["weights of the segmenter"] = config.segmenter
    document = {
        "form": _FORM,
        "medrev": __version__,
        "case": {"id": case.id, **case.describe()},
        "choices": asdict(replace(config, segmenter=None, classifier=None)),
        "files": {
            role: [_hash(part, *_state(part)) for part in _parts(path)]
            for role, path in files.items()
        },
    }
    return content_hash(json.dumps(document, sort_keys=True).encode())


def _parts(path: Path) -> list[Path]:
    """The files of a volume: its data may lie beside it, and the JSON file there tells of it."""
    files = [path]
    if path.is_dir() or path.suffix.lower() in _WITH_DATA_BESIDE:
        files = list(read_header(path).files)
    beside = path.with_name(f"{strip_suffix(path)}.json")
    return [*files, beside] if is_present(beside) else files


def _state(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


#: Formats whose header and data may be two files.
_WITH_DATA_BESIDE = {".nhdr", ".mhd", ".hdr", ".img"}


@functools.lru_cache(maxsize=1024)
def _hash(path: Path, time: int, size: int) -> str:
    """A file's hash; several subjects may share a weight file."""
    return content_hash(path)
