"""Reading a DICOM series: every pixel at the place and with the value that its own frame says."""

import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError, counted
from medrev.files import check_file, not_there
from medrev.volumes.affine import usable_affine
from medrev.volumes.dicom_frames import Frame, frames_of, quiet, read_dataset, stored_pixels
from medrev.volumes.reading import check_memory, finished, one_line, to_float32
from medrev.volumes.volume import Header, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Endings of files that must be DICOM; other files in the folder may be something else.
ENDINGS = (".dcm", ".ima", ".dicom")
#: Elements that files without the magic word begin with: of the groups 2 and 8.
FIRST = tuple(
    struct.pack("<HH", *tag) for tag in ((2, 0), (8, 0), (8, 1), (8, 5), (8, 8), (8, 0x16))
)
PROBED = 20  # files of a folder that are looked into
PARALLEL = 2e-4  # largest difference of two directions
GAP = 0.01  # of the distance of slices
APART = 0.02  # mm by which a slice may lie beside the line of the others


@dataclass(frozen=True, eq=False)
class _Series:
    """The images of one Series Instance UID."""

    uid: str
    number: str
    description: str
    files: dict[Path, Any]

    def __str__(self) -> str:
        return f"series {self.number} '{self.description}' with {counted(len(self.files), 'file')}"


def is_dicom_folder(folder: Path) -> bool:
    """Whether one of the first files in a folder is DICOM, by its first bytes.

    A folder without files is one where all of its sub-folders are, as archives export a series.
    """
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = sorted((path for path in visible if path.is_file()), key=_named_otherwise)
    if files:
        return any(_looks_dicom(path) for path in files[:PROBED])
    return bool(visible) and all(
        path.is_dir() and os.access(path, os.R_OK | os.X_OK) and is_dicom_folder(path)
        for path in visible
    )


def _named_otherwise(path: Path) -> bool:
    """Whether a file has an ending that DICOM files have not; numbers and UIDs are none."""
    suffix = path.suffix.lower()
    return suffix not in ENDINGS and not suffix[1:].isdigit() and suffix != ""


def dicom_header(folder: str | Path) -> Header:
    """Shape and geometry of the one DICOM series in a folder, checked to be without gaps.

    Raises:
        InputError: If there is no series, there are several, or it is no 3D volume.
        GeometryError: If slices are missing, double, turned, or shifted against each other.
    """
    return _open_series(Path(folder))[0]


def load_dicom(folder: str | Path, *, allow_nan: bool = False) -> Volume:
    """Read the one DICOM series in a folder.

    Every frame has the slope and intercept of its own. Frames may be files, frames of enhanced
    multi-frame files in any order, or tiles of a mosaic of Siemens; transfer syntaxes are those of
    pydicom and GDCM. Hidden files, a DICOMDIR, objects without pixels and files of other kinds are
    left out.

    Returns:
        Volume ``(1, I, J, K)``, float32: columns, rows, slices.

    Raises:
        InputError: If there is no series, there are several, it is no 3D volume, its values have
            several units, or a file is damaged, cut off, or a link that leads nowhere.
        GeometryError: If slices are missing, double, turned, or shifted against each other.
    """
    header, frames = _open_series(Path(folder))
    check_memory(header)
    _, i, j, k = header.shape
    values = np.empty((1, i, j, k), np.float32)
    slices: dict[Path, list[int]] = {}
    for n, frame in enumerate(frames):
        slices.setdefault(frame.path, []).append(n)
    for path, places in slices.items():
        stored = stored_pixels(path)
        for n in places:
            frame = frames[n]
            if stored.shape[1:] != frame.size:
                raise InputError(f"{path}: damaged: {stored.shape[1:]} pixels, not {frame.size}")
            with np.errstate(over="ignore", invalid="ignore"):
                plane = stored[frame.number].T.astype(np.float64) * frame.slope + frame.intercept
            values[0, :, :, n] = to_float32(path, plane)
    return finished(header, values, allow_nan)


