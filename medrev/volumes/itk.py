"""Reading what SimpleITK reads: MetaImage files, 16-bit colours, compressed pixels of DICOM."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.files import check_file
from medrev.volumes.affine import usable_affine
from medrev.volumes.reading import numbered, one_line
from medrev.volumes.values import check_memory, finished
from medrev.volumes.volume import Header, Volume

__all__ = [
    "load_dicom_pixels",
    "load_metaimage",
    "load_pixels",
    "metaimage_header",
    "save_pixels",
]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Units of length of MetaImage, which ITK leaves aside.
TO_MM = {"mm": 1.0, "um": 1e-3, "cm": 10.0}


def metaimage_header(path: str | Path) -> Header:
    """Shape and geometry of a MetaImage (``.mha``, ``.mhd``), without its voxels.

    Raises:
        InputError: If the file is missing, damaged, or not a volume in 3D.
        GeometryError: If its axes are singular or sheared.
    """
    path = Path(path)
    check_file(path)
    fields = _fields(path)
    files = (path, *(path.with_name(name) for name in _data_files(path, fields)))
    for file in files[1:]:
        try:
            check_file(file)
        except InputError as error:
            raise InputError(f"{path}: of its data, {error}") from None
    with _errors(path):
        reader = _itk().ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    size = tuple(int(n) for n in reader.GetSize())
    if len(size) != 3:
        raise InputError(f"{path}: a 3D volume is needed, got {len(size)}D of size {size}")
    unit = fields.get("DistanceUnits", "mm").lower()
    if unit not in TO_MM and unit != "?":
        raise GeometryError(f"{path}: DistanceUnits must be {', '.join(TO_MM)}, got {unit}")
    scale = TO_MM.get(unit, 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.array(reader.GetDirection()).reshape(3, 3) * reader.GetSpacing() * scale
    affine[:3, 3] = np.array(reader.GetOrigin()) * scale
    affine, notes = usable_affine(LPS_TO_RAS @ affine, size, str(path))
    if scale != 1:
        notes = (f"lengths are in {unit}: converted to mm", *notes)
    i, j, k = size
    shape = (reader.GetNumberOfComponents(), i, j, k)
    return Header(path, "MetaImage", shape, affine, notes=notes, files=files)


def load_metaimage(path: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read a MetaImage (``.mha``, or ``.mhd`` with its data beside it).

    Args:
        path: The file.
        allow_nan: Accept NaN and infinity and leave them as they are.

    Returns:
        Volume ``(C, I, J, K)``, float32.

    Raises:
        InputError: If the file is missing, damaged, not a volume in 3D, or has NaN or infinite
            values.
        GeometryError: If its axes are singular or sheared.
    """
    header = metaimage_header(path)
    check_memory(header)
    with _errors(header.path):
        array = _itk().GetArrayFromImage(_itk().ReadImage(str(path)))  # (K, J, I[, C])
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: real numbers are needed, the file has {array.dtype}")
    channels = array.reshape(*array.shape[:3], -1).transpose(3, 2, 1, 0)
    return finished(header, channels, allow_nan)


def load_pixels(path: str | Path) -> NDArray[Any]:
    """Read an image file of several channels as it is stored, ``(H, W, C)``.

    Raises:
        InputError: If it is damaged.
    """
    with _errors(Path(path)):
        pixels: NDArray[Any] = _itk().GetArrayFromImage(_itk().ReadImage(str(path)))
    return pixels


def load_dicom_pixels(path: str | Path) -> NDArray[Any]:
    """The numbers of a DICOM file of grey values, ``(frames, rows, columns)``.

    Raises:
        InputError: If it is damaged, or compressed in an unknown way.
    """
    with _errors(Path(path)):
        pixels: NDArray[Any] = _itk().GetArrayFromImage(
            _itk().ReadImage(str(path), imageIO="GDCMImageIO")
        )
    return pixels


def save_pixels(path: str | Path, pixels: NDArray[Any]) -> None:
    """Write an image file ``(H, W, C)`` of several channels."""
    image = _itk().GetImageFromArray(np.ascontiguousarray(pixels), isVector=True)
    _itk().WriteImage(image, str(path))


def _itk() -> Any:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn ITK's long messages into one line."""
    try:
        with one_line(path):
            yield
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rpartition("ERROR: ")[2]
        raise InputError(
            f"{path}: damaged, truncated or of another format: copy it again (ITK: {reason})"
        ) from error


def _fields(path: Path) -> dict[str, str]:
    """The keys of the header, which ends with ElementDataFile and, after LIST, names of files."""
    fields: dict[str, str] = {}
    with one_line(path), open(path, "rb") as stream:
        for line in stream:
            key, _, value = line[:4096].decode("latin-1").partition("=")
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile" or len(fields) > 1000:
                break
        if fields.get("ElementDataFile", "").startswith("LIST"):
            names = (line.decode("latin-1").strip() for line in stream)
            fields["LIST"] = "\n".join(name for name in names if name)
    return fields


def _data_files(path: Path, fields: dict[str, str]) -> list[str]:
    """Names of the files that hold the voxels, where they are not in the header's own file."""
    stated = fields.get("ElementDataFile", "")
    if not stated:
        raise InputError(f"{path}: damaged, truncated or no MetaImage: it has no ElementDataFile")
    if "LIST" in fields:
        return fields["LIST"].split("\n")
    if stated.upper() == "LOCAL":
        return []
    return numbered(stated) if "%" in stated else [stated]
