"""A model applied to a prepared subject, as its files would be written."""

import torch

from medrev.data import Prepared
from medrev.dti import repair
from medrev.inference.model import Model

__all__ = ["predict"]


def predict(model: Model, subject: Prepared) -> torch.Tensor:
    """Translate a subject's low-resolution twin into the tensors that inference would write.

    They are repaired in the mask where they are not positive definite, if
    ``inference.positive_definite`` says so.

    Args:
        model: The model.
        subject: The subject; its ``low`` is translated.

    Returns:
        ``(6, I, J, K)`` in mm²/s, on the grid of ``subject.high``.
    """
    prediction = model.apply(subject.low)
    if not model.pipeline.inference.positive_definite:
        return prediction
    repaired: torch.Tensor = repair(prediction * subject.mask)[0]
    return repaired
