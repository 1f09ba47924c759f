"""Writing NIfTI files, whole or not at all, one volume of a series at a time."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError, OutputError, counted
from medrev.files import atomic_path
from medrev.volumes.affine import check_affine, grid_distance, rectify_affine
from medrev.volumes.gzipped import write_gzip
from medrev.volumes.reading import ONE_FILE
from medrev.volumes.volume import Volume, is_metatensor, plain

_FIELDS = ("quatern_b", "quatern_c", "quatern_d")
_GOOD = 1e-4  # mm; nearer than this no rounding is looked for
_BAD = 1e-2  # mm; farther than this a qform is not worth having


def set_forms(header: nib.Nifti1Header, affine: NDArray[np.float64], code: int) -> None:
    """Set sform and qform of a header to the same rectangular affine, as near as NIfTI allows.

    The header's shape is set, the affine (4×4, voxel → RAS mm) has no shear.

    NIfTI stores b, c and d of a unit quaternion in single precision; readers take
    ``a = sqrt(1 − b² − c² − d²)``. Where a is small (rotations near 180°, such as grids that run to
    the left and to the back, slightly oblique), their rounding is a large error of a: 0.3 mm at the
    far corner of a head. Other roundings do better; where none is good enough, the file says that
    it has no qform (code 0), and readers take the sform.
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


if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor

VECTOR_INTENTS = (1005, 1007)  # symmetric matrix, vector: their axis is the fifth
RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def write_nifti(
    path: str | Path, volume: "MetaTensor | Volume", *, overwrite: bool = False
) -> Path:
    """Write ``(C, I, J, K)`` as float32 NIfTI-1 in mm with sform = qform, whole or not at all.

    The path ends in ``.nii`` or ``.nii.gz``. A volume of one channel becomes a 3D file.

    The same volume always gives the same bytes (no file name or time in the gzip header). The
    space code and header fields found in ``volume.meta`` are written again; without them the
    space is 1 (scanner). Axes that are not quite orthogonal are made so
    (:func:`medrev.volumes.rectify_affine`), as on reading.

    Raises:
        OutputError: If the file exists, cannot be written or has another suffix.
        InputError: If the volume has no affine, is not 4D, or has NaN or infinite values.
        GeometryError: If the affine is singular, sheared or not finite.

    Example:
        >>> import medrev
        >>> scan = medrev.read_volume("sample_data/sub-13/dwi/sub-13_dwi.nii.gz", volumes=[0])
        >>> medrev.write_nifti("b0.nii.gz", scan).name
        'b0.nii.gz'
    """
    path, values = _checked(path, volume)
    header = _header(path, volume)
    header.set_data_dtype(np.float32)
    channels = (channel.numpy().astype("<f4", copy=False) for channel in values)
    return _save(path, header, channels, overwrite)


def write_color_nifti(
    path: str | Path, volume: "MetaTensor | Volume", *, overwrite: bool = False
) -> Path:
    """Write ``(3, I, J, K)``, red, green and blue from 0 to 1, as 3D NIfTI of type RGB24 (128).

    Viewers show it in colour. The path ends in ``.nii`` or ``.nii.gz``.

    Raises:
        OutputError, InputError, GeometryError: As :func:`write_nifti`; InputError also for
            another number of channels.
    """
    path, values = _checked(path, volume)
    if values.shape[0] != 3:
        raise InputError(f"{path}: red, green and blue are needed, got {values.shape[0]} channels")
    header = _header(path, volume)
    header.set_data_shape(tuple(values.shape[1:]))
    header.set_data_dtype(RGB24)
    pixels = (values.clamp(0, 1) * 255).round().to(torch.uint8)
    interleaved = pixels.permute(3, 2, 1, 0).contiguous().numpy()  # (K, J, I, 3)
    return _save(path, header, iter([interleaved]), overwrite, order="C")


def _checked(path: str | Path, volume: Any) -> tuple[Path, torch.Tensor]:
    path = Path(path)
    if not path.name.endswith(ONE_FILE):
        raise OutputError(f"{path}: the name must end in .nii or .nii.gz")
    if not (isinstance(volume, Volume) or is_metatensor(volume)):
        raise InputError(
            f"{path}: to write, a Volume or MetaTensor is needed, got {type(volume).__name__}"
        )
    if len(volume.shape) != 4 or 0 in volume.shape:
        raise InputError(f"{path}: the volume must be (C, I, J, K), got {tuple(volume.shape)}")
    values = plain(volume).detach().cpu()
    bad = sum(int((~torch.isfinite(channel)).sum()) for channel in values)
    if bad:
        raise InputError(
            f"{path}: not written: {counted(bad, 'voxel is', 'voxels are')} NaN or infinite"
        )
    return path, values


def _header(path: Path, volume: "MetaTensor | Volume") -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    channels, *spatial = volume.shape
    header.set_data_shape((*spatial, channels) if channels > 1 else tuple(spatial))
    fields = dict(volume.meta.get("nifti", {}))
    time_unit, time_step = fields.pop("time_unit", "unknown"), fields.pop("time_step", 1.0)
    if fields.get("intent_code") in VECTOR_INTENTS:  # they need a 5D file
        fields = {name: fields[name] for name in fields if not name.startswith("intent")}
    for name, value in fields.items():
        header[name] = value.encode("latin-1") if isinstance(value, str) else value
    header.set_xyzt_units("mm", time_unit)
    affine, _ = rectify_affine(check_affine(volume.affine, str(path)), tuple(spatial))
    set_forms(header, affine, int(volume.meta.get("space_code", 1)))
    if channels > 1:
        header["pixdim"][4] = time_step
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["magic"] = b"n+1"
    return header


def _save(
    path: Path, header: nib.Nifti1Header, arrays: Any, overwrite: bool, order: str = "F"
) -> Path:
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        if path.suffix == ".gz":
            with write_gzip(file) as stream:
                _write(stream, header, arrays, order)
        else:
            _write(file, header, arrays, order)
    return path


def _write(stream: Any, header: nib.Nifti1Header, arrays: Any, order: Any) -> None:
    stream.write(header.as_byteswapped("<").binaryblock)
    stream.write(bytes(4))  # no extensions
    for array in arrays:
        stream.write(array.tobytes(order=order))