@quiet()
def _open_series(folder: Path) -> tuple[Header, list[Frame]]:
    """The checked header of a series, and its frames in the order of their places."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder{not_there(folder)}")
    series, notes = _chosen(folder, _find_series(folder))
    frames = [f for path, dataset in series.files.items() for f in frames_of(path, dataset)]
    frames, affine = _stack(folder, frames)
    notes += (*_missing(series, len(frames)), *_peculiar(series, frames))
    rows, columns = frames[0].size
    shape = (1, columns, rows, len(frames))
    affine, more = usable_affine(affine, shape, str(folder))
    files = tuple(series.files)
    part = frames[0].about.get("part", "").lower()
    extra = {"part": part} if part not in ("", "magnitude", "mixed") else {}
    notes += more
    header = Header(folder, "DICOM series", shape, affine, notes=notes, extra=extra, files=files)
    return header, frames


def _peculiar(series: _Series, frames: list[Frame]) -> Iterator[str]:
    """What is to be said of slices that are read all the same."""
    shown = {str(f.get("PhotometricInterpretation", "")) for f in series.files.values()}
    if "MONOCHROME1" in shown:
        yield "its small numbers are shown bright (MONOCHROME1): they are read as stored"
    words = (frames[0].unlike(frame, "inversion", "flip") for frame in frames[1:])
    differ = next(filter(None, words), None)
    if differ:
        yield f"its slices differ in {' and '.join(differ)}"


def _missing(series: _Series, count: int) -> tuple[str, ...]:
    """A note where the headers tell of more slices: what is missing at an end leaves no gap."""
    if len(series.files) != count:
        return ()
    told = 0
    for name in ("InstanceNumber", "ImagesInAcquisition"):
        numbers = [v for f in series.files.values() if isinstance(v := f.get(name), int)]
        begins = min(numbers, default=1)
        if name == "InstanceNumber" and begins > count:  # a numbering that goes on from another's
            numbers = [number - begins + 1 for number in numbers]
        told = max(told, *numbers, 0)
    if told <= count:
        return ()
    return (f"its headers tell of {told} images, {count} are there: some may be missing",)


def _candidates(folder: Path) -> Iterator[Path]:
    """The files below a folder that may be images of a series.

    Raises:
        InputError: One of them is there by name only.
    """
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.startswith(".") or name == "DICOMDIR":
                continue
            if path.is_symlink() or path.suffix.lower() in ENDINGS:
                check_file(path)
            if path.is_file():
                yield path


def _looks_dicom(path: Path) -> bool:
    """By the magic word at byte 128; files of before 1993 begin with an element instead."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or start[:4] in FIRST


def _find_series(folder: Path) -> list[_Series]:
    found: dict[tuple[str, ...], _Series] = {}
    for path in _candidates(folder):
        called = path.suffix.lower() in ENDINGS
        if not called and not _looks_dicom(path):
            continue
        dataset = read_dataset(path)
        if called and "SOPClassUID" not in dataset and not _looks_dicom(path):
            raise InputError(f"{path}: no DICOM file, though it is called so: copy it again")
        if "Rows" not in dataset or "Columns" not in dataset:
            continue  # reports, presentation states, a DICOMDIR of another name
        with one_line(path, Exception):
            uid = str(dataset.get("SeriesInstanceUID", ""))
            whose = tuple(str(dataset.get(name, "")) for name in ("PatientID", "StudyInstanceUID"))
            description = str(dataset.get("SeriesDescription", "") or uid)
            new = _Series(uid, str(dataset.get("SeriesNumber", "?")), description, {})
        found.setdefault((uid, *whose), new).files[path] = dataset
    return list(found.values())


def _chosen(folder: Path, found: list[_Series]) -> tuple[_Series, tuple[str, ...]]:
    """The one series; of several, the one whose files lie in the folder itself."""
    if not found:
        raise InputError(f"{folder}: no DICOM series in this folder")
    if len(found) == 1:
        return found[0], ()
    here = [series for series in found if any(path.parent == folder for path in series.files)]
    if len(here) == 1:
        others = "; ".join(str(series) for series in found if series is not here[0])
        return here[0], (f"of the folder's sub-folders are left out: {others}",)
    listed = "; ".join(str(series) for series in found)
    raise InputError(
        f"{folder}: one DICOM series is needed, the folder has {len(found)} ({listed}): "
        "give each a folder of its own"
    )


