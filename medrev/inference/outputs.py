"""Names and files of a result: BIDS-derivative names, sidecars, all files or none."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data.meta_tensor import MetaTensor
from numpy.typing import NDArray

from medrev.errors import OutputError
from medrev.files import atomic_path, ensure_writable_folder
from medrev.volumes import write_nifti

__all__ = ["MAPS", "check_outputs", "output_paths", "writable_folder", "write_outputs"]


@dataclass(frozen=True)
class _Map:
    description: str
    units: str


#: BIDS ``param`` of every map that is written.
MAPS = {
    "diffusivity": _Map("Diffusion tensor", "mm^2/s"),
    "fa": _Map("Fractional anisotropy", "dimensionless"),
    "md": _Map("Mean diffusivity", "mm^2/s"),
}

_REPLACED = re.compile(r"_(?:res|model|param|desc)-[A-Za-z0-9]+")
_SUFFIX = re.compile(r"_(?:dwi|dwimap)$")


def output_paths(source: Path, folder: Path, direction: str) -> dict[str, Path]:
    """The NIfTI file of every map.

    Args:
        source: The input; its BIDS entities are kept, except those that say what the result is.
        folder: Where the files go.
        direction: ``forward`` gives ``res-hi``, ``inverse`` ``res-lo``.

    Example:
        >>> output_paths(Path("sub-01_run-2_dwi.nii.gz"), Path("out"), "forward")["fa"].name
        'sub-01_run-2_res-hi_model-tensor_param-fa_desc-sr_dwimap.nii.gz'
    """
    stem = source.name.removesuffix(".gz").removesuffix(".nii")
    base = _REPLACED.sub("", _SUFFIX.sub("", stem))
    resolution = "lo" if direction == "inverse" else "hi"
    return {
        name: folder / f"{base}_res-{resolution}_model-tensor_param-{name}_desc-sr_dwimap.nii.gz"
        for name in MAPS
    }


def check_outputs(paths: dict[str, Path], inputs: list[Path], overwrite: bool) -> None:
    """Refuse results that exist (unless they may be replaced) or that would replace the input.

    Raises:
        OutputError: Naming the first such file.
    """
    sources = {path.resolve() for path in inputs}
    for path in paths.values():
        for file in (path, _sidecar(path)):
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


def write_outputs(
    paths: dict[str, Path],
    volumes: dict[str, torch.Tensor],
    affine: NDArray[Any],
    *,
    sidecar: dict[str, Any],
    space: int,
    overwrite: bool,
) -> list[Path]:
    """Write all maps and their sidecars under temporary names, then give them their own.

    Args:
        paths: NIfTI file by map (:func:`output_paths`).
        volumes: ``(C, I, J, K)`` by map.
        affine: Voxel → RAS mm, 4×4, of the result.
        sidecar: What the JSON files of all maps have in common.
        space: NIfTI code of the space.
        overwrite: Replace existing files.

    Returns:
        The files written: each map followed by its sidecar.
    """
    written: list[Path] = []
    with ExitStack() as stack:
        for name, path in paths.items():
            volume = MetaTensor(
                volumes[name], affine=torch.as_tensor(affine), meta={"space_code": space}
            )
            temporary = stack.enter_context(atomic_path(path, overwrite))
            write_nifti(temporary, volume, overwrite=True)
            document = {
                "Description": MAPS[name].description,
                "Units": MAPS[name].units,
                **sidecar,
            }
            text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            temporary = stack.enter_context(atomic_path(_sidecar(path), overwrite))
            temporary.write_text(text, encoding="utf-8")
            written += [path, _sidecar(path)]
    return written


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
