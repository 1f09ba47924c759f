"""A subject given by files: predictions, reference, and what goes with them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from medrev.domains.intensity import intensity_scale
from medrev.domains.outputs import sidecar_of
from medrev.domains.score import told_doubts
from medrev.domains.source import recognise, sidecar_beside
from medrev.errors import InputError, counted
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.case import FROBENIUS, Case, Loaded, component_std
from medrev.evaluation.compared import Prediction
from medrev.evaluation.folders import Beside
from medrev.evaluation.placed import Placed, shared_grid
from medrev.metrics import Settings, interpolate_to
from medrev.volumes import PICTURES, Grid

_ADVICE = "resample one of them, or give --resample-reference yes"
_ADVICE_FOR_PICTURES = "images, which do not lie in space, must be of one size"


@dataclass(frozen=True, kw_only=True)
class Pair(Case):
    """Predictions of a subject and their reference, as files.

    Attributes:
        reference: What the predictions should be.
        predictions: File by model.
        input: The low-resolution (or other) volume that the models were given, for baselines.
        mask: Where errors count.
        labels: Label map, for errors by region.
        uncertainties: File of standard deviations by model.
    """

    reference: Path
    predictions: Mapping[str, Path]
    input: Path | None = None
    mask: Path | None = None
    labels: Path | None = None
    uncertainties: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, files: Mapping[str, Path], columns: Mapping[str, str]) -> "Pair":
        """A subject of its files by role.

        Roles are reference, ``prediction MODEL``, input, mask, labels, ``uncertainty MODEL``.
        """
        by_model: dict[str, dict[str, Path]] = {"prediction": {}, "uncertainty": {}}
        for role, path in files.items():
            what, _, model = role.partition(" ")
            if model:
                by_model[what][model] = path
        return cls(
            id=name,
            reference=files["reference"],
            predictions=by_model["prediction"],
            uncertainties=by_model["uncertainty"],
            columns=columns,
            **{role: files.get(role) for role in ("input", "mask", "labels")},
        )

    @property
    def files(self) -> dict[str, Path]:
        """All files by role."""
        volumes: dict[str, Path | None] = {
            "reference": self.reference,
            **{f"prediction {name}": path for name, path in self.predictions.items()},
            "input": self.input,
        }
        given = {
            **volumes,
            **{f"sidecar of {role}": _sidecar(path) for role, path in volumes.items()},
            **_beside_dwi("reference", self.reference),
            **_beside_dwi("input", self.input),
            "mask": self.mask,
            "labels": self.labels,
            **{f"uncertainty {name}": path for name, path in self.uncertainties.items()},
            **{
                f"{role} {name}": path
                for name, prediction in self.predictions.items()
                for role, path in Beside.of(prediction).files.items()
            },
        }
        return {role: path for role, path in given.items() if path is not None}

    def _refuse_itself(self) -> None:
        """A result that is its own reference has no errors, which would say nothing."""
        for name, path in self.predictions.items():
            if path.exists() and self.reference.exists() and path.samefile(self.reference):
                raise InputError(f"{path}: is the reference, and given as the result of {name}")

    def load(self, config: EvaluationConfig) -> Loaded:
        """Read the volumes and bring them to one grid.

        Raises:
            InputError: A file cannot be read, or the volumes are of different kinds.
            GeometryError: A volume lies on another grid than the reference.
        """
        self._refuse_itself()
        volumes = {name: Placed.read(path) for name, path in self.predictions.items()}
        tensors = any(given.tensors for given in volumes.values())
        target = _Target(self, Placed.read(self.reference, fit=tensors))
        grids = [target.now.grid, *(given.grid for given in volumes.values())]
        in_space = target.now.largest is None
        if config.resample_reference:
            if not in_space:
                raise InputError("--resample-reference is of volumes, got images: leave it out")
            target.move_to(next(iter(volumes.values())).grid)
        elif in_space and (shared := shared_grid(grids)) is not None:
            target.crop_to(shared, grids)
            volumes = {name: given.on(shared) for name, given in volumes.items()}
        reference = target.now.values
        predictions = {}
        for name, given in volumes.items():
            path = self.predictions[name]
            target.check(path, given.grid)
            if given.values.shape[0] != reference.shape[0]:
                raise InputError(
                    f"{path} has {counted(len(given.values), 'volume')}, the reference "
                    f"{self.reference} has {reference.shape[0]}: they are of different kinds"
                )
            target.check_range(path, given.largest)
            predictions[name] = self._prediction(name, given, target)
        models = list(predictions)
        mask, source = self._mask(target, config)
        low = None if self.input is None else Placed.read(self.input, fit=target.now.tensors)
        if low is not None and config.baselines:
            predictions |= _baselines(low, target, config)
        facts: dict[str, Any] = {"mask": source}
        scaling = self._scaling(target)
        settings = target.settings
        if scaling is not None:
            percentile, scales = scaling
            facts["percentile"] = percentile
            settings = replace(settings, value_range=1.0)
            reference = _in_own_scale(reference, mask, percentile)
            for name, prediction in predictions.items():
                predictions[name] = _rescaled(prediction, scales.get(name), mask, percentile)
            if low is not None and low.values.shape[0] == 1:
                inside = mask if low.grid.same(target.now.grid) else None
                low = replace(low, values=_in_own_scale(low.values, inside, percentile))
        labels = label_image = None
        if self.labels is not None and config.segmenter is not None:
            label_image = target.bring(self.labels, order=0, indexed=False)
        elif self.labels is not None:
            labels = target.bring(self.labels, order=0)[0]
        return Loaded(
            reference=reference,
            predictions=predictions,
            models=models,
            mask=mask,
            affine=target.now.grid.affine,
            low=None if low is None else low.values,
            labels=labels,
            label_image=label_image,
            settings=settings,
            largest=target.now.largest,
            facts=facts,
            notes=tuple(target.notes),
        )

    def _scaling(self, target: "_Target") -> tuple[float, dict[str, float]] | None:
        """A percentile, and by model the intensity that it became in the results.

        Intensities of MR contrasts have no unit: where a model of medrev made them of another
        contrast, as its sidecar says, all are compared in units of each volume's own scale, as run
        folders are; models without such a sidecar by their own percentile, like baselines. None
        where no model is such, or their percentiles differ.
        """
        scales: dict[str, float] = {}
        percentiles = set()
        for name, path in self.predictions.items():
            says = sidecar_beside(path)
            scale, percentile = says.get("OutputScale"), says.get("Percentile")
            if says.get("Contrast") == says.get("InputContrast"):
                continue
            if not isinstance(scale, int | float) or not isinstance(percentile, int | float):
                continue
            scales[name] = float(scale)
            percentiles.add(float(percentile))
        if not scales:
            return None
        if len(percentiles) > 1:
            several = " and ".join(f"{percentile:g}" for percentile in sorted(percentiles))
            target.notes.append(
                f"intensities are compared as they are stored: the models' scales are different "
                f"percentiles, {several}"
            )
            return None
        (percentile,) = percentiles
        others = [name for name in self.predictions if name not in scales]
        target.notes.append(
            f"intensities are compared in units of each volume's own scale, percentile "
            f"{percentile:g} in the mask"
            + (f"; that of {', '.join(others)} is of the volume itself" if others else "")
        )
        return percentile, scales

    def _prediction(self, name: str, given: Placed, target: "_Target") -> Prediction:
        """A result with its uncertainty, intervals and samples, where there are such files."""
        beside = Beside.of(self.predictions[name])
        ends = {
            q: (target.bring(lower, order=1), target.bring(upper, order=1))
            for q, (lower, upper) in beside.ends.items()
        }
        draws = [Placed.read(path).on(target.now.grid).values for path in beside.samples]
        says = sidecar_beside(self.predictions[name])
        if "Consistency" in says:
            target.notes += [f"{name}: {line}" for line in says.get("Guarantees", ())[:1]]
        target.notes += [f"{name}: {line}" for line in told_doubts(says)]
        if beside.ends:
            known = "calibrated" if beside.calibrated else "not calibrated"
            target.notes.append(f"{name}: {beside.level:g} % intervals, {known}")
        return Prediction(
            given.values,
            std=self._std(name, target),
            spread={q: target.bring(path, order=1) for q, path in beside.stds.items()},
            intervals=ends,
            level=beside.level if beside.ends else None,
            draws=torch.stack(draws) if len(draws) > 1 else None,
        )

    def _std(self, name: str, target: "_Target") -> torch.Tensor | None:
        path = self.uncertainties.get(name)
        if path is None:
            return None
        std = target.bring(path, order=1, single=False)
        if target.now.tensors and std.shape[0] == 1:
            target.notes.append(FROBENIUS)
            return component_std(std)
        return std

    def _mask(self, target: "_Target", config: EvaluationConfig) -> tuple[torch.Tensor | None, str]:
        if self.mask is not None:
            mask = target.bring(self.mask, order=0) > 0
            if not bool(mask.any()):
                raise InputError(f"{self.mask}: the mask is empty: every voxel is 0")
            return mask, self.mask.name
        inside = (target.now.values != 0).any(dim=0, keepdim=True)
        if config.mask == "whole" or target.now.largest is not None or bool(inside.all()):
            return None, "whole volume"
        if not bool(inside.any()):
            raise InputError(f"{self.reference}: every voxel is 0")
        return inside, "non-zero voxels of the reference"


class _Target:
    """The reference, and the grid on which everything is compared."""

    def __init__(self, pair: Pair, read: Placed) -> None:
        self.now = read.named(f"the reference {pair.reference}")
        self.notes: list[str] = []
        self.before: list[Grid] = []  # where it lay before it was moved
        self.wholes: list[Grid] = []  # the grids, if it is the part that they share

    def check_range(self, path: Path, largest: float | None) -> None:
        """Refuse a picture whose numbers have another range than the reference's."""
        if largest != self.now.largest:
            bits: dict[float | None, str] = {None: "no picture", 255: "8 bits", 65535: "16 bits"}
            said, wanted = (bits.get(n, f"values to {n:g}") for n in (largest, self.now.largest))
            raise InputError(
                f"{path} has {said}, the reference {wanted}: their grey levels cannot be compared; "
                "bring them to one type"
            )

    @property
    def settings(self) -> Settings:
        """How the volumes are measured: images in grey levels, with the range of their type."""
        largest = self.now.largest
        unit = "" if largest is None else "grey levels"
        return Settings(tensors=self.now.tensors, value_range=largest, unit=unit)

    def check(self, path: Path, grid: Grid) -> None:
        """Refuse a volume on another grid.

        Raises:
            GeometryError: Saying in what the grids differ, and what to do.
        """
        self.now.grid.check(path, grid, _ADVICE_FOR_PICTURES if self.now.largest else _ADVICE)

    def move_to(self, grid: Grid) -> None:
        """Resample the reference, if it lies elsewhere."""
        before = self.now.grid
        if not grid.same(before):
            self.before.append(before)
            self.notes.append(
                f"reference resampled from {before} voxels onto the grid of the prediction, {grid} "
                "(trilinear)"
            )
            self.now = self.now.on(grid, turn=self.now.tensors).named("the prediction")

    def crop_to(self, shared: Grid, grids: list[Grid]) -> None:
        """Leave out the voxels at the border that not all grids have."""
        self.wholes += grids
        sizes = " and ".join(dict.fromkeys(str(grid) for grid in grids))
        self.notes.append(f"cropped to the {shared} voxels that grids of {sizes} share")
        self.now = self.now.on(shared)

    def bring(
        self, path: Path, *, order: Literal[0, 1], single: bool = True, indexed: bool = True
    ) -> torch.Tensor:
        """A mask, label map or standard deviation on the grid; it moves with the reference."""
        given = Placed.of_numbers(path, indexed=indexed)
        if single and indexed and len(given.values) != 1:
            raise InputError(f"{path}: a 3D volume is needed, got {len(given.values)} volumes")
        if any(given.grid.same(before) for before in (*self.before, *self.wholes)):
            return given.on(self.now.grid, order=order).values
        self.check(path, given.grid)
        return given.values


