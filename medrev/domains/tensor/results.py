"""The maps of a tensor result: their names, what they are, and what is said of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.domain import Prediction, Scan, Side
from medrev.domains.outputs import Map, bids_label
from medrev.domains.score import ABOUT_PLACES
from medrev.volumes import strip_suffix, voxel_size

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


def common_stem(base: str, side: Side) -> str:
    """What all names of one result begin with.

    Args:
        base: Of the input (:func:`base_name`).
        side: Of y is the fine grid, ``res-hi``; of x the coarse one, ``res-lo``.

    Example:
        >>> common_stem("sub-01", "y")
        'sub-01_res-hi_model-tensor'
    """
    return f"{base}_res-{'lo' if side == 'x' else 'hi'}_model-tensor"


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


def map_of(
    name: str, values: Tensor, affine: NDArray[Any], scan: Scan, prediction: Prediction
) -> Map:
    """A map with what is said of it.

    Args:
        name: Of the map.
        values: ``(C, I, J, K)``.
        affine: Voxel → RAS mm, 4×4.
        scan: What it was made from: its space, and order and frame of its tensors, are kept.
        prediction: What it belongs to.
    """
    about, interval = about_map(name), prediction.interval
    level = 0.0 if interval is None else interval.level
    return Map(
        values=values,
        affine=affine,
        description=about.description.format(over=prediction.spread_over, level=level),
        units=about.units,
        kind=about.kind,
        space=scan.space,
        convention=scan.convention,
    )


def describe_result(prediction: Prediction, factor: int, *, finer: bool) -> dict[str, Any]:
    """Keys of the sidecar about the grid of a result, and how it was come by."""
    size = voxel_size(prediction.placed)
    edges = " x ".join(f"{edge:.4g}" for edge in size)
    how = f"{factor} times {'finer' if finer else 'coarser'}"
    return {
        "Resolution": f"{edges} mm, {how} than the input along every axis, same field of view",
        "VoxelSize": [round(edge, 6) for edge in size],
        "MaskVoxels": int(prediction.inside.sum()),
        "Engine": prediction.engine,
        "EnsembleMembers": prediction.members,
        "ResampledTo": None if prediction.resampled is None else list(prediction.resampled),
        "Plan": str(prediction.plan),
    }
