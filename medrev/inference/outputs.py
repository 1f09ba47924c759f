"""Files of a result: maps, sidecars and picture, all or none."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray

from medrev.dti import Convention, convert_order, from_voxel_frame
from medrev.errors import OutputError
from medrev.files import atomic_path, ensure_writable_folder
from medrev.inference.names import common_stem
from medrev.inference.quick_look import Comparison
from medrev.volumes import (
    Volume,
    strip_suffix,
    write_color_nifti,
    write_nifti,
    write_scalar_nrrd,
    write_tensor_nrrd,
)

__all__ = [
    "MAPS",
    "Result",
    "check_outputs",
    "output_paths",
    "picture_path",
    "sidecar_of",
    "writable_folder",
    "write_outputs",
]

SUFFIXES = {"nifti": ".nii.gz", "nrrd": ".nrrd"}
#: Key of the picture among the paths.
PICTURE = "picture"


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


@dataclass(frozen=True, eq=False)
class Result:
    """A computed result, ready to be written.

    Attributes:
        paths: File by map, and of the picture under ``picture`` (:func:`output_paths`).
        volumes: ``(C, I, J, K)`` by map; tensors in medrev's order and the voxel frame.
        affine: Voxel → RAS mm, 4×4, of the result.
        input_affine: Of the input.
        convention: Order and frame of the tensors in a NIfTI file.
        space: NIfTI code of the space.
        sidecar: What the JSON files of all maps have in common.
        comparison: What the picture shows.
        others: Maps that an earlier result of the same name may have had, and this one has not.
    """

    paths: dict[str, Path]
    volumes: dict[str, torch.Tensor]
    affine: NDArray[Any]
    input_affine: NDArray[Any]
    convention: Convention
    space: int
    sidecar: dict[str, Any]
    comparison: Comparison | None = None
    others: tuple[Path, ...] = ()


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
        base: What the names begin with (:func:`medrev.inference.names.base_name`).
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


def sidecar_of(path: Path) -> Path:
    """The JSON file of a map."""
    return path.with_name(f"{strip_suffix(path)}.json")


def all_files(paths: dict[str, Path]) -> list[Path]:
    """Maps, each followed by its sidecar, and the picture."""
    files = []
    for name, path in paths.items():
        files += [path] if name == PICTURE else [path, sidecar_of(path)]
    return files


def check_outputs(paths: dict[str, Path], inputs: list[Path], overwrite: bool) -> None:
    """Refuse results that exist (unless they may be replaced) or that would replace the input.

    Raises:
        OutputError: Naming the first such file.
    """
    sources = {path.resolve() for path in inputs}
    for file in all_files(paths):
        if file.resolve() in sources:
            raise OutputError(f"{file} is the input itself; choose another output folder")
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists already; give --overwrite to replace it")


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """Make sure that a folder can be written; folders made for it go again if they stay empty.

    Raises:
        OutputError: It cannot be made or written.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    ensure_writable_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            for place in new:
                place.rmdir()


def write_outputs(result: Result, *, overwrite: bool) -> list[Path]:
    """Write all maps, their sidecars and the picture under temporary names, then their own.

    Args:
        result: What was computed.
        overwrite: Replace existing files, and remove :attr:`Result.others` written by medrev.

    Returns:
        The files written: each map followed by its sidecar, then the picture.

    Raises:
        OutputError: A file exists or cannot be written; then none is.
    """
    with ExitStack() as stack:
        for name, path in result.paths.items():
            temporary = stack.enter_context(atomic_path(path, overwrite))
            if name == PICTURE:
                assert result.comparison is not None
                result.comparison.save(temporary)
                continue
            _write_map(name, temporary, result)
            document = {
                "Description": MAPS[name].description,
                "Units": MAPS[name].units,
                **result.sidecar,
            }
            text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            temporary = stack.enter_context(atomic_path(sidecar_of(path), overwrite))
            temporary.write_text(text, encoding="utf-8")
    if overwrite:
        _remove_others(result)
    return all_files(result.paths)


def _remove_others(result: Result) -> None:
    """Remove an earlier result's uncertainty, which would be taken for that of this one."""
    for path in result.others:
        sidecar = sidecar_of(path)
        with suppress(OSError, ValueError, LookupError, TypeError):
            document = json.loads(sidecar.read_text(encoding="utf-8"))
            if document["GeneratedBy"][0]["Name"] == "medrev":
                path.unlink()
                sidecar.unlink()


def _write_map(name: str, path: Path, result: Result) -> None:
    """Write one map in the format that its name says."""
    kind = MAPS[name].kind
    values = result.volumes[name]
    affine = result.input_affine if MAPS[name].on_input else result.affine
    if path.name.endswith(".nrrd"):
        if kind == "tensor":
            write_tensor_nrrd(path, values, affine, overwrite=True)
        else:
            write_scalar_nrrd(path, values, affine, overwrite=True, kind="RGB-color")
        return
    if kind == "tensor":
        turned = from_voxel_frame(values, affine, result.convention.frame)
        values = convert_order(turned, "fsl", result.convention.order)
    write = write_color_nifti if kind == "color" else write_nifti
    write(path, Volume(values, affine, {"space_code": result.space}), overwrite=True)
