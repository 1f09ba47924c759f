"""Reading NRRD files: scalar volumes, and tensors with their measurement frame."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.files import check_file
from medrev.volumes.affine import usable_affine
from medrev.volumes.gzipped import read_gzip
from medrev.volumes.reading import one_line
from medrev.volumes.volume import Header, TensorLayout, Volume

__all__ = ["load_nrrd", "nrrd_header"]

#: From the axes of each space to RAS.
TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
TO_MM = {"mm": 1.0, "millimeter": 1.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
#: Names of the types, by NumPy's code.
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
#: Components of the kinds that are tensors, and where the six of the upper triangle are.
TENSORS = {
    "3d-symmetric-matrix": (6, [0, 1, 2, 3, 4, 5]),
    "3d-masked-symmetric-matrix": (7, [1, 2, 3, 4, 5, 6]),
    "3d-matrix": (9, [0, 1, 2, 4, 5, 8]),
    "3d-masked-matrix": (10, [1, 2, 3, 5, 6, 9]),
}
SKIPS = ("byte skip", "byteskip", "line skip", "lineskip")
SPATIAL = ("domain", "space")
ASYMMETRY = 1e-3  # of the largest component


def nrrd_header(path: str | Path) -> Header:
    """Shape, geometry and kind of a NRRD file (``.nrrd``, ``.nhdr``), without its voxels.

    Raises:
        InputError: If the file is missing, damaged, no NRRD, or not a volume in 3D.
        GeometryError: If its space is not an anatomical one, or its axes are singular or sheared.
    """
    path = Path(path)
    check_file(path)
    return _header(path, _raw_header(path))


def load_nrrd(path: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read a NRRD file (``.nrrd``, or ``.nhdr`` with its data beside it).

    Args:
        path: The file.
        allow_nan: Accept NaN and infinity and leave them as they are.

    Returns:
        Volume ``(C, I, J, K)``, float32. The kinds 3D-symmetric-matrix, 3D-masked-symmetric-matrix
        and 3D-matrix give C = 6, the upper triangle Dxx, Dxy, Dxz, Dyy, Dyz, Dzz as stored (the
        frame is ``header.tensor.frame``), zero where the mask component is below 1/2.

    Raises:
        InputError: If the file is missing, damaged, no NRRD, not a volume in 3D, its matrices are
            not symmetric, or values are NaN or infinite.
        GeometryError: If its space is not an anatomical one, or its axes are singular or sheared.
    """
    path = Path(path)
    check_file(path)
    raw = _raw_header(path)
    header = _header(path, raw)
    stored = _voxels(path, raw)
    if stored.dtype.kind not in "iuf":
        raise InputError(f"{path}: real numbers are needed, the file has {stored.dtype}")
    axis = header.extra["component_axis"]
    stored = stored[None] if axis is None else np.moveaxis(stored, axis, 0)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(_components(path, header, stored), dtype=np.float32)
    finite = np.isfinite(values).all(axis=0)
    if not finite.all() and not allow_nan:
        where = tuple(int(n) for n in np.argwhere(~finite)[0])
        raise InputError(
            f"{path}: {int((~finite).sum())} voxels are NaN or infinite, the first at {where}: "
            "replace them (0 outside the brain) first"
        )
    meta = {"filename_or_obj": str(path), "space_code": 1, "notes": header.notes}
    return Volume(torch.from_numpy(values), header.affine, meta, header)


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn what pynrrd raises into one line."""
    import nrrd

    with one_line(path, nrrd.NRRDError, ValueError, KeyError, IndexError, TypeError):
        yield


def _raw_header(path: Path) -> Any:
    """The header as pynrrd gives it."""
    import nrrd

    with _errors(path), open(path, "rb") as stream:
        if stream.read(4) != b"NRRD":
            raise InputError(f"{path}: not a NRRD file (it does not begin with NRRD)")
        stream.seek(0)
        raw = nrrd.read_header(stream)
        missing = [name for name in ("type", "sizes", "encoding") if name not in raw]
        if missing:
            raise InputError(f"{path}: truncated: the header has no {' and no '.join(missing)}")
        return raw


def _dtype(path: Path, raw: Any) -> np.dtype[Any]:
    name = " ".join(str(raw["type"]).split()).lower()
    code = next((code for code, names in TYPES.items() if name in names), None)
    if code is None:
        raise InputError(f"{path}: the type must be whole or real numbers, got {name}")
    dtype = np.dtype(code)
    return dtype.newbyteorder(">" if str(raw.get("endian", "little")).lower() == "big" else "<")


def _voxels(path: Path, raw: Any) -> NDArray[Any]:
    """The array as stored, its fastest axis first."""
    import nrrd

    plain = not any(name in raw for name in ("data file", "datafile", *SKIPS))
    encoding = str(raw["encoding"]).lower()
    with _errors(path), open(path, "rb") as stream:
        nrrd.read_header(stream)
        dtype = _dtype(path, raw)
        if not plain or encoding not in ("raw", "gzip", "gz"):
            return np.asarray(nrrd.read_data(raw, stream, str(path), index_order="F"))
        with contextlib.ExitStack() as stack:
            source: Any = stream
            if encoding != "raw":  # pynrrd does not notice a stream that ends too early
                source = stack.enter_context(read_gzip(stream))
            content = source.read()
    size = int(np.prod(raw["sizes"])) * dtype.itemsize
    if len(content) < size:
        raise InputError(
            f"{path}: truncated: the header promises {size} bytes of voxels, got {len(content)}: "
            "copy it again"
        )
    return np.frombuffer(content[:size], dtype).reshape(raw["sizes"], order="F")


def _header(path: Path, raw: Any) -> Header:
    sizes = [int(n) for n in raw["sizes"]]
    kinds = [str(kind).strip().lower() for kind in raw.get("kinds", ["domain"] * len(sizes))]
    axis = _component_axis(path, sizes, kinds, raw)
    spatial = [n for n in range(len(sizes)) if n != axis]
    notes: list[str] = []
    affine, to_ras = _affine(path, raw, spatial, notes)
    i, j, k = (sizes[n] for n in spatial)
    affine, more = usable_affine(affine, (i, j, k), str(path))
    kind = "" if axis is None else kinds[axis]
    tensor, count = None, 1 if axis is None else sizes[axis]
    if kind in TENSORS:
        if count != TENSORS[kind][0]:
            raise InputError(
                f"{path}: the kind {kind} has {TENSORS[kind][0]} components, the axis has {count}"
            )
        frame = _measurement_frame(path, raw, to_ras)
        tensor, count = TensorLayout("fsl", frame), 6
    extra = {"component_axis": axis, "kind": kind, "dwi": "dwmri" in _modality(raw)}
    shape = (count, i, j, k)
    return Header(path, "NRRD", shape, affine, 1, "header", (*notes, *more), tensor, extra)


def _modality(raw: Any) -> str:
    return str(raw.get("modality", "")).lower()


def _component_axis(path: Path, sizes: list[int], kinds: list[str], raw: Any) -> int | None:
    """The axis that is not of space, if there is one."""
    if min(sizes, default=0) < 1:
        raise InputError(f"{path}: the volume is empty, its sizes are {sizes}")
    directions = raw.get("space directions")
    if directions is not None:
        others = [n for n, row in enumerate(directions) if row is None or np.isnan(row).any()]
    else:
        others = [n for n, kind in enumerate(kinds) if kind not in SPATIAL]
        if len(sizes) == 4 and not others:
            raise InputError(
                f"{path}: four axes, but neither kinds nor space directions say which of them "
                "holds the components"
            )
    if len(sizes) - len(others) != 3 or len(others) > 1:
        raise InputError(
            f"{path}: three axes of space and at most one of components are needed, got sizes "
            f"{sizes} of the kinds {', '.join(kinds)}"
        )
    return others[0] if others else None


def _affine(
    path: Path, raw: Any, spatial: list[int], notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxel → RAS mm, and the matrix from the file's space to RAS."""
    space = str(raw.get("space", "")).strip().lower()
    affine = np.eye(4)
    if "space directions" not in raw or not space:
        spacings = np.asarray(raw.get("spacings", np.ones(len(raw["sizes"]))), dtype=float)
        chosen = np.where(np.isfinite(spacings[spatial]), spacings[spatial], 1.0)
        affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) * chosen
        notes.append(
            "the header has no space or no space directions: position unknown, and the axes are "
            "assumed to run to the left, to the back and up"
        )
        return affine, np.diag([-1.0, -1.0, 1.0])
    if space not in TO_RAS:
        known = "right-anterior-superior, left-anterior-superior or left-posterior-superior"
        raise GeometryError(f"{path}: the space must be {known}, got {space}")
    to_ras = np.diag(np.array(TO_RAS[space], dtype=float))
    rows = np.array([raw["space directions"][n] for n in spatial], dtype=float)
    units = [str(unit).strip().lower() for unit in raw.get("space units", ["mm"] * 3)]
    if any(unit not in TO_MM for unit in units):
        raise GeometryError(f"{path}: the space units must be mm, m or um, got {', '.join(units)}")
    scale = np.array([TO_MM[unit] for unit in units])
    if (scale != 1).any():
        notes.append(f"lengths are in {', '.join(units)}: converted to mm")
    origin = np.asarray(raw.get("space origin", np.zeros(3)), dtype=float)
    if not np.isfinite(origin).all():
        origin = np.zeros(3)
    affine[:3, :3] = to_ras @ (rows * scale).T
    affine[:3, 3] = to_ras @ (origin * scale)
    return affine, to_ras


