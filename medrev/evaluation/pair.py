"""A subject given by files: predictions, reference, and what goes with them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from medrev.domains.intensity import intensity_scale
from medrev.domains.outputs import sidecar_of
from medrev.domains.score import told_doubts
from medrev.domains.source import recognise
from medrev.domains.tensor.reading import convention_of, read_tensors
from medrev.dti import COMPONENTS, from_voxel_frame, to_voxel_frame
from medrev.errors import InputError
from medrev.evaluation.beside import Beside
from medrev.evaluation.case import FROBENIUS, EvaluationConfig, Loaded, component_std
from medrev.evaluation.compared import Prediction
from medrev.evaluation.pictures import read_picture
from medrev.files import read_json
from medrev.metrics import Settings, interpolate_to
from medrev.volumes import PICTURES, Grid, read_volume, rescale_affine

_ADVICE = "resample one of them, or give --resample-reference yes"
_ADVICE_FOR_PICTURES = "images, which do not lie in space, must be of one size"
#: Voxels at a border that one grid may have more than another.
_SPARE = 3


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Predictions of a subject and their reference, as files.

    Attributes:
        id: Name, unique in its cohort.
        reference: What the predictions should be.
        predictions: File by model.
        input: The low-resolution (or other) volume that the models were given, for baselines.
        mask: Where errors count.
        labels: Label map, for errors by region.
        uncertainties: File of standard deviations by model.
        columns: Cells of the participants' table, for comparing groups.
    """

    id: str
    reference: Path
    predictions: Mapping[str, Path]
    input: Path | None = None
    mask: Path | None = None
    labels: Path | None = None
    uncertainties: Mapping[str, Path] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

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

    def describe(self) -> dict[str, Any]:
        """Nothing beside the files."""
        return {}

    def load(self, config: EvaluationConfig) -> Loaded:
        """Read the volumes and bring them to one grid.

        Raises:
            InputError: A file cannot be read, or the volumes are of different kinds.
            GeometryError: A volume lies on another grid than the reference.
        """
        volumes = {name: _read(path) for name, path in self.predictions.items()}
        tensors = any(given.tensors for given in volumes.values())
        target = _Target(self, _read(self.reference, fit=tensors))
        grids = [target.grid, *(given.grid for given in volumes.values())]
        in_space = target.largest is None
        if config.resample_reference and in_space:
            target.move_to(next(iter(volumes.values())).grid)
        elif in_space and (shared := _shared(grids)) is not None:
            target.crop_to(shared, grids)
            volumes = {name: given.cropped(shared) for name, given in volumes.items()}
        reference = target.volume
        predictions = {}
        for name, given in volumes.items():
            path = self.predictions[name]
            target.grid.check(path, given.grid, target.advice)
            if given.values.shape[0] != reference.shape[0]:
                raise InputError(
                    f"{path} has {given.values.shape[0]} volumes, the reference {self.reference} "
                    f"has {reference.shape[0]}: they are of different kinds"
                )
            target.check_range(path, given.largest)
            predictions[name] = self._prediction(name, given, target)
        models = list(predictions)
        mask, source = self._mask(target, config)
        low = None if self.input is None else _read(self.input, fit=target.tensors)
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
                inside = mask if low.grid.same(target.grid) else None
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
            affine=target.grid.affine,
            low=None if low is None else low.values,
            labels=labels,
            label_image=label_image,
            settings=settings,
            largest=target.largest,
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
            says = read_json(sidecar_of(path), lenient=True)
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

    def _prediction(self, name: str, given: "_Read", target: "_Target") -> Prediction:
        """A result with its uncertainty, intervals and samples, where there are such files."""
        beside = Beside.of(self.predictions[name])
        ends = {q: (target.bring(a, order=1), target.bring(b, order=1)) for q, a, b in beside.ends}
        drawn = [_read(path) for path in beside.samples]
        draws = [_regrid(one.values, one.grid, target.grid) for one in drawn]
        says = read_json(sidecar_of(self.predictions[name]), lenient=True)
        if "Consistency" in says:
            target.notes += [f"{name}: {line}" for line in says.get("Guarantees", ())[:1]]
        target.notes += [f"{name}: {line}" for line in told_doubts(says)]
        if beside.ends:
            known = "calibrated" if beside.calibrated else "not calibrated"
            target.notes.append(f"{name}: {beside.level:g} % intervals, {known}")
        return Prediction(
            given.values,
            std=self._std(name, target),
            spread={q: target.bring(path, order=1) for q, path in beside.stds},
            intervals=ends,
            level=beside.level if beside.ends else None,
            draws=torch.stack(draws) if len(draws) > 1 else None,
        )

    def _std(self, name: str, target: "_Target") -> torch.Tensor | None:
        path = self.uncertainties.get(name)
        if path is None:
            return None
        std = target.bring(path, order=1, single=False)
        if target.tensors and std.shape[0] == 1:
            target.notes.append(FROBENIUS)
            return component_std(std)
        return std

    def _mask(self, target: "_Target", config: EvaluationConfig) -> tuple[torch.Tensor | None, str]:
        if self.mask is not None:
            mask = target.bring(self.mask, order=0) > 0
            if not bool(mask.any()):
                raise InputError(f"{self.mask}: the mask is empty: every voxel is 0")
            return mask, self.mask.name
        inside = (target.volume != 0).any(dim=0, keepdim=True)
        if config.mask == "whole" or target.largest is not None or bool(inside.all()):
            return None, "whole volume"
        if not bool(inside.any()):
            raise InputError(f"{self.reference}: every voxel is 0")
        return inside, "non-zero voxels of the reference"


