"""The maps of a tensor result: their names, what they are, and what is said of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medrev.domains.outputs import bids_label
from medrev.domains.score import ABOUT_PLACES
from medrev.domains.tissue import ABOUT_TISSUE
from medrev.volumes import strip_suffix

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