def _measurement_frame(
    path: Path, raw: Any, to_ras: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """From the components' axes to RAS; the vectors in the header are the matrix's columns."""
    if "measurement frame" not in raw:
        return None
    columns = np.asarray(raw["measurement frame"], dtype=float)
    if columns.shape != (3, 3) or not np.isfinite(columns).all():
        raise GeometryError(f"{path}: the measurement frame must be three vectors of three numbers")
    matrix = columns.T
    u, _, vt = np.linalg.svd(matrix)
    if np.abs(matrix - u @ vt).max() > 1e-3:
        raise GeometryError(
            f"{path}: the measurement frame must be a rotation (orthogonal unit vectors), got "
            f"{np.round(columns, 4).tolist()}"
        )
    return np.asarray(to_ras @ (u @ vt))


def _components(path: Path, header: Header, stored: NDArray[Any]) -> NDArray[Any]:
    """The channels of the volume; of tensors the upper triangle."""
    kind = header.extra["kind"]
    if kind not in TENSORS:
        return stored
    chosen = TENSORS[kind][1]
    if "symmetric" not in kind:
        matrix = stored[-9:]
        mirrored = matrix[[0, 3, 6, 1, 4, 7, 2, 5, 8]]
        with np.errstate(invalid="ignore"):
            largest, apart = np.nanmax(np.abs(matrix)), np.nanmax(np.abs(matrix - mirrored))
        if apart > ASYMMETRY * largest:
            raise InputError(
                f"{path}: the 3×3 matrices are not symmetric (by up to {apart:.3g}): "
                "they are no diffusion tensors"
            )
    values = stored[chosen]
    return values if "masked" not in kind else values * (stored[:1] >= 0.5)
