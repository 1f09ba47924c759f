"""Validation on whole held-out volumes, and the held-out table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medrev.config.schema import Pipeline
from medrev.domains.tensor import Prepared
from medrev.evaluation import Table, heldout_table, subject_rows
from medrev.metrics import tensor_rmse
from medrev.prediction import Model, predict
from medrev.progress import progress
from medrev.volumes import interior

__all__ = ["VolumeScore", "heldout", "validate"]


@dataclass(frozen=True)
class VolumeScore:
    """Errors on the validation subjects, means over subjects, in 1e-5 mm²/s.

    Attributes:
        rmse_interior: RMSE in the interior of the mask; NaN where no subject has one.
        rmse: RMSE in the whole mask.
        prediction: The first subject's output, (6, I, J, K) in mm²/s.
    """

    rmse_interior: float
    rmse: float
    prediction: torch.Tensor

    @property
    def error(self) -> float:
        """What the best checkpoint is chosen by: the interior's error, else the whole mask's."""
        return self.rmse if math.isnan(self.rmse_interior) else self.rmse_interior


def validate(model: Model, subjects: Sequence[Prepared]) -> VolumeScore:
    """Apply a model to whole volumes and measure its errors.

    Args:
        model: The model in training.
        subjects: At least one validation subject.
    """
    edge = model.pipeline.evaluation.interior
    inner, whole = [], []
    first: torch.Tensor | None = None
    for subject in subjects:
        prediction = predict(model, subject)
        first = prediction if first is None else first
        core = interior(subject.mask, edge=edge)
        if bool(core.any()):
            inner.append(tensor_rmse(prediction, subject.high, core))
        whole.append(tensor_rmse(prediction, subject.high, subject.mask))
    assert first is not None
    return VolumeScore(
        rmse_interior=sum(inner) / len(inner) if inner else math.nan,
        rmse=sum(whole) / len(whole),
        prediction=first,
    )


def heldout(
    model: Model, subjects: Sequence[Prepared], pipeline: Pipeline, *, show_progress: bool = True
) -> Table:
    """Score a model, the baselines and (where the truth is known) the noise floor.

    The model's tensors are scored as `medrev.prediction` writes them: repaired where they are not
    positive definite, if ``inference.positive_definite`` says so.

    Args:
        model: The trained model.
        subjects: Test subjects, which training never saw.
        pipeline: Factor, baselines and interior.
        show_progress: Show a progress bar on standard error.
    """
    rows = []
    with progress("Held-out subjects", len(subjects), enabled=show_progress) as bar:
        for subject in subjects:
            rows += subject_rows(
                subject.id,
                predict(model, subject),
                low=subject.low,
                reference=subject.high,
                mask=subject.mask,
                factor=pipeline.data.factor,
                baselines=pipeline.evaluation.baselines,
                truth=subject.truth,
                edge=pipeline.evaluation.interior,
            )
            bar.advance(1, text=subject.id)
    return heldout_table(rows)
