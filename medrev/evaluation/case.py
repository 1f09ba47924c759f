"""The subjects to be evaluated: where their volumes lie, and the volumes themselves."""

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev import __version__
from medrev.errors import InputError
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.compared import Prediction
from medrev.files import content_hash, is_present
from medrev.metrics import NOISE_FLOOR, Settings
from medrev.prediction import weight_file
from medrev.volumes import read_header, strip_suffix

#: The method name of real photographs whose classes a segmentation network tells.
GROUND_TRUTH = "ground truth"
#: Part of every key: results of another form are not taken over.
_FORM = 3


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


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """One subject to be evaluated; small, so that it can be sent to a worker.

    Attributes:
        id: Name, unique in its cohort.
        columns: Cells of the participants' table, for comparing groups.
    """

    id: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def files(self) -> dict[str, Path]:
        """All files that the result depends on, by role."""

    def describe(self) -> dict[str, Any]:
        """What the result depends on beside files and configuration, as JSON."""
        return {}

    @abstractmethod
    def load(self, config: EvaluationConfig) -> Loaded:
        """Read, compute and check the volumes.

        Raises:
            MedrevError: They cannot be read, or do not fit each other.
        """


@dataclass(frozen=True, kw_only=True)
class Found:
    """The subjects of a cohort, and what was amiss.

    Attributes:
        kind: runs, folders or table.
        cases: What can be evaluated, sorted by name.
        models: Names of the models.
        failures: Why a subject cannot be evaluated, by name.
        notes: What the user should know, one line each.
        origins: What is known about every model, such as its seed, by name.
        options: What the models' pipelines say about evaluation, ``baselines``, and the sources
            about masks.
        scores_inverse: Whether models can be scored from y to x.
        ensembles: Whether the spread of an ensemble can be scored.
        drawing: Names of the models that draw samples.
    """

    kind: str
    cases: tuple[Case, ...]
    models: tuple[str, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    scores_inverse: bool = False
    ensembles: bool = False
    drawing: tuple[str, ...] = ()

    @property
    def has_inputs(self) -> bool:
        """Whether there is something to interpolate."""
        return self.kind == "runs" or any("input" in case.files for case in self.cases)

    def check(self, config: EvaluationConfig) -> None:
        """Refuse config with which these subjects cannot be measured.

        Raises:
            InputError: Models would have to be applied where only predictions are given, in a
                direction that was not trained, or to data of another kind; or one is called as
                another row of the tables.
        """
        others = {*config.baselines, "input", NOISE_FLOOR, GROUND_TRUTH}
        if self.has_inputs and (same := others.intersection(self.models)):
            raise InputError(
                f"{min(same)!r} is the name of a row that is no model's: give the model another "
                "name, as in NAME=INPUT"
            )
        if config.classifier is not None and self.kind != "runs":
            raise InputError("--classifier judges what runs make, got predictions: leave it out")
        if self.kind == "runs" and config.resample_reference:
            raise InputError(
                "--resample-reference is for predictions on another grid, got runs, whose "
                "results are on the grid of their references: leave it out"
            )
        back = config.direction == "inverse"
        if not back and config.sensitivity is None and not config.has_spread:
            return
        if self.kind != "runs":
            raise InputError(
                "--direction, --sensitivity, --ensemble and --samples say how models are applied: "
                "they go with run folders"
            )
        if config.sensitivity is not None and config.sensitivity not in self.models:
            raise InputError(
                f"--sensitivity must be one of the runs' names ({', '.join(self.models)}), "
                f"got {config.sensitivity!r}"
            )
        if config.sensitivity is not None and config.has_spread:
            raise InputError("--sensitivity cannot be given together with --ensemble or --samples")
        if back or config.sensitivity is not None:
            needed = self.models if back else (config.sensitivity,)
            untrained = [n for n in needed if not self.origins[n or ""].get("both_directions")]
            if untrained:
                raise InputError(
                    f"{untrained[0]} has no trained inverse direction, which is needed here"
                )
        if back and not self.scores_inverse:
            raise InputError("--direction inverse is for models whose two sides lie on one grid")
        if config.has_spread and not self.ensembles:
            option = "--samples" if config.samples else "--ensemble"
            raise InputError(f"{option} is for models of tensors and of scalar volumes")
        single = [name for name in self.models if name not in self.drawing]
        if config.samples and single:
            raise InputError(
                f"--samples: {single[0]} makes one result of an input: leave it out, or give "
                "models with a posterior, such as dti-x2-posterior"
            )


#: What is to be known where :func:`component_std` was used.
FROBENIUS = (
    "the tensors' uncertainty, a Frobenius norm, was taken to be spread evenly over components"
)


def component_std(frobenius: torch.Tensor) -> torch.Tensor:
    """Standard deviations ``(6, I, J, K)`` of components from the tensor's ``(1, I, J, K)``.

    If all components have one standard deviation σ, the Frobenius norm of the tensor's deviation
    is 3σ: its square sums over three diagonal and, twice, three off-diagonal components.
    """
    return (frobenius / 3).expand(6, -1, -1, -1)


def with_weights(config: EvaluationConfig) -> EvaluationConfig:
    """The same with the weight files of its networks; absolute, as workers have their own folders.

    Raises:
        CheckpointError: One has none.
    """
    networks = {"segmenter": config.segmenter, "classifier": config.classifier}
    files: dict[str, Any] = {
        n: weight_file(run).absolute() for n, run in networks.items() if run is not None
    }
    return replace(config, **files)


def content_key(case: Case, config: EvaluationConfig) -> str:
    """Hash of everything that a subject's result depends on: contents, not names or times.

    Raises:
        InputError: A file cannot be read.
    """
    files = dict(case.files)
    if config.segmenter is not None:
        files["weights of the segmenter"] = weight_file(config.segmenter)
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
    if path.is_dir() or path.name.lower().endswith(_WITH_DATA_BESIDE):
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
_WITH_DATA_BESIDE = (".nhdr", ".mhd", ".hdr", ".img", ".hdr.gz", ".img.gz")


@functools.lru_cache(maxsize=1024)
def _hash(path: Path, time: int, size: int) -> str:
    """A file's hash; several subjects may share a weight file."""
    return content_hash(path)
