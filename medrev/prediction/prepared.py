"""A model applied to a prepared subject, as its files would be written."""

from typing import TYPE_CHECKING

import torch

from medrev.dti import repair
from medrev.prediction.model import Model

if TYPE_CHECKING:
    from medrev.domains.tensor import Prepared

__all__ = ["as_written", "predict"]


def predict(model: Model, subject: "Prepared") -> torch.Tensor:
    """Translate a subject's low-resolution twin into the tensors that inference would write.

    Args:
        model: The model.
        subject: The subject; its ``low`` is translated.

    Returns:
        ``(6, I, J, K)`` in mm²/s, on the grid of ``subject.high``.
    """
    return as_written(model, model.apply(subject.low), subject.mask)


def as_written(model: Model, prediction: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A network's result as its file holds it.

    Tensors are repaired in the mask where they are not positive definite, if
    ``inference.positive_definite`` says so.

    Args:
        model: The model, for its pipeline.
        prediction: ``(6, I, J, K)`` in mm²/s.
        mask: ``(1, I, J, K)``.
    """
    if not model.pipeline.inference.positive_definite:
        return prediction
    repaired: torch.Tensor = repair(prediction * mask)[0]
    return repaired
