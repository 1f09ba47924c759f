"""Reading NIfTI files, streaming one volume of a series at a time."""

import functools
import io
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.files import check_file, is_present
from medrev.volumes.affine import check_affine, grid_distance, usable_affine, voxel_size
from medrev.volumes.gzipped import most_bytes, open_binary
from medrev.volumes.reading import (
    check_memory,
    not_finite,
    one_line,
    rounding_notes,
    strip_suffix,
    to_float32,
)
from medrev.volumes.volume import Header, TensorLayout, Volume

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor

QUIET = logging.getLogger(f"{__name__}.header")  # nibabel's own would print beside our message
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False

#: Endings of the two files of a volume.
HEADERS, VOXELS = (".hdr", ".hdr.gz"), (".img", ".img.gz")
TO_MM = {"meter": 1000.0, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}
SYMMETRIC_MATRIX = 1005  # intent code: rows of the lower triangle on the fifth axis
FORMS_DIFFER = 1e-2  # mm
#: Header fields that go with the values from file to file.
KEPT = ("descrip", "aux_file", "cal_min", "cal_max", "toffset", "intent_name", "intent_code")
KEPT_INTENT = ("intent_p1", "intent_p2", "intent_p3")


def read_nifti(
    path: str | Path, *, volumes: Sequence[int] | None = None, allow_nan: bool = False
) -> "MetaTensor":
    """Read a 3D or 4D NIfTI-1 or NIfTI-2 file: ``.nii``, ``.nii.gz``, or ``.hdr`` and ``.img``.

    The file is streamed: memory is the float32 result and one volume. All of it is read, volumes
    that are not kept too, so that damage is found wherever it lies. A 5D file whose fourth axis
    is 1 (ANTs and ITK tensors) is read as its C components.

    Args:
        path: The file; of two files either.
        volumes: Indices of the volumes to keep of a 4D file, in this order (default: all).
        allow_nan: Accept NaN and infinity and leave them as they are.

    Returns:
        Volume ``(C, I, J, K)``, float32, scale factors applied; C is 1 for a 3D file. Its
        ``affine`` (4×4, float64) leads from voxels to RAS mm, whatever the file's unit of length;
        axes that are not quite orthogonal are made so (:func:`medrev.volumes.rectify_affine`).
        ``meta`` has ``filename_or_obj``, ``space_code`` (NIfTI code 1 to 5), ``affine_source``
        (sform, qform, or pixdim where both codes are 0), ``notes`` on the geometry, and ``nifti``
        with the header fields that :func:`write_nifti` writes again.

    Raises:
        InputError: If the file is missing, empty, truncated, not NIfTI (ANALYZE files do not say
            which side is left), not 3D or 4D, has complex or colour values, or NaN or infinite
            ones.
        GeometryError: If the affine is singular, sheared or not finite.
    """
    return load_nifti(path, volumes=volumes, allow_nan=allow_nan).as_metatensor()


def load_nifti(
    path: str | Path, *, volumes: Sequence[int] | None = None, allow_nan: bool = False
) -> Volume:
    """As :func:`read_nifti`, without MONAI's classes."""
    path = Path(path)
    first, place = _files(path)
    raw = _read_header(first)
    header = _header(path, raw, first, place)
    wanted = _wanted(path, volumes, header.shape[0])
    with one_line(place), open_binary(place) as stream:
        data, notes = _read_data(place, stream, raw, header, wanted, allow_nan=allow_nan)
    header = replace(header, notes=(*header.notes, *notes))
    fields = {name: _value(raw[name].item()) for name in KEPT + KEPT_INTENT}
    fields["time_unit"] = raw.get_xyzt_units()[1]
    fields["time_step"] = float(raw["pixdim"][4])
    meta = {
        "filename_or_obj": str(path),
        "space_code": header.space_code,
        "affine_source": header.affine_source,
        "notes": header.notes,
        "nifti": fields,
    }
    return Volume(torch.from_numpy(data), header.affine, meta, header)


