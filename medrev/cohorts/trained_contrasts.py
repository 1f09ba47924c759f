"""Held-out heads of models that translate one contrast into another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medrev.cohorts.case import Choices, Loaded
from medrev.cohorts.grids import Grid
from medrev.cohorts.trained import Trained, translate_sides
from medrev.errors import InputError
from medrev.evaluation import Prediction
from medrev.prediction import Model, round_trip_volume, translate_volume
from medrev.volumes import SLICE_AXES, Reorient, read_volume, voxel_size

if TYPE_CHECKING:
    from medrev.config.schema import ContrastData
    from medrev.data import Subject
    from medrev.domains.intensity import Head

__all__ = ["TrainedContrasts"]


@dataclass(frozen=True, kw_only=True)
class TrainedContrasts(Trained):
    """A head of which one contrast is translated into the other.

    Volumes are measured in units of their own scale: 0 is the background, 1 the intensity that is
    1 in the network. Models are given the whole volume, without a mask: what they make of the
    background counts where slices are scored as whole images.

    Attributes:
        subject: Its files.
        data: How intensities are scaled; the same for all models.
    """

    subject: "Subject"
    data: "ContrastData"

    @property
    def id(self) -> str:
        """Name, unique in its cohort."""
        return self.subject.id

    @property
    def sources(self) -> Mapping[str, Path]:
        """Its files by role."""
        return self.subject.files

    def describe(self) -> dict[str, Any]:
        """Which contrasts, and how they are scaled."""
        wanted = {"source", "target", "intensities"}
        return {**self.data.model_dump(mode="json", include=wanted), "axis": self._axis}

    def load(self, choices: Choices) -> Loaded:
        """Read the head and translate one contrast.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """
        from medrev.domains.intensity import prepare_head

        head = prepare_head(self.subject, self.data)
        x, y, mask = head.whole()
        inside = mask > 0
        models = self.load_models(choices.device)
        found = translate_sides(models, (x, y), choices, _apply)
        predictions = {name: one.prediction(_written, _scaled) for name, one in found.items()}
        source, target = (y, x) if choices.direction == "inverse" else (x, y)
        if choices.baselines:
            predictions["input"] = Prediction(_scaled(source))
        affine = head.affine.numpy()
        return Loaded(
            reference=_scaled(target),
            predictions=predictions,
            models=list(self.models),
            mask=inside,
            affine=affine,
            low=_scaled(source),
            labels=self._labels(head),
            value_range=1.0,
            slice_axis=self._axis,
            facts={
                "shape": [1, *head.shape],
                "voxel_size": [round(edge, 4) for edge in voxel_size(affine)],
                "mask": "both contrasts" if head.mask_source == "nonzero" else head.mask_source,
                "mask_voxels": int(inside.sum()),
                "scales": list(head.scales),
                "percentile": self.data.intensities.percentile,
                "prepared": head.key,
            },
            notes=head.notes,
        )

    @property
    def _axis(self) -> int:
        """Axis across the slices on which 2D networks work; of 3D networks axial slices."""
        return SLICE_AXES[self.data.slices.axis if self.data.samples == "slices" else "axial"]

    def _labels(self, head: "Head") -> torch.Tensor | None:
        """The label map of a tumour with the axes of the head; None without one."""
        path = self.subject.files.get("labels")
        if path is None:
            return None
        volume = read_volume(path)
        if volume.values.shape[0] != 1:
            raise InputError(f"{path}: a 3D volume is needed, got {volume.values.shape[0]} volumes")
        reorient, shape = Reorient(volume.affine), tuple(volume.shape[1:])
        labels = reorient.forward(volume.values)
        grid = Grid(head.shape, head.affine.numpy(), f"the contrasts of {head.id}")
        own = Grid(tuple(labels.shape[1:]), reorient.affine_for(shape))
        grid.check(path, own, "resample the label map onto them")
        return labels[0] if bool(labels.any()) else None


def _apply(
    model: Model, volume: torch.Tensor, directions: tuple[bool, ...]
) -> tuple[torch.Tensor, ...]:
    if len(directions) == 1:
        return (translate_volume(model, volume, inverse=directions[0]),)
    return round_trip_volume(model, volume, inverse=directions[0])


def _scaled(values: torch.Tensor) -> torch.Tensor:
    """From network range to units of the scale."""
    return (values + 1) / 2


def _written(values: torch.Tensor) -> torch.Tensor:
    """The same of an output as its file holds it: no intensity is negative."""
    return _scaled(values).clamp(min=0)
