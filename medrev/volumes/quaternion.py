"""The qform of NIfTI: three single-precision numbers that shall give back a rotation.

NIfTI stores b, c and d of a unit quaternion; readers take ``a = sqrt(1 − b² − c² − d²)``. Where a
is small (rotations near 180°, such as grids that run to the left and to the back, slightly
oblique), the rounding of b, c and d to single precision is a large error of a: 0.3 mm at the far
corner of a head. Other roundings of the same numbers do better; where none is good enough, the
file says that it has no qform (code 0), and readers take the sform.
"""

import itertools
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medrev.volumes.affine import grid_distance

_FIELDS = ("quatern_b", "quatern_c", "quatern_d")
_GOOD = 1e-4  # mm; nearer than this no rounding is looked for
_BAD = 1e-2  # mm; farther than this a qform is not worth having


def set_forms(header: nib.Nifti1Header, affine: NDArray[np.float64], code: int) -> None:
    """Set sform and qform of a header to the same rectangular affine, as near as NIfTI allows.

    Args:
        header: With its shape set.
        affine: Voxel → RAS mm, 4×4, without shear.
        code: NIfTI code of the space.
    """
    header.set_sform(affine, code)
    header.set_qform(affine, code)
    shape = tuple(header.get_data_shape()[:3])
    best = _distance(header, affine, shape)
    if best <= _GOOD:
        return
    chosen = [header[name].copy() for name in _FIELDS]
    for candidate in _roundings(_quaternion(header, affine)):
        for name, value in zip(_FIELDS, candidate, strict=True):
            header[name] = value
        distance = _distance(header, affine, shape)
        if distance < best:
            best, chosen = distance, candidate
    for name, value in zip(_FIELDS, chosen, strict=True):
        header[name] = value
    if best > _BAD:
        header["qform_code"] = 0


def _distance(
    header: nib.Nifti1Header, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    try:
        return grid_distance(header.get_qform(), affine, shape)
    except ValueError:  # b² + c² + d² above 1
        return np.inf


def _quaternion(header: nib.Nifti1Header, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a, b, c, d) in double precision, with a ≥ 0."""
    rotation = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    rotation[:, 2] *= 1 if header["pixdim"][0] >= 0 else -1
    quaternion: NDArray[np.float64] = nib.quaternions.mat2quat(rotation)
    return quaternion if quaternion[0] >= 0 else -quaternion


def _roundings(quaternion: NDArray[np.float64]) -> Any:
    """Neighbours of (b, c, d) in single precision.

    The largest number is moved by a few steps; the others are stretched together until a is what
    it should be.
    """
    a, vector = quaternion[0], quaternion[1:]
    largest = int(np.abs(vector).argmax())
    others = [axis for axis in range(3) if axis != largest]
    rest = np.linalg.norm(vector[others])
    value = np.float32(vector[largest])
    for step, share in itertools.product(range(-3, 4), (0.0, 0.5, 1.0)):
        moved = np.float32(value + step * np.spacing(value))
        room = 1 - float(moved) ** 2 - a**2
        if room < 0:
            continue
        stretch = np.sqrt(room) / rest if rest > 0 else 1.0
        candidate = np.array(vector)
        candidate[others] *= 1 + share * (stretch - 1)
        candidate[largest] = moved
        yield [np.float32(number) for number in candidate]