def nifti_header(path: str | Path) -> Header:
    """Shape, geometry and what is to be known of them, without reading voxels.

    Raises:
        InputError: If the file is missing, empty, not NIfTI, or not 3D or 4D.
        GeometryError: If the affine is singular, sheared or not finite.
    """
    path = Path(path)
    first, place = _files(path)
    return _header(path, _read_header(first), first, place)


def nifti_shape(path: str | Path) -> tuple[int, int, int, int]:
    """The shape ``(C, I, J, K)`` that :func:`read_nifti` would give, from the header alone.

    Raises:
        InputError: If the file is missing, empty, not NIfTI, or not 3D or 4D.
    """
    path = Path(path)
    first, _ = _files(path)
    return _volume_shape(path, _read_header(first))


def _files(path: Path) -> tuple[Path, Path]:
    """The file of the header and that of the voxels, which are mostly one.

    Raises:
        InputError: One of them is not there.
    """
    check_file(path)
    if not path.name.lower().endswith((*HEADERS, *VOXELS)):
        return path, path
    stem, ending = strip_suffix(path), path.name[len(strip_suffix(path)) :].lower()
    others = VOXELS if ending in HEADERS else HEADERS
    names = [f"{stem}{other}" for name in others for other in (name, name.upper())]
    beside = [path.with_name(name) for name in names]
    other = next((file for file in beside if is_present(file)), None)
    if other is None:
        lacking = "voxels are" if ending in HEADERS else "header is"
        raise InputError(f"{path}: its {lacking} not beside it, in {names[0]}: copy both files")
    return (path, other) if ending in HEADERS else (other, path)


def _read_header(path: Path) -> Any:
    """The header, which is looked at several times where a cohort is searched."""
    with one_line(path):
        stat = path.stat()
    which = (stat.st_ino, stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size)
    return _checked_header(path, which).copy()


@functools.lru_cache(maxsize=4096)
def _checked_header(path: Path, which: tuple[int, ...]) -> Any:
    """The header of a file as it is now: ``which`` changes when it is written or replaced."""
    with one_line(path), open_binary(path) as stream:
        start = stream.read(540)
    sizes = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
    if not sizes & {348, 540}:
        raise InputError(
            f"{path}: not a NIfTI file in spite of its name (it does not begin with the size of a "
            "header, 348 or 540): copy or export it again"
        )
    magic = start[4:7] if 540 in sizes else start[344:347]
    alone = not path.name.lower().endswith((*HEADERS, *VOXELS))
    if not alone and magic[:2] not in (b"ni", b"n+") and 348 in sizes:
        raise InputError(
            f"{path}: ANALYZE, which does not say where left is: convert it to NIfTI with the "
            "program that wrote it, or one that is told (fslchfiletype NIFTI_GZ), and look which "
            "side is which"
        )
    kinds: Any = (nib.Nifti1Image, nib.Nifti2Image) if alone else (nib.Nifti1Pair, nib.Nifti2Pair)
    cls = kinds[540 in sizes].header_class
    place = start[16:24] if 540 in sizes else start[40:42]
    axes = {int.from_bytes(place, order) for order in ("little", "big")}
    if not axes & set(range(1, 8)):
        raise InputError(
            f"{path}: damaged: the header's number of axes (dim[0]) must be 1 to 7, got {min(axes)}"
        )
    if len(start) < cls.sizeof_hdr:
        raise InputError(
            f"{path}: truncated: {len(start)} bytes, the header alone has {cls.sizeof_hdr}"
        )
    header = cls.from_fileobj(io.BytesIO(start[: cls.sizeof_hdr]), check=False)
    if not header["magic"].item().startswith(b"n+" if alone else b"ni"):
        one = path.with_suffix("")
        advice = (
            f"its voxels are those of another file: call the two {one.name}.hdr and {one.name}.img"
            if magic[:2] == b"ni"
            else f"voxels follow the header: call it {one.name}.nii"
            if magic[:2] == b"n+"
            else "correct the header, or export it again"
        )
        raise InputError(f"{path}: the header's magic is {magic.decode('latin-1')!r}: {advice}")
    code = max(int(header["sform_code"]), 0) or int(header["qform_code"])
    if code not in range(6):
        raise GeometryError(
            f"{path}: sform_code and qform_code must be 0 to 5, got {code}: correct the header"
        )
    if header["sform_code"] <= 0 and not header["pixdim"][1:4].all():
        raise GeometryError(
            f"{path}: the header does not say the size of voxels (pixdim has 0): correct it"
        )
    try:
        header.check_fix(logger=QUIET, error_level=40)
        header.get_xyzt_units()
        header.get_slope_inter()
        if header.get_data_offset() < 0:
            raise ValueError(f"vox_offset is {header.get_data_offset()}")
    except KeyError:
        code = int(header["xyzt_units"])
        raise InputError(f"{path}: the NIfTI header has an unknown unit code {code}") from None
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: the NIfTI header is not valid: {error}") from error
    return header


