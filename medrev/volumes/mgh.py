"""FreeSurfer's volumes (``.mgz``, ``.mgh``): read, and written."""

import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from numpy.typing import NDArray

from medrev.errors import InputError, OutputError
from medrev.files import atomic_path, check_file
from medrev.volumes.affine import usable_affine, voxel_size
from medrev.volumes.gzipped import most_bytes, open_binary, write_gzip
from medrev.volumes.reading import check_memory, finished, one_line
from medrev.volumes.volume import Header, Volume

#: Endings of their names.
MGH = (".mgz", ".mgh")
#: Bytes before the first voxel, and those of them that say something.
_OFFSET, _SAID = 284, 90


def mgh_header(path: str | Path) -> Header:
    """Shape and geometry, without voxels."""
    path = Path(path)
    check_file(path)
    with one_line(path), open_binary(path) as stream:
        return _header(path, _read_header(path, stream))


def load_mgh(path: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read a volume of FreeSurfer's, as :func:`medrev.volumes.read_volume` says."""
    path = Path(path)
    check_file(path)
    with one_line(path), open_binary(path) as stream:
        raw = _read_header(path, stream)
        header, dtype = _header(path, raw), raw.get_data_dtype()
        size = math.prod(header.shape) * dtype.itemsize
        if most_bytes(path) - _OFFSET >= size:
            check_memory(header)
            data = stream.read(size)
        else:
            data = b""
        if len(data) < size:
            raise InputError(
                f"{path}: truncated: the header promises {size} bytes of voxels, got "
                f"{len(data) or max(path.stat().st_size - _OFFSET, 0)}: copy it again"
            )
        while stream.read(1 << 20):  # at its end a gzip stream checks its sum
            pass
    channels, i, j, k = header.shape
    stored = np.frombuffer(data, dtype).reshape(i, j, k, channels, order="F")
    return finished(header, np.moveaxis(stored, -1, 0), allow_nan)


def write_mgh(path: str | Path, volume: Volume, *, overwrite: bool = False) -> Path:
    """Write a volume as float32 ``.mgz`` or ``.mgh``, whole or not at all.

    Raises:
        OutputError: If the file exists, cannot be written or has another suffix.
        InputError: If the volume has NaN or infinite values.
    """
    path = Path(path)
    if not path.name.lower().endswith(MGH):
        raise OutputError(f"{path}: the name must end in {' or '.join(MGH)}")
    values = np.asarray(volume.values.detach().cpu().numpy(), ">f4")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: not written: it has NaN or infinite voxels")
    data = np.moveaxis(values, 0, -1)
    header = MGHHeader()
    header.set_data_shape(data.shape)
    header.set_data_dtype(np.float32)
    _set_affine(header, volume.affine)
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        if path.name.lower().endswith(".mgz"):
            with write_gzip(file) as stream:
                _write(stream, header, data)
        else:
            _write(file, header, data)
    return path


def _write(stream: Any, header: Any, data: Any) -> None:
    stream.write(header.binaryblock[:_SAID].ljust(_OFFSET, b"\0"))
    stream.write(data.tobytes(order="F"))


def _set_affine(header: Any, affine: NDArray[np.float64]) -> None:
    edges = np.array(voxel_size(affine))
    header["delta"] = edges
    header["Mdc"] = (affine[:3, :3] / edges).T
    header["Pxyz_c"] = affine[:3, :3] @ (header["dims"][:3] / 2) + affine[:3, 3]
    header["goodRASFlag"] = 1


def _read_header(path: Path, stream: IO[bytes]) -> Any:
    """The header; the stream then stands at the first voxel."""
    start = stream.read(_OFFSET)
    if len(start) < _OFFSET or int.from_bytes(start[:4], "big") != 1:
        raise InputError(f"{path}: truncated, or not a volume of FreeSurfer's (.mgz, .mgh)")
    header = MGHHeader(start[:_SAID], check=False)
    if not int.from_bytes(start[28:30], "big"):
        # FreeSurfer's: left, inferior, anterior; nibabel fills in others.
        header["Mdc"], header["goodRASFlag"] = [[-1, 0, 0], [0, 0, -1], [0, 1, 0]], 0
    return header


def _header(path: Path, raw: Any) -> Header:
    i, j, k, channels = (int(n) for n in raw["dims"])
    if min(i, j, k, channels) < 1:
        raise InputError(f"{path}: the volume is empty, its shape is {i, j, k, channels}")
    try:
        raw.get_data_dtype()
    except KeyError:
        raise InputError(f"{path}: voxels of an unknown type {int(raw['type'])}") from None
    affine, notes = usable_affine(raw.get_affine(), (i, j, k), str(path))
    if int(raw["goodRASFlag"]) != 1:
        notes = ("the header has no position and axes: those of FreeSurfer are assumed", *notes)
    return Header(path, "MGH", (channels, i, j, k), affine, notes=notes)
