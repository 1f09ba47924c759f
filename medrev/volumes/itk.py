"""Reading what SimpleITK reads: MetaImage files, folders of a DICOM series, 16-bit colours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.volumes.affine import usable_affine
from medrev.volumes.reading import check_file, one_line
from medrev.volumes.volume import Header, Volume

__all__ = [
    "dicom_header",
    "is_dicom_folder",
    "load_dicom",
    "load_metaimage",
    "load_pixels",
    "metaimage_header",
]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: DICOM tags: what names a series, and where a slice lies.
DESCRIPTION, NUMBER = "0008|103e", "0020|0011"
POSITION, ORIENTATION = "0020|0032", "0020|0037"
GAP = 0.01  # of the distance of slices
PROBED = 20  # files of a folder that are looked into for DICOM's magic word


def metaimage_header(path: str | Path) -> Header:
    """Shape and geometry of a MetaImage (``.mha``, ``.mhd``), without its voxels.

    Raises:
        InputError: If the file is missing, damaged, or not a volume in 3D.
        GeometryError: If its axes are singular or sheared.
    """
    path = Path(path)
    check_file(path)
    with _errors(path):
        reader = _itk().ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    return _header(path, "MetaImage", reader, reader.GetNumberOfComponents())


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
    with _errors(header.path):
        image = _itk().ReadImage(str(path))
    return _volume(header, image, allow_nan)


def is_dicom_folder(folder: Path) -> bool:
    """Whether one of the first files in a folder is DICOM, by the magic word at byte 128."""
    for path in sorted(folder.iterdir())[:PROBED]:
        if path.is_file():
            try:
                with open(path, "rb") as stream:
                    if stream.read(132)[128:] == b"DICM":
                        return True
            except OSError:
                continue
    return False


def dicom_header(folder: str | Path) -> Header:
    """Shape and geometry of the one DICOM series in a folder, checked to be without gaps.

    Raises:
        InputError: If there is no series, there are several, or it is no 3D volume.
        GeometryError: If slices are missing, double or turned.
    """
    return _open_series(Path(folder))[0]


def load_dicom(folder: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read the one DICOM series in a folder, slope and intercept applied.

    Args:
        folder: It holds one file per slice of a single series, or one multi-frame file.
        allow_nan: Accept NaN and infinity and leave them as they are.

    Returns:
        Volume ``(C, I, J, K)``, float32.

    Raises:
        InputError: If there is no series, there are several, or it is no 3D volume.
        GeometryError: If slices are missing, double or turned.
    """
    header, image = _open_series(Path(folder))
    return _volume(header, image, allow_nan)


