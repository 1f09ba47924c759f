"""Scans made coarse, as a scanner with larger voxels would have measured them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from medrev.errors import InputError, OutputError, naming
from medrev.files import atomic_path, ensure_writable_folder, files_below
from medrev.volumes.affine import as_affine, rescale_affine
from medrev.volumes.grid import crop_to_multiple
from medrev.volumes.mask import block_mask
from medrev.volumes.resample import Factor, block_mean, per_axis

_NIFTI = (".nii.gz", ".nii")
#: What is copied: gradients, what sidecars say of tensors, and what a dataset says of itself.
_COPIED = ("*bval*", "*bvec*", "*.json", "participants.tsv")


def coarsen_files(
    source: Path, output: Path, factor: Factor = 2, *, overwrite: bool = False
) -> Iterator[tuple[Path, str]]:
    """Make all NIfTI volumes of a file or folder coarse; what is beside them is copied.

    Masks (``*mask``) stay masks, and headers, such as the order of tensors, what they were.

    Args:
        source: A volume, or a folder, which is searched with its folders.
        output: Folder of the results, which have the names of their sources.
        factor: Edge of a block in voxels, one for all axes or one for each.
        overwrite: Replace existing files.

    Yields:
        Every volume that was written, and a notice about it, if there is one.

    Raises:
        InputError: There is no volume, or one cannot be made coarse.
        OutputError: A file exists, cannot be written, or would replace a source.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    root = source if source.is_dir() else source.parent
    found = files_below(source) if source.is_dir() else [source]
    volumes = [path for path in found if path.name.endswith(_NIFTI)]
    if not volumes:
        raise InputError(f"{source}: no NIfTI volumes ({', '.join(_NIFTI)})")
    if output.resolve() == root.resolve():
        raise OutputError(f"--output must be another folder than that of the scans, got {output}")
    for path in (p for p in volumes if not p.resolve().is_relative_to(output.resolve())):
        place = output / path.relative_to(root)
        ensure_writable_folder(place.parent)
        with atomic_path(place, overwrite) as temporary:
            notice = _coarsen_file(path, temporary, factor)
        for parent in {path.parent, root}:
            for copied in (p for pattern in _COPIED for p in parent.glob(pattern)):
                target = output / copied.relative_to(root)
                if copied.is_file() and not target.exists():
                    shutil.copyfile(copied, target)
        yield place, notice


def _coarsen_file(path: Path, place: Path, factor: Factor) -> str:
    """Write one volume, and say what was left out of it."""
    try:
        image: Any = nibabel.load(path)
        values = torch.from_numpy(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path}: it cannot be read as a NIfTI volume ({error})") from None
    if values.ndim < 3:
        raise InputError(f"{path}: a volume has three axes or more, got {values.ndim}")
    with naming(str(path)):
        whole, cropped = crop_to_multiple(
            values.reshape(*values.shape[:3], -1).movedim(-1, 0), factor
        )
    if path.name.split(".")[0].endswith("mask"):
        coarse = block_mask(whole, factor).float()
    else:
        coarse = block_mean(whole[None], factor)[0]
    shape = *coarse.shape[1:], *values.shape[3:]
    i, j, k = per_axis(factor)
    affine = rescale_affine(as_affine(image.affine), (i, j, k))
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    result = coarse.movedim(0, -1).reshape(shape).numpy()
    nibabel.save(nibabel.Nifti1Image(result, affine, header), place)
    rest = [-n for n in cropped.after]
    if not any(rest):
        return ""
    return f"cropped by {' × '.join(map(str, rest))} voxels at the ends of its axes"
