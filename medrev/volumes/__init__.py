"""Geometry and files: NIfTI, NRRD, MetaImage, DICOM, PNG; affines, grids, masks, palettes."""

from medrev.volumes.affine import (
    as_affine,
    check_affine,
    direction_cosines,
    rectify_affine,
    rescale_affine,
    same_grid,
    voxel_size,
)
from medrev.volumes.coarse import coarsen_files
from medrev.volumes.dicom import is_dicom_folder
from medrev.volumes.formats import FORMATS, read_header, read_volume
from medrev.volumes.grid import Padding, crop_to_multiple, pad_to_multiple
from medrev.volumes.mask import block_mask, brain_mask, check_mask, interior
from medrev.volumes.mgh import write_mgh
from medrev.volumes.montage import DIRECTIONS, Panel, Plane, View, write_montage
from medrev.volumes.nifti import nifti_shape, read_nifti
from medrev.volumes.nifti_writer import write_color_nifti, write_nifti
from medrev.volumes.nrrd_writer import write_scalar_nrrd, write_tensor_nrrd
from medrev.volumes.palette import (
    CITYSCAPES,
    PALETTES,
    VOID,
    Colour,
    check_known,
    classes_of_colours,
)
from medrev.volumes.pictures import PictureHeader, picture_header, read_pixels, write_pixels
from medrev.volumes.reading import NIFTI, ONE_FILE, PICTURES, VOLUMES, strip_suffix, without_twins
from medrev.volumes.resample import (
    PROFILES,
    Factor,
    Profile,
    block_mean,
    blocks_of,
    coarsen,
    from_blocks,
    onto_means,
    per_axis,
    upsample,
    with_means,
)
from medrev.volumes.slicing import SLICE_AXES, Reorient, Slicing
from medrev.volumes.volume import Grid, Header, TensorLayout, Volume, like, plain, to_numpy

__all__ = [
    "CITYSCAPES",
    "DIRECTIONS",
    "FORMATS",
    "NIFTI",
    "ONE_FILE",
    "PALETTES",
    "PICTURES",
    "PROFILES",
    "SLICE_AXES",
    "VOID",
    "VOLUMES",
    "Colour",
    "Factor",
    "Grid",
    "Header",
    "Padding",
    "Panel",
    "PictureHeader",
    "Plane",
    "Profile",
    "Reorient",
    "Slicing",
    "TensorLayout",
    "View",
    "Volume",
    "as_affine",
    "block_mask",
    "block_mean",
    "blocks_of",
    "brain_mask",
    "check_affine",
    "check_known",
    "check_mask",
    "classes_of_colours",
    "coarsen",
    "coarsen_files",
    "crop_to_multiple",
    "direction_cosines",
    "from_blocks",
    "interior",
    "is_dicom_folder",
    "like",
    "nifti_shape",
    "onto_means",
    "pad_to_multiple",
    "per_axis",
    "picture_header",
    "plain",
    "read_header",
    "read_nifti",
    "read_pixels",
    "read_volume",
    "rectify_affine",
    "rescale_affine",
    "same_grid",
    "strip_suffix",
    "to_numpy",
    "upsample",
    "voxel_size",
    "with_means",
    "without_twins",
    "write_color_nifti",
    "write_mgh",
    "write_montage",
    "write_nifti",
    "write_pixels",
    "write_scalar_nrrd",
    "write_tensor_nrrd",
]
