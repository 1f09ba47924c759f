"""Reading NRRD files: scalar volumes, and tensors with their measurement frame."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.files import check_file
from medrev.volumes.affine import usable_affine
from medrev.volumes.nrrd_data import RawHeader, nrrd_errors, nrrd_type, read_raw_header, read_voxels
from medrev.volumes.reading import check_memory, finished
from medrev.volumes.volume import Header, TensorLayout, Volume

#: From the axes of each space to RAS.
TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
TO_MM = {"m": 1000.0, "cm": 10.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
TO_MM |= dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "", "???"), 1.0)
#: Components of the kinds that are tensors, and where the six of the upper triangle are.
TENSORS = {
    "3d-symmetric-matrix": (6, [0, 1, 2, 3, 4, 5]),
    "3d-masked-symmetric-matrix": (7, [1, 2, 3, 4, 5, 6]),
    "3d-matrix": (9, [0, 1, 2, 4, 5, 8]),
    "3d-masked-matrix": (10, [1, 2, 3, 5, 6, 9]),
}
SPATIAL = ("domain", "space")
#: Fields with an entry for every axis.
PER_AXIS = (
    "sizes",
    "kinds",
    "space directions",
    "spacings",
    "thicknesses",
    "labels",
    "units",
    "centerings",
    "axis mins",
    "axis maxs",
)
ASYMMETRY = 1e-3  # of the largest component


def nrrd_header(path: str | Path) -> Header:
    """Shape, geometry and kind of a NRRD file (``.nrrd``, ``.nhdr``), without its voxels."""
    path = Path(path)
    check_file(path)
    return _header(read_raw_header(path))


def load_nrrd(path: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read a NRRD file, as :func:`medrev.volumes.read_volume` says.

    The kinds 3D-symmetric-matrix, 3D-masked-symmetric-matrix and 3D-matrix give C = 6, the upper
    triangle Dxx, Dxy, Dxz, Dyy, Dyz, Dzz as stored (the frame is ``header.tensor.frame``), zero
    where the mask component is below 1/2.

    Raises:
        InputError: Further, if matrices are not symmetric.
        GeometryError: Further, if its space is not an anatomical one.
    """
    path = Path(path)
    check_file(path)
    raw = read_raw_header(path)
    header = _header(raw)
    check_memory(header)
    stored = read_voxels(raw)
    axis = header.extra["component_axis"]
    stored = stored[None] if axis is None else np.moveaxis(stored, axis, 0)
    return finished(header, _components(path, header, stored), allow_nan)


def _header(raw_header: RawHeader) -> Header:
    path, raw = raw_header.path, raw_header.fields
    with nrrd_errors(path):
        _check_counts(path, raw)
        nrrd_type(raw_header)
    sizes = [int(n) for n in raw["sizes"]]
    kinds = [str(kind).strip().lower() for kind in raw.get("kinds", ["domain"] * len(sizes))]
    axis = _component_axis(path, sizes, kinds, raw)
    spatial = [n for n in range(len(sizes)) if n != axis]
    notes: list[str] = []
    affine, to_ras = _affine(path, raw, spatial, notes)
    i, j, k = (sizes[n] for n in spatial)
    affine, more = usable_affine(affine, (i, j, k), str(path))
    kind = "" if axis is None else kinds[axis]
    if kind == "complex":
        raise InputError(f"{path}: real numbers are needed, got complex ones: give the magnitudes")
    tensor, count = None, 1 if axis is None else sizes[axis]
    if kind in TENSORS:
        if count != TENSORS[kind][0]:
            raise InputError(
                f"{path}: the kind {kind} has {TENSORS[kind][0]} components, the axis has {count}"
            )
        frame = _measurement_frame(path, raw, to_ras)
        tensor, count = TensorLayout("fsl", frame), 6
    extra = {
        "component_axis": axis,
        "kind": kind,
        "dwi": "dwmri" in str(raw.get("modality", "")).lower(),
    }
    shape = (count, i, j, k)
    return Header(
        path,
        "NRRD",
        shape,
        affine,
        notes=(*notes, *more),
        tensor=tensor,
        extra=extra,
        files=tuple(dict.fromkeys((path, *raw_header.files))),
    )


def _check_counts(path: Path, raw: Any) -> None:
    """Each field has an entry for every axis, or for every axis of space."""
    dimension, space = int(raw["dimension"]), int(raw.get("space dimension", 3))
    if str(raw.get("space", "")).strip().lower().endswith(("-time", "rast", "last", "lpst")):
        raise GeometryError(
            f"{path}: the space {raw['space']} has time as an axis: name the space without it, and "
            "give that axis the direction none"
        )
    for name in PER_AXIS:
        if name in raw and len(raw[name]) != dimension:
            raise InputError(
                f"{path}: the field {name} must have {dimension} entries (dimension), got "
                f"{len(raw[name])}"
            )
    if space != 3 or ("space" in raw and "space dimension" in raw):
        raise GeometryError(
            f"{path}: the space dimension must be 3, without a space of another name, got {space}"
        )
    vectors = [row for row in raw.get("space directions", ()) if row is not None]
    for name, entries in (
        ("space directions", vectors),
        ("space origin", [raw[name] for name in ("space origin",) if name in raw]),
    ):
        if any(len(entry) != space for entry in entries):
            raise GeometryError(f"{path}: the vectors of {name} must have {space} numbers")
    units = raw.get("space units", [""] * space)
    if len(units) != space:
        raise GeometryError(f"{path}: space units must be {space} words, got {len(units)}")


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
    if space and space not in TO_RAS:
        known = "right-anterior-superior, left-anterior-superior or left-posterior-superior"
        raise GeometryError(f"{path}: the space must be {known}, got {space}")
    to_ras = np.diag(np.array(TO_RAS[space or "lps"], dtype=float))
    if not space:
        notes.append(
            "the header names no space: position unknown, and its axes are assumed to run to the "
            "left, to the back and up"
        )
    if "space directions" not in raw:
        rows = np.diag(_spacings(path, raw, spatial, notes))
        if space:
            notes.append("the header has no space directions: its axes are taken for the grid's")
    else:
        rows = np.array([raw["space directions"][n] for n in spatial], dtype=float)
    units = [str(unit).strip().lower() for unit in raw.get("space units", ["mm"] * 3)]
    if any(unit not in TO_MM for unit in units):
        raise GeometryError(
            f"{path}: the space units must be mm, cm, m or um, got {', '.join(units)}"
        )
    scale = np.array([TO_MM[unit] for unit in units])
    if (scale != 1).any():
        notes.append(f"lengths are in {', '.join(units)}: converted to mm")
    origin = np.asarray(raw.get("space origin", np.zeros(3)), dtype=float)
    if not np.isfinite(origin).all():
        origin = np.zeros(3)
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ (rows * scale).T
    affine[:3, 3] = to_ras @ (origin * scale)
    return affine, to_ras


def _spacings(path: Path, raw: Any, spatial: list[int], notes: list[str]) -> list[float]:
    """Voxel edges of a header without directions."""
    if "spacings" not in raw and "axis mins" in raw:
        raise GeometryError(
            f"{path}: only axis mins and axis maxs tell the size of voxels: write spacings or "
            "space directions instead"
        )
    if "spacings" not in raw:
        notes.append("the header does not say the size of voxels: 1 mm is assumed")
        return [1.0] * 3
    chosen = [float(raw["spacings"][n]) for n in spatial]
    if not (np.isfinite(chosen).all() and min(chosen) > 0):
        raise GeometryError(f"{path}: spacings of the axes of space must be positive, got {chosen}")
    return chosen


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