def _value(item: Any) -> Any:
    return item.decode("latin-1") if isinstance(item, bytes) else item


def _volume_shape(path: Path, header: Any) -> tuple[int, int, int, int]:
    """(C, I, J, K) of a file with 3 or 4 axes; trailing axes of length 1 do not count."""
    shape = tuple(int(n) for n in header.get_data_shape())
    if min(shape, default=0) < 1:
        raise InputError(f"{path}: the volume is empty, its shape is {shape}")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) not in (3, 4):
        raise InputError(
            f"{path}: a 3D or 4D volume is needed, got {len(shape)}D with shape {shape}"
        )
    i, j, k, c = (*shape, 1)[:4]
    return c, i, j, k


def _wanted(path: Path, volumes: Sequence[int] | None, count: int) -> list[int]:
    wanted = list(range(count)) if volumes is None else [int(v) for v in volumes]
    if not wanted or min(wanted) < 0 or max(wanted) >= count:
        raise InputError(f"{path}: volumes 0 to {count - 1} can be read, asked for {wanted}")
    return wanted


def _header(path: Path, raw: Any, *files: Path) -> Header:
    """The header in the words of all formats."""
    shape = _volume_shape(path, raw)
    affine, notes = _affine(path, raw, shape)
    space, source = _space(raw)
    tensor = None
    if len(raw.get_data_shape()) == 5 and shape[0] == 6:
        symmetric = int(raw["intent_code"]) == SYMMETRIC_MATRIX
        tensor = TensorLayout(order="ants" if symmetric else None)
    one = tuple(dict.fromkeys(files))
    return Header(path, "NIfTI", shape, affine, space, source, notes, tensor, files=one)


