"""All metrics of one subject: several methods against one reference, as records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluation.images import psnr, ssim
from medrev.evaluation.masked import Array, as_array, as_mask
from medrev.evaluation.records import INTERIOR, MASK, WHOLE, Key, Record
from medrev.evaluation.tensors import (
    direction_error,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
)
from medrev.volumes import interior

__all__ = ["Prediction", "Settings", "evaluate_methods", "evaluate_subject"]


@dataclass(frozen=True)
class Settings:
    """What is measured, and how; the same for all subjects.

    Attributes:
        tensors: Whether the volumes are diffusion tensors; None: if they have six channels.
        edge: Edge of the interior's neighbourhood in voxels, odd.
        value_range: Data range of PSNR and SSIM; None: that of the reference in the mask.
        label_names: Name by value of a label map; values without a name are called ``label N``.
    """

    tensors: bool | None = None
    edge: int = 5
    value_range: float | None = None
    label_names: Mapping[int, str] | None = None


@dataclass(frozen=True)
class Prediction:
    """What one method made of one subject.

    Attributes:
        volume: Volume of shape ``(C, I, J, K)`` on the reference's grid; mm²/s for tensors.
        std: Predicted standard deviation, same shape and unit as the volume.
        cycle: The round trip of the method's input, and that input: two volumes of one shape.
        labels: Label map ``(I, J, K)`` of the prediction, for volumetry.
    """

    volume: Array
    std: Array | None = None
    cycle: tuple[Array, Array] | None = None
    labels: Array | None = None


def evaluate_subject(
    prediction: Array | Prediction,
    reference: Array,
    mask: Array | None,
    *,
    subject: str,
    method: str = "model",
    labels: Array | None = None,
    voxel_size: tuple[float, ...] | None = None,
    settings: Settings | None = None,
) -> list[Record]:
    """All metrics of one prediction; see :func:`evaluate_methods` for several at once.

    Args:
        prediction: The prediction.
        reference: Volume of shape ``(C, I, J, K)``.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: the whole volume.
        subject: Subject name.
        method: Name of the method.
        labels: Label map of the reference, whole numbers, 0 is background: metrics by region.
        voxel_size: Voxel edges in mm, for volumes in mL.
        settings: What is measured, and how.
    """
    return evaluate_methods(
        {method: prediction},
        reference,
        mask,
        subject=subject,
        labels=labels,
        voxel_size=voxel_size,
        settings=settings,
    )


def evaluate_methods(
    predictions: Mapping[str, Array | Prediction],
    reference: Array,
    mask: Array | None,
    *,
    subject: str,
    labels: Array | None = None,
    voxel_size: tuple[float, ...] | None = None,
    settings: Settings | None = None,
) -> list[Record]:
    """All metrics of several methods on one subject; the reference's share is computed once.

    A metric that is undefined (constant reference, no interior, NaN in the prediction) becomes a
    record without value and with the reason.

    Args:
        predictions: Prediction by method.
        reference: Volume of shape ``(C, I, J, K)``; tensors in mm²/s.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: the whole volume.
        subject: Subject name.
        labels: Label map of the reference, whole numbers, 0 is background: metrics by region.
        voxel_size: Voxel edges in mm, for volumes in mL.
        settings: What is measured, and how.

    Returns:
        The records, method after method, in the order of :data:`CATALOGUE` within a region.

    Raises:
        InputError: The mask is empty or of another shape than the reference.
    """
    target = _Target.of(reference, mask, settings or Settings())
    records: list[Record] = []
    for method, given in predictions.items():
        prediction = given if isinstance(given, Prediction) else Prediction(given)
        sheet = _Sheet(subject, method, records)
        if target.tensors:
            _tensors(sheet, prediction.volume, target)
        _images(sheet, prediction.volume, target)
    return records


@dataclass(frozen=True)
class _Target:
    """The reference, and where it is compared."""

    volume: Array
    inside: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    region: str
    settings: Settings

    @classmethod
    def of(cls, volume: Array, mask: Array | None, settings: Settings) -> "_Target":
        spatial = as_array(volume).shape[1:]
        inside = np.ones(spatial, bool) if mask is None else as_mask(mask, spatial)
        inner = as_array(interior(torch.from_numpy(inside), edge=settings.edge)) > 0
        return cls(volume, inside, inner, WHOLE if mask is None else MASK, settings)

    @property
    def tensors(self) -> bool:
        given = self.settings.tensors
        return as_array(self.volume).shape[0] == 6 if given is None else given


@dataclass(frozen=True)
class _Sheet:
    """Where the records of one method are written."""

    subject: str
    method: str
    records: list[Record]

    def write(self, key: Key, unit: str, metric: Callable[[], float]) -> None:
        """Measure and record; an :class:`InputError` becomes the reason of an undefined value."""
        value, reason = None, None
        try:
            value = metric()
        except InputError as error:
            reason = str(error)
        self.records.append(Record(self.subject, self.method, *key, value, unit, reason))


def _tensors(sheet: _Sheet, prediction: Array, target: _Target) -> None:
    unit, region = "1e-5 mm²/s", target.region
    pair = prediction, target.volume

    def rmse_interior() -> float:
        if not target.inner.any():
            cube = "x".join([str(target.settings.edge)] * 3)
            raise InputError(f"no interior: no voxel has its {cube} neighbourhood in the mask")
        return tensor_rmse(*pair, target.inner)

    def scalar(name: str) -> Callable[[], float]:
        scale = 1.0 if name == "FA" else 1e5
        return lambda: scale * scalar_error(*pair, target.inside)[name.lower()]

    sheet.write(Key("rmse", INTERIOR), unit, rmse_interior)
    sheet.write(Key("rmse", region), unit, lambda: tensor_rmse(*pair, target.inside))
    for name in ("FA", "MD", "AD", "RD"):
        sheet.write(Key("mae", region, name), "" if name == "FA" else unit, scalar(name))
    sheet.write(Key("direction_error", region), "°", lambda: direction_error(*pair, target.inside))
    sheet.write(
        Key("not_positive_definite", region),
        "%",
        lambda: 100 * not_positive_definite(prediction, target.inside),
    )


def _images(sheet: _Sheet, prediction: Array, target: _Target) -> None:
    pair, span = (prediction, target.volume), target.settings.value_range
    sheet.write(Key("psnr", target.region), "dB", lambda: psnr(*pair, target.inside, span))
    sheet.write(Key("ssim", target.region), "", lambda: ssim(*pair, target.inside, span))