def _sidecar(path: Path | None) -> Path | None:
    """The JSON file beside a volume, which says scales and conventions; None if there is none."""
    if path is None or path.suffix.lower() in PICTURES:
        return None
    beside = sidecar_of(path)
    return beside if beside.is_file() else None


def _beside_dwi(role: str, path: Path | None) -> dict[str, Path | None]:
    """The gradient files and the mask beside raw DWI, on which a fit depends."""
    if path is None or path.suffix.lower() in PICTURES or not path.is_file():
        return {}
    with suppress(InputError):
        source = recognise(path)
        beside = {"bval": source.bval, "bvec": source.bvec, "mask": source.mask}
        return {f"{role} {name}": file for name, file in beside.items()}
    return {}


def _baselines(low: Placed, target: _Target, config: EvaluationConfig) -> dict[str, Prediction]:
    """The interpolated input, or the input itself where it is on the reference's grid."""
    now = target.now
    if len(low.values) != len(now.values):
        target.notes.append(
            f"no baselines: the input has {counted(len(low.values), 'volume')}, the reference "
            f"{len(now.values)}"
        )
        return {}
    for grid in (now.grid, *target.wholes):
        if low.grid.same(grid):
            return {"input": Prediction(low.on(now.grid).values)}
        if low.is_coarser(grid):
            found = {n: interpolate_to(low.values, grid.shape, n) for n in config.baselines}
            return {n: Prediction(Placed(v, grid).on(now.grid).values) for n, v in found.items()}
    target.notes.append(
        f"no baselines: the input's grid ({low.grid} voxels) has not the same field of view as the "
        f"reference's ({now.grid}), or is finer"
    )
    return {}


def _own_scale(volume: torch.Tensor, mask: torch.Tensor | None, percentile: float) -> float:
    """The percentile of the intensities in the mask."""
    return intensity_scale(volume, volume != 0 if mask is None else mask, percentile)


def _in_own_scale(
    volume: torch.Tensor, mask: torch.Tensor | None, percentile: float
) -> torch.Tensor:
    """In units of that, cut off above as in training."""
    return (volume / _own_scale(volume, mask, percentile)).clamp(0, 1)


def _rescaled(
    given: Prediction, scale: float | None, mask: torch.Tensor | None, percentile: float
) -> Prediction:
    """A result in units of the scale that it was given; any other in those of its own, cut off."""
    volume = torch.as_tensor(given.volume)
    own = _own_scale(volume, mask, percentile) if scale is None else scale
    std = None if given.std is None else torch.as_tensor(given.std) / own
    scaled = volume / own
    return replace(given, volume=scaled.clamp(0, 1) if scale is None else scaled, std=std)