@dataclass(frozen=True, eq=False)
class _Read:
    """A volume (tensors in the voxel frame, in FSL's order) and where it lies."""

    values: torch.Tensor
    grid: Grid
    largest: float | None = None

    @property
    def tensors(self) -> bool:
        return self.values.shape[0] == len(COMPONENTS)

    def cropped(self, grid: Grid) -> "_Read":
        """The voxels of a smaller grid on the same lattice."""
        return replace(self, values=_regrid(self.values, self.grid, grid), grid=grid)


class _Target:
    """The reference, and the grid on which everything is compared."""

    def __init__(self, pair: Pair, read: _Read) -> None:
        self.volume = read.values
        self.grid = Grid(read.grid.shape, read.grid.affine, f"the reference {pair.reference}")
        self.tensors = read.tensors
        self.largest = read.largest
        self.notes: list[str] = []
        self.before: list[Grid] = []  # where it lay before it was moved
        self.wholes: list[Grid] = []  # the grids, if it is the part that they share

    def check_range(self, path: Path, largest: float | None) -> None:
        """Refuse a picture whose numbers have another range than the reference's."""
        if largest != self.largest:
            bits: dict[float | None, str] = {None: "no picture", 255: "8 bits", 65535: "16 bits"}
            said, wanted = (bits.get(n, f"values to {n:g}") for n in (largest, self.largest))
            raise InputError(
                f"{path} has {said}, the reference {wanted}: their grey levels cannot be compared; "
                "bring them to one type"
            )

    @property
    def settings(self) -> Settings:
        """How the volumes are measured: images in grey levels, with the range of their type."""
        unit = "" if self.largest is None else "grey levels"
        return Settings(tensors=self.tensors, value_range=self.largest, unit=unit)

    @property
    def advice(self) -> str:
        """What to do about a volume on another grid."""
        return _ADVICE if self.largest is None else _ADVICE_FOR_PICTURES

    def move_to(self, grid: Grid) -> None:
        """Resample the reference, if it lies elsewhere."""
        if grid.same(self.grid):
            return
        self.volume = _regrid(self.volume, self.grid, grid, tensors=self.tensors)
        self.before.append(self.grid)
        self.notes.append(
            f"reference resampled from {self.grid} voxels onto the grid of the prediction, {grid} "
            "(trilinear)"
        )
        self.grid = Grid(grid.shape, grid.affine, "the prediction")

    def crop_to(self, shared: Grid, grids: list[Grid]) -> None:
        """Leave out the voxels at the border that not all grids have."""
        self.volume = _regrid(self.volume, self.grid, shared)
        self.wholes += grids
        sizes = " and ".join(dict.fromkeys(str(grid) for grid in grids))
        self.notes.append(f"cropped to the {shared} voxels that grids of {sizes} share")
        self.grid = shared

    def bring(
        self, path: Path, *, order: Literal[0, 1], single: bool = True, indexed: bool = True
    ) -> torch.Tensor:
        """A mask, label map or standard deviation on the grid; it moves with the reference."""
        values, grid = _plain(path, indexed)
        if single and indexed and values.shape[0] != 1:
            raise InputError(f"{path}: a 3D volume is needed, got {values.shape[0]} volumes")
        if any(grid.same(before) for before in (*self.before, *self.wholes)):
            return _regrid(values, grid, self.grid, order=order)
        self.grid.check(path, grid, self.advice)
        return values


def _read(path: Path, *, fit: bool = False) -> _Read:
    """Read a volume; NaN and infinity are let through: the metrics say where they matter.

    Args:
        path: The file.
        fit: Whether tensors are compared: raw DWI is fitted then.
    """
    if path.suffix.lower() in PICTURES:
        values, largest = read_picture(path)
        return _Read(values, Grid(tuple(values.shape[1:]), np.eye(4)), largest)
    source = recognise(path) if fit else None
    if source is not None and source.kind == "dwi":
        scan = read_tensors(source)
        return _Read(scan.values, Grid(tuple(scan.values.shape[1:]), scan.placed))
    volume = read_volume(path, allow_nan=True)
    values, affine = volume.values, volume.affine
    if values.shape[0] == len(COMPONENTS):
        values = convention_of(recognise(path), None, None).in_voxel_frame(values, affine)
    return _Read(values, Grid(tuple(values.shape[1:]), affine))


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


def _plain(path: Path, indexed: bool = True) -> tuple[torch.Tensor, Grid]:
    """A mask, label map, label image or standard deviation, and where it lies."""
    if path.suffix.lower() in PICTURES:
        values, _ = read_picture(path, indexed=indexed)
        return values, Grid(tuple(values.shape[1:]), np.eye(4))
    volume = read_volume(path)
    return volume.values, Grid(tuple(volume.shape[1:]), volume.affine)