def _affine(
    path: Path, raw: Any, shape: tuple[int, int, int, int]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The rectangular affine in mm, and what is to be said about it."""
    unit = raw.get_xyzt_units()[0]
    notes = []

    def in_mm(affine: Any) -> NDArray[np.float64]:
        affine = np.array(affine, dtype=np.float64)
        affine[:3] *= TO_MM[unit]
        return affine

    try:
        affine = check_affine(in_mm(raw.get_best_affine()), str(path))
    except (HeaderDataError, ValueError) as error:
        if isinstance(error, GeometryError):
            raise
        raise GeometryError(f"{path}: the qform is not valid: {error}") from error
    if unit in ("meter", "micron"):
        notes.append(f"lengths are in {unit}s: converted to mm")
    if raw["sform_code"] > 0 and raw["qform_code"] > 0:
        try:
            apart = grid_distance(affine, in_mm(raw.get_qform()), shape)
        except (HeaderDataError, ValueError):
            apart = np.inf
        if not apart <= FORMS_DIFFER:
            how = f"by up to {apart:.3g} mm" if np.isfinite(apart) else "(it is not valid)"
            notes.append(
                f"the qform differs from the sform {how}: the sform is used, ITK and 3D Slicer "
                "may show the file elsewhere"
            )
    elif raw["sform_code"] <= 0 and raw["qform_code"] <= 0:
        notes.append(
            "neither sform nor qform is set: position unknown, and left and right only assumed "
            "(the first axis is taken to run from right to left, as in Analyze files)"
        )
    affine, more = usable_affine(affine, shape, str(path))
    stated = np.abs(np.asarray(raw["pixdim"][1:4], dtype=np.float64)) * TO_MM[unit]
    edges = np.array(voxel_size(affine))
    if raw["sform_code"] > 0 >= raw["qform_code"] and not np.allclose(stated, edges, rtol=0.01):
        shown = " and ".join(" ".join(f"{edge:.4g}" for edge in one) for one in (edges, stated))
        notes.append(
            f"the sform's voxels and those of pixdim differ ({shown} mm): the sform is used, FSL "
            "goes by pixdim"
        )
    return affine, (*notes, *more)


def _space(header: Any) -> tuple[int, str]:
    for name in ("sform", "qform"):
        code = int(header[f"{name}_code"])
        if code > 0:
            return code, name
    return 1, "pixdim"


def _read_data(
    path: Path,
    stream: IO[bytes],
    raw: Any,
    header: Header,
    wanted: list[int],
    *,
    allow_nan: bool,
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The wanted volumes, and what is to be said of them; the whole file is checked for damage."""
    dtype = raw.get_data_dtype()
    if dtype.kind not in "iuf":
        has = "complex numbers: give the magnitudes" if dtype.kind == "c" else "colours"
        raise InputError(f"{path}: real numbers are needed, the file has {has}")
    count, *grid = header.shape
    size = math.prod(grid) * dtype.itemsize
    if raw.is_single and raw.get_data_offset() < raw.single_vox_offset:
        raise InputError(
            f"{path}: vox_offset must be {raw.single_vox_offset} or more, behind the header, "
            f"got {raw.get_data_offset()}"
        )
    possible = most_bytes(path) - raw.get_data_offset()
    if possible < count * size:
        raise InputError(
            f"{path}: truncated: the header promises {count * size} bytes of voxels, "
            f"got {max(possible, 0)}: copy it again"
        )
    check_memory(header, len(wanted))
    stream.seek(raw.get_data_offset())
    places: dict[int, list[int]] = {}
    for place, index in enumerate(wanted):
        places.setdefault(index, []).append(place)
    data = np.empty((len(wanted), *grid), np.float32)
    bad, first, notes = 0, None, {}
    for index in range(count):
        buffer = stream.read(size)
        if len(buffer) < size:
            raise InputError(
                f"{path}: truncated: the header promises {count * size} bytes of voxels, "
                f"got {index * size + len(buffer)}: copy it again"
            )
        if index not in places:
            continue
        values = _scaled(np.frombuffer(buffer, dtype), raw)
        target = data[places[index][0]]
        target[...] = to_float32(path, values).reshape(grid, order="F")
        notes.update(dict.fromkeys(rounding_notes(values, target.ravel(order="F"))))
        for place in places[index][1:]:
            data[place] = target
        finite = np.isfinite(target)
        if not finite.all():
            bad += int((~finite).sum())
            where = tuple(int(n) for n in np.argwhere(~finite)[0])
            first = first or (f"{where} of volume {index}" if count > 1 else f"{where}")
    beyond = 0
    while block := stream.read(1 << 20):  # at its end a gzip stream checks its sum
        beyond += len(block)
    if beyond >= size:
        notes[f"the file holds {beyond} bytes more than its header says: they are not read"] = None
    if bad and not allow_nan:
        raise InputError(not_finite(path, bad, str(first)))
    return data, tuple(notes)


def _scaled(stored: NDArray[Any], raw: Any) -> NDArray[Any]:
    """Slope and intercept applied in double precision, as nibabel does."""
    slope, offset = raw.get_slope_inter()
    if slope is None or (slope, offset) == (1.0, 0.0):
        return stored
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float64) * slope + offset
