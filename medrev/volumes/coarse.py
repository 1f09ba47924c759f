"""Scans made coarse, as a scanner with larger voxels would have measured them."""

import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from medrev.errors import InputError, OutputError, counted, naming
from medrev.files import atomic_path, ensure_writable_folder, files_below, not_there
from medrev.volumes.affine import as_affine, rescale_affine
from medrev.volumes.formats import read_header
from medrev.volumes.grid import crop_to_multiple
from medrev.volumes.mask import block_mask
from medrev.volumes.reading import NIFTI, ONE_FILE, check_memory, strip_suffix, without_twins
from medrev.volumes.resample import Factor, block_mean, per_axis

#: Endings of the names of label maps.
_LABELS = ("dseg", "_seg", "labels", "aseg", "aparc")
#: What is copied: gradients, what sidecars say of tensors, and what a dataset says of itself.
_COPIED = ("*bval*", "*bvec*", "*.json", "participants.tsv")


def coarsen_files(
    source: Path, output: Path, factor: Factor = 2, *, overwrite: bool = False
) -> Iterator[tuple[Path, str]]:
    """Make all NIfTI volumes of a file or folder coarse; what is beside them is copied.

    Masks (``*mask``) stay masks, and headers, such as the order of tensors, what they were. Label
    maps are left out, and of a folder headers that are not of NIfTI (ANALYZE, ENVI) or lack their
    voxels. Beside a single file only those are copied that are called like it.

    Args:
        source: A volume, or a folder, which is searched with its folders.
        output: Folder of the results, which have the names of their sources.
        factor: Edge of a block in voxels, one for all axes or one for each.
        overwrite: Replace existing files.

    Yields:
        Every volume that was written, or left out, and a notice about it, if there is one.

    Raises:
        InputError: There is no volume, or one cannot be made coarse.
        OutputError: A file exists, cannot be written, or would replace a source.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder{not_there(source)}")
    root = source if source.is_dir() else source.parent
    found = files_below(source) if source.is_dir() else [source]
    volumes = without_twins(path for path in found if path.name.endswith(NIFTI))
    if not volumes:
        raise InputError(f"{source}: no NIfTI volumes ({', '.join(NIFTI)})")
    inside = [path for path in volumes if path.resolve().is_relative_to(output.resolve())]
    if output.resolve() == root.resolve() or len(inside) == len(volumes):
        raise OutputError(f"--output must be another folder than that of the scans, got {output}")
    for path in (path for path in volumes if path not in inside):
        place = output / path.relative_to(root)
        if not path.name.endswith(ONE_FILE):  # of two files one is made
            place = place.with_name(f"{strip_suffix(path)}.nii.gz")
        if reason := (source.is_dir() and _foreign(path)) or _left_out(path):
            yield path, reason
            continue
        made, notice = _coarsened(path, factor)
        ensure_writable_folder(place.parent)
        with atomic_path(place, overwrite) as temporary:
            nibabel.save(made, temporary)
        for copied in _beside(path, root, alone=not source.is_dir()):
            target = output / copied.relative_to(root)
            if overwrite or not target.exists():
                with atomic_path(target, True) as temporary:
                    shutil.copyfile(copied, temporary)
        yield place, notice


def _left_out(path: Path) -> str:
    """Why a file has no block means, or nothing."""
    if strip_suffix(path).lower().endswith(_LABELS):
        return "left out: labels have no mean"
    with suppress(OSError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError):
        image: Any = nibabel.load(path)
        if image.get_data_dtype().fields:
            return "left out: it holds colours"
    return ""


def _foreign(path: Path) -> str:
    """Why a header is none of NIfTI, as those of ANALYZE and ENVI have its ending; or nothing."""
    if not path.name.endswith(ONE_FILE):
        try:
            read_header(path)
        except InputError as error:
            return f"left out: {str(error).removeprefix(f'{path}: ')}"
    return ""


def _beside(path: Path, root: Path, *, alone: bool) -> Iterator[Path]:
    """The files that belong to a volume, in its folder and in those above it up to the root."""
    stem = strip_suffix(path)
    for folder in (path.parent, *path.parent.parents):
        for pattern in _COPIED:
            files = (file for file in folder.glob(pattern) if file.is_file())
            yield from (file for file in files if not alone or file.name.startswith(stem))
        if folder == root:
            return


def _coarsened(path: Path, factor: Factor) -> tuple[Any, str]:
    """One volume, and what was left out of it."""
    check_memory(read_header(path))  # a file that is damaged, or has no grid, is refused
    try:
        image: Any = nibabel.load(path)
        values = torch.from_numpy(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
        raise InputError(f"{path}: it cannot be read as a NIfTI volume ({error})") from None
    if values.ndim < 3:
        raise InputError(f"{path}: a volume has three axes or more, got {values.ndim}")
    with naming(str(path)):
        whole, cropped = crop_to_multiple(
            values.reshape(*values.shape[:3], -1).movedim(-1, 0), factor
        )
    if strip_suffix(path).lower().endswith("mask"):
        coarse = block_mask(whole, factor).float()
    else:
        coarse = block_mean(whole[None], factor)[0]
    shape = *coarse.shape[1:], *values.shape[3:]
    i, j, k = per_axis(factor)
    affine = rescale_affine(as_affine(image.affine), (i, j, k))
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    result = coarse.movedim(0, -1).reshape(shape).numpy()
    made: Any = nibabel.Nifti1Image(result, affine, header)
    for put, code in ((made.set_sform, "sform_code"), (made.set_qform, "qform_code")):
        put(affine, int(image.header[code]))
    if not (image.header["sform_code"] or image.header["qform_code"]):
        made.set_sform(affine, 1)
    rest, bad = [-n for n in cropped.after], int((~np.isfinite(result)).sum())
    notes = [f"{counted(bad, 'voxel is', 'voxels are')} not finite"] if bad else []
    if any(rest):
        notes.append(f"cropped by {' × '.join(map(str, rest))} voxels at the ends of its axes")
    return made, "; ".join(notes)
