"""Writing volumes byte for byte the same each time."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = ["save_nifti"]


def save_nifti(
    array: np.ndarray, affine: np.ndarray, path: Path, slope: float | None = None
) -> None:
    """Write a compressed NIfTI whose bytes depend on nothing but the arguments.

    Args:
        array: Stored integers.
        affine: Voxel-to-scanner affine in mm, written as both qform and sform.
        path: Where to, ending in ".nii.gz".
        slope: Factor from stored integers to values; None for 1.
    """
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    raw = bytearray(image.to_bytes())
    if slope is not None:
        # nibabel would rescale the array: put the slope into the finished header instead
        raw[112:116] = np.float32(slope).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    # a fixed time stamp and no file name in the gzip header
    path.write_bytes(gzip.compress(bytes(raw), compresslevel=9, mtime=0))
