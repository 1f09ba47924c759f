"""The maps of a tensor result: their names, what they are, and where they go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medrev.domains.maps import SUFFIXES
from medrev.domains.outputs import PICTURE
from medrev.prediction.names import common_stem

__all__ = ["MAPS", "output_paths", "picture_path"]


@dataclass(frozen=True)
class _Map:
    """What a map is.

    Attributes:
        entities: The last entities of its name.
        description: In words.
        units: Of its values.
        kind: How it is written.
        on_input: Whether it lies on the grid of the input.
    """

    entities: str
    description: str
    units: str
    kind: Literal["tensor", "scalar", "color"] = "scalar"
    on_input: bool = False


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
    "std": _Map(
        "param-diffusivity_desc-srstd",
        "Uncertainty: standard deviation of the diffusion tensor over the ensemble "
        "(Frobenius norm)",
        "mm^2/s",
    ),
    "cycle": _Map(
        "param-diffusivity_desc-srcycle",
        "Cycle residual: distance of the input from the result translated back (Frobenius norm)",
        "mm^2/s",
        on_input=True,
    ),
}
#: Maps that every result has.
ALWAYS = ("diffusivity", "fa", "md", "ad", "rd", "colorfa")


def output_paths(
    base: str,
    folder: Path,
    direction: str,
    *,
    format: str = "nifti",
    std: bool = False,
    cycle: bool = False,
    picture: bool = True,
) -> dict[str, Path]:
    """The file of every map, and of the picture.

    Args:
        base: What the names begin with (:func:`medrev.prediction.names.base_name`).
        folder: Where the files go.
        direction: ``forward`` gives ``res-hi``, ``inverse`` ``res-lo``.
        format: ``nifti`` or ``nrrd``.
        std: There is an uncertainty map.
        cycle: There is a cycle residual.
        picture: There is a picture.

    Example:
        >>> output_paths("sub-01_run-2", Path("out"), "forward")["fa"].name
        'sub-01_run-2_res-hi_model-tensor_param-fa_desc-sr_dwimap.nii.gz'
    """
    names = [*ALWAYS, *(["std"] if std else []), *(["cycle"] if cycle else [])]
    other = "forward" if direction == "inverse" else "inverse"
    paths = {}
    for name in names:
        stem = common_stem(base, other if MAPS[name].on_input else direction)
        paths[name] = folder / f"{stem}_{MAPS[name].entities}_dwimap{SUFFIXES[format]}"
    if picture:
        paths[PICTURE] = picture_path(base, folder, direction)
    return paths


def picture_path(base: str, folder: Path, direction: str) -> Path:
    """The picture of a result; a scene of it has the same name.

    Args:
        base: What the names begin with.
        folder: Where the files go.
        direction: ``forward`` or ``inverse``.
    """
    return folder / f"{common_stem(base, direction)}_desc-sr_dwimap.png"
