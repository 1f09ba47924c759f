"""Validation on whole held-out volumes, and the held-out table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from medrev.config.schema import Pipeline
from medrev.domains.tensor import Prepared
from medrev.evaluation import NOISE_FLOOR, HeldoutTable, Results, Scored, Settings, score
from medrev.metrics import Array, interpolate_to
from medrev.prediction import Model, predict
from medrev.progress import progress

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
    first: torch.Tensor | None = None
    scores = []
    for subject in subjects:
        prediction = predict(model, subject)
        first = prediction if first is None else first
        made = _scored(subject, {"model": prediction}, model.pipeline)
        scores.append(score(subject.id, [made], columns=("rmse_interior", "rmse")))
    assert first is not None
    means = HeldoutTable(Results.join(scores)).means()
    return VolumeScore(
        rmse_interior=means.get("rmse_interior", math.nan),
        rmse=means.get("rmse", math.nan),
        prediction=first,
    )


def heldout(
    model: Model, subjects: Sequence[Prepared], pipeline: Pipeline, *, show_progress: bool = True
) -> HeldoutTable:
    """Score a model, the baselines and (where the truth is known) the noise floor.

    The model's tensors are scored as `medrev.prediction` writes them: repaired where they are not
    positive definite, if ``inference.positive_definite`` says so.

    Args:
        model: The trained model.
        subjects: Test subjects, which training never saw.
        pipeline: Factor, baselines and interior.
        show_progress: Show a progress bar on standard error.
    """
    modes = pipeline.evaluation.baselines
    scores = []
    with progress("Held-out subjects", len(subjects), enabled=show_progress) as bar:
        for subject in subjects:
            shape = subject.high.shape[1:]
            outputs: dict[str, Array] = {"model": predict(model, subject)}
            outputs |= {mode: interpolate_to(subject.low, shape, mode) for mode in modes}
            if subject.truth is not None:
                outputs[NOISE_FLOOR] = subject.truth
            rows = tuple(outputs)
            if "cubic" not in outputs:  # ratios are to it in any case
                outputs["cubic"] = interpolate_to(subject.low, shape, "cubic")
            found = score(subject.id, [_scored(subject, outputs, pipeline)])
            scores.append(found.without(*(name for name in outputs if name not in rows)))
            bar.advance(1, text=subject.id)
    return HeldoutTable(Results.join(scores))


def _scored(subject: Prepared, outputs: Mapping[str, Array], pipeline: Pipeline) -> Scored:
    settings = Settings(tensors=True, edge=pipeline.evaluation.interior)
    return Scored(outputs=outputs, reference=subject.high, mask=subject.mask, settings=settings)
