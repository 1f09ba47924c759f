"""A held-out subject of one or more trained models, which are applied to it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cohorts.case import FROBENIUS, Choices, Loaded, component_std
from medrev.evaluation import NOISE_FLOOR, Prediction, interpolate
from medrev.inference import InferenceOptions, Model, as_written, load_model
from medrev.volumes import voxel_size

if TYPE_CHECKING:
    from medrev.config.schema import DTIData
    from medrev.data import Prepared, Subject

__all__ = ["Trained"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A subject that training has never seen, and the models that translate it.

    Attributes:
        subject: Its files.
        models: Weight file by name.
        data: How its low-resolution twin is made; the same for all models.
        columns: Cells of the participants' table, for comparing groups.
    """

    subject: "Subject"
    models: Mapping[str, Path]
    data: "DTIData"
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name, unique in its cohort."""
        return self.subject.id

    @property
    def files(self) -> dict[str, Path]:
        """All files by role."""
        weights = {f"weights {name}": path for name, path in self.models.items()}
        return {**self.subject.files, **weights}

    def describe(self) -> dict[str, Any]:
        """How the twin is made."""
        wanted = {"degradation", "fit", "tensor_order", "tensor_frame"}
        return self.data.model_dump(mode="json", include=wanted)

    def load(self, choices: Choices) -> Loaded:
        """Make the low-resolution twin and translate it.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """
        from medrev.data import prepare

        data = self.data.model_copy(update={"workers": 1})
        prepared = prepare([self.subject], data, progress=False)[0]
        predictions = {
            name: _predict(_model(path, choices.device), prepared, choices.ensemble)
            for name, path in self.models.items()
        }
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


def _predict(model: Model, prepared: "Prepared", ensemble: int) -> Prediction:
    """The tensors as they would be written, their uncertainty, and the round trip of the input."""
    options = InferenceOptions(engine="torch", precision="float32", ensemble=ensemble)
    translation = model.translate(prepared.low, options=options)
    volume, low = translation.volume, prepared.low
    return Prediction(
        as_written(model, volume, prepared.mask),
        std=None if translation.std is None else component_std(translation.std),
        cycle=(model.apply(volume, inverse=True), low) if model.inverse_is_trained else None,
    )


@functools.lru_cache(maxsize=8)
def _model(path: Path, device: str) -> Model:
    """A model is loaded once in a worker."""
    return load_model(path, device)