def _stack(folder: Path, frames: list[Frame]) -> tuple[list[Frame], NDArray[np.float64]]:
    """The frames side by side, and the affine from (column, row, slice) to LPS mm.

    Raises:
        GeometryError: They are no stack of parallel slices at equal distances, each once.
        InputError: They differ in size, or their values in unit.
    """
    first = frames[0]
    for frame in frames[1:]:
        _check_alike(folder, first, frame)
    along, down = first.axes  # along a row: from column to column
    if max(abs(np.linalg.norm(first.axes, axis=1) - 1)) > 1e-3:
        raise GeometryError(f"{folder}: the Image Orientation of {first} has no unit vectors")
    normal = np.cross(along, down)
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    positions = np.stack([frame.position for frame in frames])
    if len(frames) == 1:
        if first.thickness is None:
            raise GeometryError(f"{folder}: the single slice does not say its thickness")
        step = normal * first.thickness
    else:
        _check_distances(folder, frames, positions @ normal)
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
    beside = positions - positions[0] - np.arange(len(frames))[:, None] * step
    off = np.linalg.norm(beside, axis=1)
    if off.max() > APART:
        raise GeometryError(
            f"{folder}: the slices are shifted against each other within their plane, "
            f"{frames[int(off.argmax())]} by {off.max():.3g} mm: several acquisitions, or a tilt "
            "that changes; resample them onto a rectangular grid first"
        )
    affine = np.eye(4)
    affine[:3, 0] = along * first.spacing[1]
    affine[:3, 1] = down * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return frames, LPS_TO_RAS @ affine


def _check_alike(folder: Path, first: Frame, frame: Frame) -> None:
    if frame.size != first.size:
        sizes = " and ".join("×".join(str(n) for n in f.size) for f in (first, frame))
        raise InputError(
            f"{folder}: the images have several sizes ({first} and {frame}: {sizes}): give each a "
            "folder of its own"
        )
    if frame.space != first.space:
        raise GeometryError(
            f"{folder}: the slices have several frames of reference ({first} and {frame}): "
            "several acquisitions; give each a folder of its own"
        )
    if np.abs(frame.axes - first.axes).max() > PARALLEL:
        raise GeometryError(
            f"{folder}: the slices are not parallel ({frame} is turned against "
            f"{first}): several acquisitions, such as a localiser"
        )
    if not np.allclose(frame.spacing, first.spacing, rtol=1e-4):
        raise GeometryError(
            f"{folder}: the pixels have several sizes ({first}: {first.spacing} mm, {frame}: "
            f"{frame.spacing} mm)"
        )
    if frame.unit != first.unit:
        raise InputError(
            f"{folder}: the values have several units ({first}: '{first.unit}', {frame}: "
            f"'{frame.unit}')"
        )


def _check_distances(folder: Path, frames: list[Frame], heights: NDArray[np.float64]) -> None:
    """Slices lie side by side at equal distances, each once, and are of one volume."""
    steps = np.diff(heights)
    step = float(np.median(steps))
    if step < 1e-3 or (steps < 0.5 * step).any():
        double = int(np.argmin(steps))
        pair = frames[double], frames[double + 1]
        if pair[0].uid and pair[0].uid == pair[1].uid and pair[0].number == pair[1].number:
            raise GeometryError(
                f"{folder}: {pair[0]} and {pair[1]} are copies of one image (SOP Instance UID): "
                "keep one of each"
            )
        most = max(Counter(np.round(heights, 3)).values())
        told = ", which differ in " + " and ".join(pair[0].unlike(pair[1]))
        if told.endswith("in "):
            told = ""
        raise GeometryError(
            f"{folder}: several slices lie at one place ({pair[0]} and {pair[1]}, up to {most} at "
            f"one{told}): a series over time, of echoes or of diffusion, or copies; convert it "
            "with dcm2niix first (which writes .bval and .bvec)"
        )
    gaps = np.flatnonzero(np.abs(steps - step) > GAP * step)
    if len(gaps):
        at = int(gaps[0])
        missing = round(float(sum(steps[gaps] / step - 1)))
        raise GeometryError(
            f"{folder}: slices are missing: {steps[at]:.4g} mm between {frames[at]} and "
            f"{frames[at + 1]}, {step:.4g} mm elsewhere ({max(1, missing)} missing in all): copy "
            "the series again"
        )
    for frame in frames[1:]:
        differ = frames[0].unlike(frame, "b", "echo", "part")
        if differ:
            raise InputError(
                f"{folder}: the slices are not of one volume: {frames[0]} and {frame} differ in "
                f"{' and '.join(differ)}"
            )
