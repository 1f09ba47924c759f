"""Held-out subjects of models of diffusion tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medrev.cohorts.case import FROBENIUS, Choices, Loaded, component_std
from medrev.cohorts.trained import Trained, translate_sides
from medrev.evaluation import NOISE_FLOOR, Prediction
from medrev.metrics import interpolate
from medrev.prediction import InferenceOptions, Model, as_written
from medrev.volumes import voxel_size

if TYPE_CHECKING:
    from medrev.config.schema import DTIData
    from medrev.data import Subject
    from medrev.domains.tensor import Prepared

__all__ = ["TrainedTensors"]


@dataclass(frozen=True, kw_only=True)
class TrainedTensors(Trained):
    """A subject whose low-resolution twin is translated back to its own resolution.

    Attributes:
        subject: Its files.
        data: How the twin is made; the same for all models.
    """

    subject: "Subject"
    data: "DTIData"

    @property
    def id(self) -> str:
        """Name, unique in its cohort."""
        return self.subject.id

    @property
    def sources(self) -> Mapping[str, Path]:
        """Its files by role."""
        return self.subject.files

    def describe(self) -> dict[str, Any]:
        """How the twin is made."""
        wanted = {"degradation", "fit", "tensor_order", "tensor_frame"}
        return self.data.model_dump(mode="json", include=wanted)

    def load(self, choices: Choices) -> Loaded:
        """Make the low-resolution twin and translate it.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """
        from medrev.domains.tensor import prepare

        data = self.data.model_copy(update={"workers": 1})
        prepared = prepare([self.subject], data, progress=False)[0]
        predictions = self._predictions(prepared, choices)
        for name in choices.baselines:
            predictions[name] = Prediction(interpolate(prepared.low, prepared.factor, name))
        if prepared.truth is not None:
            predictions[NOISE_FLOOR] = Prediction(prepared.truth)
        affine = prepared.affine.numpy()
        return Loaded(
            reference=prepared.high,
            predictions=predictions,
            models=list(self.models),
            mask=prepared.mask > 0,
            affine=affine,
            low=prepared.low,
            tensors=True,
            facts={
                "shape": list(prepared.high.shape),
                "voxel_size": [round(edge, 4) for edge in voxel_size(affine)],
                "mask": prepared.mask_source,
                "mask_voxels": int(prepared.mask.sum()),
                "degradation": prepared.degradation,
                "prepared": prepared.key,
            },
            notes=(FROBENIUS,) if choices.ensemble > 1 else (),
        )

    def _predictions(self, prepared: "Prepared", choices: Choices) -> dict[str, Prediction]:
        """The tensors as they would be written, their uncertainty, and round trips."""
        models = self.load_models(choices.device)
        options = InferenceOptions(engine="torch", precision="float32", ensemble=choices.ensemble)
        outputs = {n: model.translate(prepared.low, options=options) for n, model in models.items()}
        found = translate_sides(
            models,
            (prepared.low, prepared.high),
            choices,
            _apply,
            {name: output.volume for name, output in outputs.items()},
        )
        predictions = {}
        for name, translated in found.items():
            std = outputs[name].std
            predictions[name] = translated.prediction(
                partial(as_written, models[name], mask=prepared.mask),
                std=None if std is None else component_std(std),
            )
        return predictions


def _apply(model: Model, volume: torch.Tensor, directions: tuple[bool, ...]) -> list[torch.Tensor]:
    results = [volume]
    for inverse in directions:
        results.append(model.apply(results[-1], inverse=inverse))
    return results[1:]
