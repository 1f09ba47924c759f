"""Models of tensors on volumes in mm²/s."""

from typing import Any

import torch

from medrev.domains.values import Prediction, Scan
from medrev.prediction import InferenceOptions, Model, Predictor, translate


def apply(
    model: Model, volume: torch.Tensor, inverse: bool = False, **options: Any
) -> torch.Tensor:
    """The network's result in mm²/s for a volume in mm²/s."""
    return translate(model, volume / model.scale, inverse=inverse, **options) * model.scale


def predict(
    model: Model,
    volume: torch.Tensor,
    *,
    inverse: bool = False,
    options: InferenceOptions | None = None,
    mask: torch.Tensor | None = None,
    affine: Any = None,
    members: tuple[Model, ...] = (),
) -> Prediction:
    """What is predicted for a volume in mm²/s; tensors are not repaired."""
    models = [unrepaired(each) for each in (model, *members)]
    predictor = Predictor(models, inverse=inverse, options=options)
    return predictor(Scan(values=volume, mask=mask, affine=affine))


def limited(model: Model, gib: float) -> Model:
    """The same model, whose pipeline allows so much memory; more is a warning and no error."""
    inference = model.pipeline.inference.model_copy(update={"max_memory": gib})
    pipeline = model.pipeline.model_copy(update={"inference": inference})
    return Model(model.translator, pipeline, model.scale, model.metadata)


def unrepaired(model: Model) -> Model:
    """The same model, whose results are left as they are."""
    inference = model.pipeline.inference.model_copy(update={"positive_definite": False})
    pipeline = model.pipeline.model_copy(update={"inference": inference})
    return Model(model.translator, pipeline, model.scale, model.metadata)
