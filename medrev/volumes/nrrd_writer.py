"""Writing NRRD files, whole or not at all, one slice at a time.

The header is written here, not by a library: pynrrd puts the time of day into it, so that the
same volume would never give the same bytes, and holds the whole compressed volume in memory.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError, OutputError, counted
from medrev.files import atomic_path
from medrev.volumes.affine import check_affine, direction_cosines
from medrev.volumes.gzipped import write_gzip
from medrev.volumes.volume import to_numpy

#: NRRD's names of the types that are written; all others become float.
TYPES = {"uint8": "uint8", "int16": "int16", "int32": "int32", "float32": "float"}
#: Where each entry of a 3×3 matrix, row by row, lies in Dxx, Dxy, Dxz, Dyy, Dyz, Dzz.
MATRIX = (0, 1, 2, 1, 3, 4, 2, 4, 5)
#: Signs of the six components when the first axis is reversed.
MIRRORED = np.array([1, -1, -1, 1, 1, 1], np.float32)[:, None, None]
#: From RAS to LPS, the space of the file.
LPS = np.array([-1.0, -1.0, 1.0])

Volume = torch.Tensor | NDArray[Any]


def write_scalar_nrrd(
    path: str | Path,
    volume: Volume,
    affine: NDArray[Any] | torch.Tensor,
    *,
    overwrite: bool = False,
    kind: str = "vector",
    keys: Mapping[str, str] | None = None,
) -> Path:
    """Write a scalar volume, or one of several channels, as gzipped NRRD in LPS mm.

    The voxels keep their order. ``uint8``, ``int16``, ``int32`` and ``float32`` keep their type,
    truth values become ``uint8``, everything else ``float32``. The same volume always gives the
    same bytes.

    Args:
        path: File to write, ``.nrrd``.
        volume: ``(I, J, K)``, or ``(C, I, J, K)``; C = 1 gives a 3D file.
        affine: Voxel → RAS mm, 4×4.
        overwrite: Replace an existing file.
        kind: What the channels are, as NRRD calls it: ``vector``, ``list`` or ``RGB-color``.
        keys: Further ``key:=value`` lines of the header.

    Raises:
        OutputError: If the file exists, cannot be written or has another suffix.
        InputError: If the volume has another shape, is empty, or has NaN or infinite values.
        GeometryError: If the affine is singular, sheared or not finite.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_scalar_nrrd(folder / "ones.nrrd", np.ones((4, 5, 6)), np.eye(4)).name
        'ones.nrrd'
    """
    path = Path(path)
    values = _values(path, volume)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim not in (3, 4) or 0 in values.shape:
        raise InputError(
            f"{path}: the volume must be (I, J, K) or (C, I, J, K), got {tuple(values.shape)}"
        )
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    type_ = TYPES.get(values.dtype.name, "float")
    target = np.dtype("f4" if type_ == "float" else values.dtype).newbyteorder("<")
    header = _header(
        type_,
        values.shape,
        check_affine(affine, str(path)),
        kinds=() if values.ndim == 3 else (kind,),
        keys=keys,
    )
    # (C, I, J, K) → K slices of (J, I, C): the file's order, fastest axis last
    _write(path, header, lambda k: values[..., k].T.astype(target), values.shape[-1], overwrite)
    return path


def write_tensor_nrrd(
    path: str | Path,
    tensor: Volume,
    affine: NDArray[Any] | torch.Tensor,
    *,
    overwrite: bool = False,
) -> Path:
    """Write tensors ``(6, I, J, K)`` as gzipped NRRD in the form that 3D Slicer itself writes.

    They are Dxx, Dxy, Dxz, Dyy, Dyz, Dzz in the **voxel** frame, mm²/s.

    Nine components (``3D-matrix``) along the voxel axes, a measurement frame that equals the
    grid's direction cosines, and a right-handed grid: this one form is read right by all of
    Slicer's readers (others are rotated twice, or not at all). Where the affine is left-handed the
    voxels are written in reverse along i, and the components xy and xz change their sign; every
    tensor stays at its place in the world.

    Raises:
        OutputError: If the file exists, cannot be written or has another suffix.
        InputError: If there are not six components, or a value is NaN or infinite.
        GeometryError: If the affine is singular, sheared or not finite.
    """
    path = Path(path)
    values = _values(path, tensor)
    if values.ndim != 4 or values.shape[0] != 6 or 0 in values.shape:
        raise InputError(f"{path}: tensors must be (6, I, J, K), got {tuple(values.shape)}")
    grid = check_affine(affine, str(path))
    left_handed = bool(np.linalg.det(grid[:3, :3]) < 0)
    if left_handed:
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        flip[0, 3] = values.shape[1] - 1
        grid = grid @ flip

    def slice_of(k: int) -> NDArray[Any]:
        plane = values[..., k].astype(np.float32)
        if left_handed:
            plane = plane[:, ::-1] * MIRRORED
        return plane[list(MATRIX)].T.astype("<f4")

    header = _header(
        "float",
        (9, *values.shape[1:]),
        grid,
        kinds=("3D-matrix",),
        frame=direction_cosines(grid),
    )
    _write(path, header, slice_of, values.shape[-1], overwrite)
    return path


def _values(path: Path, volume: Volume) -> NDArray[Any]:
    if not path.name.endswith(".nrrd"):
        raise OutputError(f"{path}: the name must end in .nrrd")
    values = to_numpy(volume)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: not written: real numbers are needed, got {values.dtype}")
    if values.dtype.kind == "f":
        bad = int(values.size - np.isfinite(values).sum())
        if bad:
            raise InputError(
                f"{path}: not written: {counted(bad, 'value is', 'values are')} NaN or infinite"
            )
    return values


def _header(
    type_: str,
    sizes: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    kinds: tuple[str, ...],
    frame: NDArray[np.float64] | None = None,
    keys: Mapping[str, str] | None = None,
) -> bytes:
    """The text before the voxels; every vector is a column of a matrix, turned to LPS."""
    directions = ["none"] * len(kinds) + [_vector(affine[:3, n]) for n in range(3)]
    lines = [
        "NRRD0005",
        f"type: {type_}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in sizes)}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join((*kinds, 'domain', 'domain', 'domain'))}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(affine[:3, 3])}",
    ]
    if frame is not None:
        lines.append(f"measurement frame: {' '.join(_vector(frame[:, n]) for n in range(3))}")
    for key, value in (keys or {}).items():
        if ":=" in key or "\n" in key:
            raise ValueError(f"a key of a NRRD file cannot have ':=' or a line break, got {key!r}")
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"{key}:={escaped}")
    return ("\n".join(lines) + "\n\n").encode()


def _vector(ras: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(x)) for x in ras * LPS + 0.0)})"  # + 0.0: no "-0.0"


def _write(
    path: Path,
    header: bytes,
    slice_of: Callable[[int], NDArray[Any]],
    slices: int,
    overwrite: bool,
) -> None:
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        file.write(header)
        with write_gzip(file) as stream:
            for k in range(slices):
                stream.write(slice_of(k).tobytes())