def _baselines(low: _Read, target: _Target, config: EvaluationConfig) -> dict[str, Prediction]:
    """The interpolated input, or the input itself where it is on the reference's grid."""
    if low.values.shape[0] != target.volume.shape[0]:
        target.notes.append(
            f"no baselines: the input has {low.values.shape[0]} volumes, the reference "
            f"{target.volume.shape[0]}"
        )
        return {}
    for grid in (target.grid, *target.wholes):
        if low.grid.same(grid):
            return {"input": Prediction(_regrid(low.values, grid, target.grid))}
        if _is_coarser(low.grid, grid):
            found = {n: interpolate_to(low.values, grid.shape, n) for n in config.baselines}
            return {n: Prediction(_regrid(v, grid, target.grid)) for n, v in found.items()}
    target.notes.append(
        f"no baselines: the input's grid ({low.grid} voxels) has not the same field of view as the "
        f"reference's ({target.grid}), or is finer"
    )
    return {}


def _is_coarser(low: Grid, grid: Grid) -> bool:
    """Whether a grid has the field of view of another, in as many voxels or fewer."""
    if any(coarse > fine for fine, coarse in zip(grid.shape, low.shape, strict=True)):
        return False
    i, j, k = np.divide(low.shape, grid.shape)
    return Grid(grid.shape, rescale_affine(low.affine, (i, j, k))).same(grid)


def _shared(grids: list[Grid]) -> Grid | None:
    """What grids have in common that are the same but for a few voxels at their borders.

    Fields of view of a whole number of coarse voxels end so. None where all are the same, or their
    voxels do not lie on one another.
    """
    first = grids[0]
    starts, ends = [np.zeros(3, int)], [np.array(first.shape)]
    for grid in grids[1:]:
        between = np.linalg.inv(first.affine) @ grid.affine
        start = np.rint(between[:3, 3]).astype(int)
        moved = first.affine.copy()
        moved[:3, 3] = (first.affine @ [*start, 1])[:3]
        if not Grid(grid.shape, moved).same(grid):
            return None
        starts.append(start)
        ends.append(start + grid.shape)
    low, high = np.max(starts, axis=0), np.min(ends, axis=0)
    spare = np.maximum(low - np.min(starts, axis=0), np.max(ends, axis=0) - high)
    if not spare.any() or spare.max() > _SPARE or (high <= low).any():
        return None
    affine = first.affine.copy()
    affine[:3, 3] = (first.affine @ [*low, 1])[:3]
    shape = tuple(int(n) for n in high - low)
    return Grid(shape, affine, "the voxels that all have")


def _in_own_scale(
    volume: torch.Tensor, mask: torch.Tensor | None, percentile: float
) -> torch.Tensor:
    """Intensities in units of a percentile of those in the mask, cut off above as in training."""
    return (volume / _own_scale(volume, mask, percentile)).clamp(0, 1)


def _own_scale(volume: torch.Tensor, mask: torch.Tensor | None, percentile: float) -> float:
    inside = volume != 0 if mask is None else mask
    return intensity_scale(volume, inside, percentile)


def _rescaled(
    given: Prediction, scale: float | None, mask: torch.Tensor | None, percentile: float
) -> Prediction:
    """A result in units of the scale that it was given; any other in those of its own, cut off."""
    volume = torch.as_tensor(given.volume)
    own = _own_scale(volume, mask, percentile) if scale is None else scale
    std = None if given.std is None else torch.as_tensor(given.std) / own
    scaled = volume / own
    return replace(given, volume=scaled.clamp(0, 1) if scale is None else scaled, std=std)


def _regrid(
    volume: torch.Tensor,
    source: Grid,
    target: Grid,
    *,
    order: Literal[0, 1] = 1,
    tensors: bool = False,
) -> torch.Tensor:
    """Resample a volume onto another grid, through world coordinates; zero outside its own.

    Voxels that the two grids share, to 0.01 mm, are taken as they are.

    Args:
        volume: ``(C, *source.shape)``; tensors in the source's voxel frame.
        source: Where it lies.
        target: Where it is wanted.
        order: 0 nearest neighbour, 1 trilinear.
        tensors: Turn diffusion tensors from one voxel frame into the other.

    Returns:
        ``(C, *target.shape)``, float32.
    """
    from scipy import ndimage

    if tensors:
        volume = from_voxel_frame(volume, source.affine, "ras")
    matrix = np.round(np.linalg.inv(source.affine) @ target.affine, 6)
    whole = np.rint(matrix)
    if Grid(target.shape, source.affine @ whole).same(target):
        matrix, order = whole, 0
    moved = [
        ndimage.affine_transform(
            channel, matrix[:3, :3], matrix[:3, 3], output_shape=target.shape, order=order
        )
        for channel in volume.numpy().astype(np.float32)
    ]
    result = torch.from_numpy(np.stack(moved))
    return to_voxel_frame(result, target.affine, "ras") if tensors else result
