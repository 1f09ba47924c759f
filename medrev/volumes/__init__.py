"""Geometry and files: NIfTI, NRRD, affines, grids, resampling, brain masks."""

from medrev.volumes.affine import (
    as_affine,
    check_affine,
    direction_cosines,
    rescale_affine,
    same_grid,
    voxel_size,
)
from medrev.volumes.arrays import like, to_numpy
from medrev.volumes.grid import Padding, crop_to_multiple, pad_to_multiple
from medrev.volumes.mask import block_mask, brain_mask, check_mask, interior
from medrev.volumes.nifti import nifti_shape, read_nifti
from medrev.volumes.nifti_writer import write_nifti
from medrev.volumes.nrrd_writer import write_scalar_nrrd, write_tensor_nrrd
from medrev.volumes.plane import Plane, View
from medrev.volumes.resample import block_mean, upsample

__all__ = [
    "Padding",
    "Plane",
    "View",
    "as_affine",
    "block_mask",
    "block_mean",
    "brain_mask",
    "check_affine",
    "check_mask",
    "crop_to_multiple",
    "direction_cosines",
    "interior",
    "like",
    "nifti_shape",
    "pad_to_multiple",
    "read_nifti",
    "rescale_affine",
    "same_grid",
    "to_numpy",
    "upsample",
    "voxel_size",
    "write_nifti",
    "write_scalar_nrrd",
    "write_tensor_nrrd",
]
