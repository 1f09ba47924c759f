"""Writing NIfTI files, whole or not at all, one volume of a series at a time."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.errors import InputError, OutputError
from medrev.files import atomic_path
from medrev.volumes.affine import check_affine
from medrev.volumes.gzipped import write_gzip

__all__ = ["write_nifti"]

VECTOR_INTENTS = (1005, 1007)  # symmetric matrix, vector: their axis is the fifth


def write_nifti(path: str | Path, volume: MetaTensor, *, overwrite: bool = False) -> Path:
    """Write a volume as float32 NIfTI-1 in mm with sform = qform, whole or not at all.

    The same volume always gives the same bytes (no file name or time in the gzip header). The
    space code and header fields found in ``volume.meta`` are written again; without them the
    space is 1 (scanner).

    Args:
        path: File to write, ``.nii`` or ``.nii.gz``.
        volume: ``(C, I, J, K)`` with its affine; C = 1 gives a 3D file.
        overwrite: Replace an existing file.

    Returns:
        The path.

    Raises:
        OutputError: If the file exists, cannot be written or has another suffix.
        InputError: If the volume has no affine, is not 4D, or has NaN or infinite values.
        GeometryError: If the affine is singular, sheared or not finite.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise OutputError(f"{path}: the name must end in .nii or .nii.gz")
    if not isinstance(volume, MetaTensor):
        raise InputError(f"{path}: to write, a MetaTensor is needed, got {type(volume).__name__}")
    if volume.ndim != 4 or 0 in volume.shape:
        raise InputError(f"{path}: the volume must be (C, I, J, K), got {tuple(volume.shape)}")
    header = _header(path, volume)
    values = volume.as_tensor().detach().cpu()
    bad = sum(int((~torch.isfinite(channel)).sum()) for channel in values)
    if bad:
        raise InputError(f"{path}: not written: {bad} voxels are NaN or infinite")
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".gz":
            with write_gzip(file) as stream:
                _write(stream, header, values)
        else:
            _write(file, header, values)
    return path


def _header(path: Path, volume: MetaTensor) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    channels, *spatial = volume.shape
    header.set_data_dtype(np.float32)
    header.set_data_shape((*spatial, channels) if channels > 1 else tuple(spatial))
    fields = dict(volume.meta.get("nifti", {}))
    time_unit, time_step = fields.pop("time_unit", "unknown"), fields.pop("time_step", 1.0)
    if fields.get("intent_code") in VECTOR_INTENTS:  # they need a 5D file
        fields = {name: fields[name] for name in fields if not name.startswith("intent")}
    for name, value in fields.items():
        header[name] = value.encode("latin-1") if isinstance(value, str) else value
    header.set_xyzt_units("mm", time_unit)
    affine = check_affine(volume.affine, str(path))
    code = int(volume.meta.get("space_code", 1))
    header.set_sform(affine, code)
    header.set_qform(affine, code)
    if channels > 1:
        header["pixdim"][4] = time_step
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["magic"] = b"n+1"
    return header


def _write(stream: Any, header: nib.Nifti1Header, values: torch.Tensor) -> None:
    stream.write(header.as_byteswapped("<").binaryblock)
    stream.write(bytes(4))  # no extensions
    for volume in values:
        stream.write(volume.numpy().astype("<f4", copy=False).tobytes(order="F"))
