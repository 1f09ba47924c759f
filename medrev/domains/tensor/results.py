"""What a tensor result consists of: its maps with their names, and its picture."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.domains.outputs import bids_label
from medrev.domains.quick_look import Comparison, doubt, nearest, row
from medrev.domains.score import ABOUT_PLACES, ABOUT_TISSUE
from medrev.domains.values import Prediction, Scan
from medrev.dti import color_fa, scalar_maps
from medrev.volumes import (
    Panel,
    Plane,
    block_mean,
    pad_to_multiple,
    strip_suffix,
    upsample,
    voxel_size,
)

_REPLACED = re.compile(r"_(?:res|model|param|desc)-[A-Za-z0-9]+")
_SUFFIX = re.compile(r"_(?:dwi|dwimap|T1w|T2w)$")
#: Folders of an HCP subject that say nothing about who it is.
_HCP_FOLDERS = ("T1w", "Diffusion", "MNINonLinear", "dwi", "unprocessed", "3T", "7T")


def base_name(source: Path) -> str:
    """The beginning of the names of an input's results.

    The input's name without its suffix (``_dwi``, ``_dwimap``) and without the BIDS entities that
    say what the result is. HCP's ``data.nii.gz`` is named after the folder of the subject.

    Example:
        >>> base_name(Path("sub-01_run-2_desc-preproc_dwi.nii.gz"))
        'sub-01_run-2'
        >>> base_name(Path("/hcp/100307/T1w/Diffusion/data.nii.gz"))
        'sub-100307'
    """
    stem = strip_suffix(source)
    if stem == "data":
        parents = [p.name for p in source.absolute().parents if p.name not in (*_HCP_FOLDERS, "")]
        if parents:
            return f"sub-{bids_label(parents[0].removeprefix('sub-'))}"
    return _REPLACED.sub("", _SUFFIX.sub("", stem))


@dataclass(frozen=True)
class _Map:
    """What a map is.

    Attributes:
        entities: The last entities of its name.
        description: In words.
        units: Of its values.
        kind: How it is written.
    """

    entities: str
    description: str
    units: str
    kind: Literal["tensor", "scalar", "color"] = "scalar"


#: Every map that can be written, in the order in which they are.
MAPS = {
    "diffusivity": _Map("param-diffusivity_desc-sr", "Diffusion tensor", "mm^2/s", "tensor"),
    "fa": _Map("param-fa_desc-sr", "Fractional anisotropy", "dimensionless"),
    "md": _Map("param-md_desc-sr", "Mean diffusivity", "mm^2/s"),
    "ad": _Map("param-ad_desc-sr", "Axial diffusivity", "mm^2/s"),
    "rd": _Map("param-rd_desc-sr", "Radial diffusivity", "mm^2/s"),
    "colorfa": _Map(
        "param-colorfa_desc-sr",
        "Principal direction times fractional anisotropy: red left-right, green front-back, "
        "blue up-down",
        "dimensionless",
        "color",
    ),
    "s0": _Map("param-s0_desc-sr", "Signal without diffusion weighting", "arbitrary"),
    "std": _Map(
        "param-diffusivity_desc-srstd",
        "Uncertainty: standard deviation of the diffusion tensor over {over} (Frobenius norm)",
        "mm^2/s",
    ),
    "cycle": _Map(
        "param-diffusivity_desc-srcycle",
        "Cycle residual: distance of the input from the result translated back (Frobenius norm)",
        "mm^2/s",
    ),
}
MAPS["score"] = _Map("param-diffusivity_desc-srscore", *ABOUT_PLACES)
MAPS["tissue"] = _Map("param-diffusivity_desc-srtissue", *ABOUT_TISSUE)
#: Maps that every result has.
ALWAYS = ("diffusivity", "fa", "md", "ad", "rd", "colorfa")
#: Those that have intervals.
INTERVALS = ("fa", "md", "ad", "rd")
_ENDS = {
    "std": "standard deviation over {over}",
    "lower": "lower end of the {level:g} % interval",
    "upper": "upper end of the {level:g} % interval",
}
MAPS |= {
    f"{name}-{end}": _Map(
        f"param-{name}_desc-sr{end}", f"{MAPS[name].description}: {words}", MAPS[name].units
    )
    for name in INTERVALS
    for end, words in _ENDS.items()
}
MAPS["cone"] = _Map(
    "param-cone_desc-sr",
    "Half-angle of the cone around the main direction that holds {level:g} % of the main "
    "directions of {over}; 90: any direction may be the main one",
    "degree",
)
#: What a result with intervals has beside its standard deviation.
UNCERTAIN = (*(f"{name}-{end}" for name in INTERVALS for end in _ENDS), "cone")


def about_map(name: str) -> _Map:
    """What a map is, by its name: a key of :data:`MAPS`, or ``sample-N``."""
    sample = name.removeprefix("sample-")
    if sample == name:
        return MAPS[name]
    return _Map(
        f"param-diffusivity_desc-srsample{int(sample):02d}",
        f"Diffusion tensor: sample {sample} of {{over}}",
        "mm^2/s",
        "tensor",
    )


Array = NDArray[Any]

#: Coarse slices to either side that cubic interpolation of one slice needs.
_REACH = 3
_UNIT = "10⁻³ mm²/s"


def compare_tensors(
    scan: Scan,
    prediction: Prediction,
    *,
    factor: int,
    inverse: bool,
    title: str,
    model: str,
) -> Comparison:
    """Cut the slices that a picture shows.

    The axial and the coronal slice with most brain, through the same places of the world: input,
    cubic interpolation (in reverse: block mean), output and, where given, uncertainty. Coarse
    voxels are shown as they are. Left is left.
    """
    fine, coarse = (scan, prediction) if inverse else (prediction, scan)
    edges = [np.array(voxel_size(each.placed)) for each in (fine, coarse)]
    axial, coronal = (
        _Cut(Plane(fine.placed, fine.inside, view), fine.inside, factor, edges[0] / edges[1])
        for view in ("axial", "coronal")
    )

    def slabs(cut: _Cut) -> dict[str, torch.Tensor]:
        return {
            "input": cut.of(scan.values, fine=inverse),
            "block mean" if inverse else "cubic": (cut.mean if inverse else cut.cubic)(scan.values),
            "output": cut.of(prediction.values, fine=not inverse),
        }

    def doubts(cut: _Cut, view: str, *, residual_only: bool = False) -> list[Panel]:
        """The deviation, else the cycle residual, if there is one."""
        std, cycle = None if residual_only else prediction.std, prediction.cycle_residual
        name, values = ("cycle residual", cycle) if std is None else ("standard deviation", std)
        if values is None:
            return []
        picture = 1e3 * cut.picture(cut.of(values, fine=(std is None) == inverse))
        return [doubt(f"{name}, {view}", picture, _UNIT, cut.plane.aspect)]

    shown = slabs(axial)
    colours = {
        name: np.clip(axial.colours(color_fa(slab)) * 1.3, 0, 1) for name, slab in shown.items()
    }
    md = {name: scalar_maps(slab)["md"][None] for name, slab in shown.items()}
    fa = {
        name: coronal.picture(scalar_maps(slab)["fa"][None])
        for name, slab in slabs(coronal).items()
    }
    seen = md["output"][md["output"] > 0]
    rows = [
        row("colour FA, axial", colours, axial.plane, doubts=doubts(axial, "axial")),
        row(
            "mean diffusivity, axial",
            {name: 1e3 * axial.picture(values) for name, values in md.items()},
            axial.plane,
            top=1e3 * float(np.percentile(seen, 99)) if len(seen) else 1.0,
            unit=_UNIT,
            doubts=doubts(axial, "axial", residual_only=True),
            first=False,
        ),
        row(
            "FA, coronal",
            fa,
            coronal.plane,
            top=1.0,
            doubts=doubts(coronal, "coronal"),
            first=False,
        ),
    ]
    old, new = (
        " × ".join(f"{n:.3g}" for n in voxel_size(each.placed)) for each in (scan, prediction)
    )
    return Comparison(title, f"{old} mm → {new} mm, model {model}", rows)


class _Cut:
    """One slice of the fine grid, and what coarse volumes show of it.

    ``ratios`` are edges of a fine voxel in coarse ones: 1 / factor unless other voxels were asked
    for.
    """

    def __init__(self, plane: Plane, mask: torch.Tensor, factor: int, ratios: Array) -> None:
        self.plane, self.factor, self.ratios = plane, factor, ratios
        self.divided = np.allclose(ratios * factor, 1, atol=1e-3)
        self.axis = plane.axis + 1
        self.shape = mask.shape[1:]
        self.brain = plane.picture(mask.float())[..., 0] > 0

    def of(self, volume: torch.Tensor, *, fine: bool) -> torch.Tensor:
        """The slice of a volume; of one on the coarse grid with every voxel repeated."""
        if fine:
            return self.plane.slab(volume)
        axis = self.axis
        places = nearest(self.shape[axis - 1], self.ratios[axis - 1], volume.shape[axis])
        return self._repeated(volume.narrow(axis, int(places[self.plane.index]), 1))

    def _repeated(self, slab: torch.Tensor) -> torch.Tensor:
        """A coarse slice with every voxel repeated in the plane."""
        for axis, (count, ratio) in enumerate(zip(self.shape, self.ratios, strict=True), 1):
            if axis != self.axis:
                found = torch.from_numpy(nearest(count, ratio, slab.shape[axis]))
                slab = slab.index_select(axis, found)
        return slab

    def cubic(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a coarse volume after cubic interpolation."""
        if not self.divided:
            from scipy.ndimage import map_coordinates

            grid = np.meshgrid(*self._places(volume), indexing="ij")
            found = [map_coordinates(c, grid, order=3, mode="nearest") for c in volume.numpy()]
            return torch.from_numpy(np.stack(found))
        middle = self.plane.index // self.factor
        start = max(0, middle - _REACH)
        stop = min(volume.shape[self.axis], middle + _REACH + 1)
        part = volume.narrow(self.axis, start, stop - start)
        fine = upsample(part[None].float(), self.factor, "cubic")[0]
        return fine.narrow(self.axis, self.plane.index - start * self.factor, 1)

    def _places(self, volume: torch.Tensor) -> list[Array]:
        """Where the slice's voxels lie in a coarse volume, in voxels along i, j, k."""
        places = []
        for axis, (count, ratio) in enumerate(zip(self.shape, self.ratios, strict=True), start=1):
            wanted = np.array([self.plane.index]) if axis == self.axis else np.arange(count)
            places.append(np.clip((wanted + 0.5) * ratio - 0.5, 0, volume.shape[axis] - 1))
        return places

    def mean(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a fine volume's block mean, every voxel repeated."""
        start = self.plane.index // self.factor * self.factor
        part = volume.narrow(self.axis, start, min(self.factor, volume.shape[self.axis] - start))
        padded, _ = pad_to_multiple(part, self.factor, fill="edge")
        return self._repeated(block_mean(padded[None].float(), self.factor)[0])

    def picture(self, slab: torch.Tensor) -> Array:
        """A scalar slab as a picture of the brain."""
        whole = np.where(self.brain, self.plane.picture(slab)[..., 0], 0)
        return self.plane.crop(whole)

    def colours(self, slab: torch.Tensor) -> Array:
        """A slab of colours as a picture of the brain."""
        whole = np.where(self.brain[..., None], self.plane.colours(slab), 0)
        return self.plane.crop(whole)