def _open_series(folder: Path) -> tuple[Header, Any]:
    """The checked header of a series, and its image."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    with _errors(folder):
        reader = _itk().ImageSeriesReader()
        series = list(reader.GetGDCMSeriesIDs(str(folder)))
        files = {uid: list(reader.GetGDCMSeriesFileNames(str(folder), uid)) for uid in series}
    if not series:
        raise InputError(f"{folder}: no DICOM series in this folder")
    described = {uid: _tags(Path(names[0])) for uid, names in files.items()}
    if len(series) > 1:
        listed = "; ".join(
            f"series {described[uid].get(NUMBER, '?')} "
            f"'{described[uid].get(DESCRIPTION, uid)}' with {len(files[uid])} files"
            for uid in series
        )
        raise InputError(
            f"{folder}: one DICOM series is needed, the folder has {len(series)} ({listed}): "
            "give each a folder of its own"
        )
    names = files[series[0]]
    if len(names) > 1:
        _check_slices(folder, names)
    with _errors(folder):
        image = _read_series(names)
    return _header(folder, "DICOM series", image, image.GetNumberOfComponentsPerPixel()), image


def load_pixels(path: str | Path) -> NDArray[Any]:
    """Read an image file of several channels as it is stored, ``(H, W, C)``.

    Raises:
        InputError: If it is damaged.
    """
    with _errors(Path(path)):
        pixels: NDArray[Any] = _itk().GetArrayFromImage(_itk().ReadImage(str(path)))
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


def _read_series(names: list[str]) -> Any:
    itk = _itk()
    if len(names) == 1:
        return itk.ReadImage(names[0])
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(names)
    return reader.Execute()


def _tags(path: Path) -> dict[str, str]:
    """The tags that matter here, of one DICOM file."""
    with _errors(path):
        reader = _itk().ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    wanted = (DESCRIPTION, NUMBER, POSITION, ORIENTATION)
    return {tag: reader.GetMetaData(tag).strip() for tag in wanted if reader.HasMetaDataKey(tag)}


def _check_slices(folder: Path, names: list[str]) -> None:
    """Slices lie side by side at equal distances, each once."""
    tags = [_tags(Path(name)) for name in names]
    placed = []
    for name, found in zip(names, tags, strict=True):
        try:
            position = np.array([float(n) for n in found[POSITION].split("\\")])
            axes = np.array([float(n) for n in found[ORIENTATION].split("\\")]).reshape(2, 3)
        except (KeyError, ValueError):
            raise GeometryError(
                f"{folder}: {Path(name).name} does not say where its slice lies (Image Position "
                "and Orientation)"
            ) from None
        placed.append((position, axes))
    first = placed[0][1]
    for name, (_, axes) in zip(names, placed, strict=True):
        if np.abs(axes - first).max() > 1e-3:
            raise GeometryError(
                f"{folder}: the slices are not parallel ({Path(name).name} is turned against "
                f"{Path(names[0]).name}): several acquisitions, such as a localiser"
            )
    heights = np.array([position @ np.cross(*first) for position, _ in placed])
    order = np.argsort(heights)
    steps = np.diff(heights[order])
    step = float(np.median(steps))
    if step < 1e-3 or (steps < 0.5 * step).any():
        double = int(np.argmin(steps))
        pair = " and ".join(Path(names[order[n]]).name for n in (double, double + 1))
        raise GeometryError(
            f"{folder}: several slices lie at one place ({pair}): a series over time, of echoes "
            "or of diffusion; convert it with dcm2niix first"
        )
    gaps = np.flatnonzero(np.abs(steps - step) > GAP * step)
    if len(gaps):
        at = int(gaps[0])
        pair = " and ".join(Path(names[order[n]]).name for n in (at, at + 1))
        missing = round(float(sum(steps[gaps] / step - 1)))
        raise GeometryError(
            f"{folder}: slices are missing: {steps[at]:.4g} mm between {pair}, {step:.4g} mm "
            f"elsewhere ({max(1, missing)} missing in all): copy the series again"
        )


def _header(path: Path, kind: str, image: Any, components: int) -> Header:
    size = tuple(int(n) for n in image.GetSize())
    if len(size) != 3:
        raise InputError(f"{path}: a 3D volume is needed, got {len(size)}D of size {size}")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine, notes = usable_affine(LPS_TO_RAS @ affine, size, str(path))
    i, j, k = size
    return Header(path, kind, (components, i, j, k), affine, notes=notes)


def _volume(header: Header, image: Any, allow_nan: bool) -> Volume:
    itk = _itk()
    array = itk.GetArrayFromImage(image)  # (K, J, I[, C])
    if array.dtype.kind not in "iuf":
        raise InputError(f"{header.path}: real numbers are needed, the file has {array.dtype}")
    channels = array.reshape(*array.shape[:3], -1).transpose(3, 2, 1, 0)
    values: NDArray[np.float32] = np.ascontiguousarray(channels, dtype=np.float32)
    bad = int((~np.isfinite(values)).any(axis=0).sum())
    if bad and not allow_nan:
        raise InputError(f"{header.path}: {bad} voxels are NaN or infinite: replace them first")
    meta = {"filename_or_obj": str(header.path), "space_code": 1, "notes": header.notes}
    return Volume(torch.from_numpy(values), header.affine, meta, header)
