"""The subjects of a cohort that can be evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medrev.errors import InputError
from medrev.evaluation.case import Case, EvaluationConfig
from medrev.evaluation.classes import GROUND_TRUTH, classes_of
from medrev.metrics import NOISE_FLOOR


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
        options: What the models' pipelines say about evaluation: ``edge``, ``baselines``.
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
            CheckpointError: The segmentation network cannot be loaded.
            InputError: Models would have to be applied where only predictions are given, in a
                direction that was not trained, or to data of another kind; or one is called as
                another row of the tables.
        """
        self._check_names(config)
        if config.segmenter is not None:
            classes_of(config)
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

    def _check_names(self, config: EvaluationConfig) -> None:
        """Refuse a model that is called as another row of the tables."""
        others = {*config.baselines, "input", NOISE_FLOOR, GROUND_TRUTH}
        if self.has_inputs and (same := others.intersection(self.models)):
            raise InputError(
                f"{min(same)!r} is the name of a row that is no model's: give the model another "
                "name, as in NAME=INPUT"
            )
