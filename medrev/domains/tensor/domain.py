"""Diffusion tensors as one side of a translation: raw DWI or tensors in, tensors and maps out."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.data.bids import is_subject
from medrev.data.layouts import is_there
from medrev.domains.domain import Domain, Side, Symmetry
from medrev.domains.guarantee import Consistency
from medrev.domains.outputs import CERTIFICATE, PICTURE, SCORES, Map, Output
from medrev.domains.results import ResultFiles
from medrev.domains.score import Tissue
from medrev.domains.source import Entry, Source
from medrev.domains.tensor.consistency import consistent_tensors
from medrev.domains.tensor.find import HCP_SERIES, LAYOUTS, problems, read_of, scanned
from medrev.domains.tensor.ranges import describe_values, tissue_of, unlike_training
from medrev.domains.tensor.reading import read_tensors
from medrev.domains.tensor.results import (
    ALWAYS,
    INTERVALS,
    UNCERTAIN,
    about_map,
    base_name,
    compare_tensors,
)
from medrev.domains.values import Prediction, Scan
from medrev.dti import (
    COMPONENTS,
    apply_symmetry,
    ensemble_symmetries,
    frobenius,
    invariant_maps,
    principal_direction,
    repair,
    rotate,
    sine_squared,
    tensor_maps,
)
from medrev.errors import InputError
from medrev.metrics import Array, Settings
from medrev.volumes import direction_cosines, voxel_size

logger = logging.getLogger(__name__)

_HCP_DATA = [
    Path(folder) / name for folder in ("", "T1w/Diffusion", "Diffusion") for name in HCP_SERIES
]


class TensorDomain(Domain):
    """Diffusion tensors, fitted or ready: x on the coarse grid, y on the fine one."""

    accepts = "tensor"
    unit = "mm^2/s"
    header: ClassVar = {
        "component_order": list(COMPONENTS),
        "frame": "voxel",
        "units": "mm^2/s",
    }
    datatype = "dwi"
    title = "Super-resolved diffusion tensors"
    always = ALWAYS
    intervals = INTERVALS
    uncertain = UNCERTAIN
    scores = SCORES
    regrids = True
    fixed_scale = True

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        super().__init__(pipeline, side)
        self.data = pipeline.dti

    @property
    def name(self) -> str:
        """The resolution: low or high."""
        return "low resolution" if self.side == "x" else "high resolution"

    def single(self, path: Path) -> Path | None:
        """Files, DICOM series, and HCP's diffusion series in the folder of a subject."""
        hcp = (path / place for place in _HCP_DATA if path.is_dir() and is_there(path / place))
        return next(hcp, None) or super().single(path)

    def is_member(self, path: Path) -> bool:
        """The folder of a subject in a BIDS dataset."""
        return is_subject(path, self.datatype)

    def members(self, root: Path) -> tuple[list[Entry], list[str]]:
        """Subjects of a BIDS or HCP folder, of DWI or ready tensors in one folder, or a table."""
        listing = LAYOUTS.list(root)
        entries = [Entry.of(s, scanned(s), problems(read_of(s))) for s in listing.subjects]
        return entries, listing.problems

    def read(self, source: Source, **how: Any) -> Scan:
        """Read tensors, and fit raw DWI."""
        return read_tensors(source, self.data, **how)

    def domain_warnings(
        self, scan: Scan, header: Mapping[str, Any], scale: float
    ) -> tuple[list[str], list[str]]:
        """Diffusivities and the size of the brain beside those of the training."""
        ranges = header.get("ranges")
        if not isinstance(ranges, dict):
            return [], ["the model does not say what it was trained on: values are not compared"]
        if scan.mask is None or scan.affine is None or not bool((scan.mask > 0).any()):
            return [], []
        return unlike_training(describe_values(scan.values, scan.mask, scan.affine), ranges), []

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """The diffusivity (mm²/s) that was 1 in training."""
        return model_scale

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """Divide by the scale."""
        return values / scale

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """Multiply by the scale."""
        return values * scale

    def as_written(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        """Zero outside the mask, and positive definite if ``inference.positive_definite``."""
        inside, repaired = super().as_written(values, mask)[0], 0
        if self.pipeline.inference.positive_definite:
            inside, repaired = repair(inside)
        return inside, {"RepairedTensors": repaired}

    def check(self, options: Sequence[str]) -> None:
        """Consistency is that of linear fits."""
        super().check(options)
        if "--consistency exact" in options and self.data.fit.method == "NLLS":
            raise InputError(
                "--consistency exact needs a linear fit (data.fit.method WLS or OLS); "
                f"{self.pipeline.name} fits raw DWI by NLLS"
            )

    def consistent(
        self, values: Tensor, scan: Scan, factors: tuple[int, ...], s0: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Consistency]:
        """Of ready tensors on the tensors, of raw DWI on the signals."""
        return consistent_tensors(
            values,
            scan.values,
            scan.inside > 0,
            factors,
            signal=scan.signal,
            s0=s0,
            positive=self.pipeline.inference.positive_definite,
        )

    own_scale = False

    def scored(self, scale: float) -> Settings:
        """As tensors, in mm²/s."""
        return Settings(tensors=True)

    def measured_result(self, values: Tensor, scale: float, mask: Tensor | None) -> Tensor:
        """Repaired, as files hold it."""
        return self.as_written(self.decode(values, scale), mask)[0]

    def symmetries(self, count: int) -> tuple[Symmetry, ...]:
        """Flips, rotations or all symmetries of the grid."""
        return ensemble_symmetries(count)

    def turn(self, values: Tensor, symmetry: Symmetry) -> Tensor:
        """Turn the grid and the tensors in it."""
        return apply_symmetry(values, symmetry)

    def squared(self, values: Tensor) -> Tensor:
        """Square of the Frobenius norm."""
        return frobenius(values)

    def quantities(self, values: Tensor) -> dict[str, Tensor]:
        """The components, and FA, MD, AD and RD."""
        return {"diffusivity": values, **invariant_maps(values)}

    def scatter(self, estimate: Tensor) -> Callable[[Tensor], Tensor] | None:
        """That of the eigenvectors of the largest eigenvalue."""
        direction = principal_direction(estimate)
        return lambda values: sine_squared(values, direction)

    def mistaken(self, values: Tensor) -> dict[str, Tensor]:
        """b-vectors with a component turned round, or two exchanged."""
        one = np.eye(3)
        turns = {
            f"{a} turned round": one - 2 * np.outer(row, row)
            for a, row in zip("xyz", one, strict=True)
        }
        for a, b in ((0, 1), (0, 2), (1, 2)):
            order = [b if n == a else a if n == b else n for n in range(3)]
            turns[f"{'xyz'[a]} and {'xyz'[b]} exchanged"] = one[order]
        return {f"b-vectors with {name}": rotate(values, turn) for name, turn in turns.items()}

    def tissue(self, values: Tensor, mask: Tensor | None, affine: Array | None) -> Tissue | None:
        """Mean diffusivity and anisotropy, of a scan that has a mask and a geometry."""
        if mask is None or affine is None:
            return None
        return tissue_of(values, mask, voxel_size(affine))

    def base(self, path: Path) -> str:
        """The name without suffix and what was said of an earlier result."""
        return base_name(path)

    def file_name(self, base: str, name: str, ending: str) -> str:
        """A name of BIDS derivatives: grid (of y the fine one, ``res-hi``) and parameter."""
        stem = f"{base}_res-{'lo' if self.side == 'x' else 'hi'}_model-tensor"
        if name == CERTIFICATE:
            return f"{stem}_desc-sr{ending}"
        entities = "desc-sr" if name == PICTURE else about_map(name).entities
        return f"{stem}_{entities}_dwimap{ending}"

    def results(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles
    ) -> dict[str, Output]:
        """Tensors and their maps; cycle residual and score on the grid of the input."""
        values, affine = prediction.values, prediction.placed
        if self.pipeline.inference.positive_definite:
            repaired, count = prediction.facts["RepairedTensors"], int(prediction.inside.sum())
            if "Translations" in prediction.facts:  # made on another grid than the result's
                logger.info("%d tensors repaired before the last resampling", repaired)
            else:
                logger.info("%d of %d tensors repaired", repaired, count)
        maps = {"diffusivity": values, **tensor_maps(values, direction_cosines(affine))}
        maps |= _uncertain(prediction, maps)
        placed = {name: (volume, affine) for name, volume in maps.items()}
        level = 0.0 if prediction.interval is None else prediction.interval.level
        outputs: dict[str, Output] = {}
        for name, (volume, grid) in (placed | prediction.beside(scan)).items():
            about = about_map(name)
            outputs[name] = Map(
                values=volume,
                affine=grid,
                description=about.description.format(over=prediction.spread_over, level=level),
                units=about.units,
                kind=about.kind,
                space=scan.space,
                convention=scan.convention,  # order and frame are those of the input
            )
        return outputs

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """The new grid, and how it was come by."""
        size = voxel_size(prediction.placed)
        edges = " x ".join(f"{edge:.4g}" for edge in size)
        how = f"{self.data.factor} times {'finer' if self.side == 'y' else 'coarser'}"
        return {
            "Resolution": f"{edges} mm, {how} than the input along every axis, same field of view",
            "VoxelSize": [round(edge, 6) for edge in size],
            "MaskVoxels": int(prediction.inside.sum()),
            "Engine": prediction.engine,
            "EnsembleMembers": prediction.members,
            "ResampledTo": None if prediction.resampled is None else list(prediction.resampled),
            "Plan": str(prediction.plan),
        }

    def picture(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles, title: str
    ) -> Output | None:
        """Colour FA, mean diffusivity and FA of two slices."""
        return compare_tensors(
            scan,
            prediction,
            factor=self.data.factor,
            inverse=self.side == "x",
            title=title,
            model=self.pipeline.name,
        )


def _uncertain(prediction: Prediction, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Intervals of the maps of a result, and the cone of its main direction."""
    interval, mask = prediction.interval, prediction.mask
    made: dict[str, Tensor] = {}
    if interval is None or mask is None:
        return made
    for name in INTERVALS:
        std = prediction.spread[name]
        lower, upper = interval.bounds(name, maps[name], std)
        made[f"{name}-std"] = std
        made[f"{name}-lower"] = lower.clamp(min=0)
        made[f"{name}-upper"] = (upper.clamp(max=1) if name == "fa" else upper) * mask
    if prediction.scatter is not None:
        known = maps["fa"] > 0
        cone = interval.cone(prediction.scatter)
        made["cone"] = torch.where(known, cone, 90.0) * mask
    return made
