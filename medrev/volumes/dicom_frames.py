"""The frames of DICOM files: where each lies, what its stored numbers mean, and the numbers."""

import logging
import math
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError, counted
from medrev.volumes.itk import load_dicom_pixels
from medrev.volumes.reading import one_line

#: What may tell volumes apart that lie at one place, and what a message calls it.
_TOLD_BY = {
    "b": "b-value",
    "echo": "echo time",
    "part": "part of a complex image",
    "inversion": "inversion time",
    "flip": "flip angle",
    "time": "time",
}
#: The b-value in the elements of Siemens, GE, Philips and United Imaging; GE's part of an image.
_B_VALUES, _GE_PART = (0x0019100C, 0x00431039, 0x20011003, 0x00651009), 0x0043102F
#: Whose the blocks of private elements are, by group.
_OWNERS = {
    0x0019: "SIEMENS MR HEADER",
    0x0043: "GEMS_PARM_01",
    0x2001: "Philips Imaging DD 001",
    0x0065: "Image Private Header",
}
_GE_FLAGS = 100_000  # what GE adds to b-values is a multiple of it
#: Parts of complex images by the third word of Image Type, and by GE's number.
_PARTS = {"M": "MAGNITUDE", "P": "PHASE", "PHASE": "PHASE", "R": "REAL", "I": "IMAGINARY"}
_PARTS |= {"0": "MAGNITUDE", "1": "PHASE", "2": "REAL", "3": "IMAGINARY"}


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: a file, a frame of a multi-frame file, or a tile of a mosaic of Siemens.

    Attributes:
        path: Its file.
        number: Which one of its file's it is, from 0.
        of: How many its file has.
        position: Centre of the first pixel, LPS mm, ``(3,)``.
        axes: Directions of a row and of a column, unit vectors in LPS, ``(2, 3)``.
        spacing: mm between rows and between columns.
        size: Rows and columns.
        thickness: mm between slices, or of the slice, where the file says it.
        slope: With the intercept, value = slope · number + intercept.
        intercept: See slope.
        unit: Of the values, as the file calls it.
        space: UID of the frame of reference.
        uid: Of the image (SOP Instance UID).
        about: What may tell volumes apart, by the names of the table above.
    """

    path: Path
    number: int
    of: int
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    space: str = ""
    uid: str = ""
    about: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.path.name if self.of == 1 else f"frame {self.number + 1} of {self.path.name}"

    def unlike(self, other: "Frame", *keys: str) -> list[str]:
        """What tells two frames apart, in words; of the given keys, or of all."""
        return [
            f"{_TOLD_BY[key]} ({self.about.get(key, '?')} and {other.about.get(key, '?')})"
            for key in keys or _TOLD_BY
            if self.about.get(key) != other.about.get(key)
        ]


def read_dataset(path: Path, *, pixels: bool = False) -> Any:
    """A DICOM file as pydicom gives it.

    Raises:
        InputError: It is damaged.
    """
    import pydicom

    with quiet(), one_line(path, Exception):
        return pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)


def frames_of(path: Path, dataset: Any) -> list[Frame]:
    """The frames of a file, in its order.

    Raises:
        InputError: Its pixels are colours, or its numbers are no grey values on a scale.
        GeometryError: It does not say where its frames lie.
    """
    with quiet(), one_line(path, Exception):
        if int(dataset.get("SamplesPerPixel", 1)) != 1 or "PALETTE" in str(
            dataset.get("PhotometricInterpretation", "")
        ):
            raise InputError(f"{path}: holds colours; a series of grey values is needed")
        if "ModalityLUTSequence" in dataset:
            raise InputError(f"{path}: its values are in a table (Modality LUT), which is not read")
        stored, high = (dataset.get(name) for name in ("BitsStored", "HighBit"))
        if stored is not None and high is not None and high != stored - 1:
            raise InputError(
                f"{path}: High Bit must be {stored - 1}, since {stored} bits are stored, got {high}"
            )
        if "MOSAIC" in dataset.get("ImageType", ()):
            return _tiles(path, dataset)
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        count = int(dataset.get("NumberOfFrames") or 1)
        if groups is None and count == 1:
            return [_frame(path, 0, 1, [dataset])]
        if groups is None:
            raise GeometryError(
                f"{path}: {count} frames without a place of their own (no Per-frame Functional "
                "Groups): convert the series with dcm2niix first"
            )
        if len(groups) != count:
            raise InputError(
                f"{path}: damaged: {counted(count, 'frame is', 'frames are')} promised, "
                f"{len(groups)} described"
            )
        shared = dataset.get("SharedFunctionalGroupsSequence") or []
        return [
            _frame(path, number, count, [*_levels([group, *shared[:1]]), dataset])
            for number, group in enumerate(groups)
        ]


def stored_pixels(path: Path) -> NDArray[Any]:
    """The numbers of every frame of a file as they are stored, ``(frames, rows, columns)``.

    Raises:
        InputError: They are damaged, cut off, or compressed in an unknown way.
    """
    dataset = read_dataset(path, pixels=True)
    with quiet(), one_line(path, Exception):
        frames = int(dataset.get("NumberOfFrames") or 1)
        wanted = (frames, int(dataset.Rows), int(dataset.Columns))
        syntax = _transfer_syntax(dataset)
        if syntax.is_encapsulated and syntax.name != "RLE Lossless":
            pixels = _decompress(dataset)
        else:
            pixels = _pixels(path, dataset)
        if np.size(pixels) != math.prod(wanted):
            raise InputError(f"{path}: damaged: {np.shape(pixels)} pixels, not {wanted}")
        pixels = np.asarray(pixels).reshape(wanted)
        if "MOSAIC" in dataset.get("ImageType", ()):
            return _cut_mosaic(pixels[0], _mosaic(path, dataset).n_mosaic)
        return pixels


def _pixels(path: Path, dataset: Any) -> Any:
    try:
        return dataset.pixel_array
    except ValueError as error:
        raise InputError(
            f"{path}: its pixels are truncated or damaged: copy it again ({error})"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Pydicom and nibabel warn of what is checked here or does not matter."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _transfer_syntax(dataset: Any) -> Any:
    """How the pixels are written; files without a header for it are those of old archives."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stated = dataset.file_meta.get("TransferSyntaxUID")
    if stated is None:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        stated = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta.TransferSyntaxUID = stated
    return stated


def _decompress(dataset: Any) -> NDArray[Any]:
    """By ITK's GDCM, which knows more ways to compress than pydicom alone.

    It is given the pixels only: of the rest it would apply what belongs to single frames to all.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    bare = Dataset()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    kind = UID("1.2.840.10008.5.1.4.1.1.7.3")  # grey values of up to 16 bits, several frames
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID = kind
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID = UID("1.2.3")
    bare.SamplesPerPixel = 1
    bare.PhotometricInterpretation = "MONOCHROME2"
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        setattr(bare, name, dataset[name].value)
    bare.PixelRepresentation = dataset.PixelRepresentation
    bare.NumberOfFrames = int(dataset.get("NumberOfFrames") or 1)
    bare["PixelData"] = dataset["PixelData"]
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "pixels.dcm")
        bare.save_as(file, enforce_file_format=True)
        return load_dicom_pixels(file)


def _levels(groups: list[Any]) -> list[Any]:
    """The items of the functional groups: of the frame, then those that all frames share."""
    return [
        item
        for group in groups
        for element in group
        if element.VR == "SQ"
        for item in (element.value or [])[:1]
    ]


def _frame(path: Path, number: int, of: int, levels: list[Any]) -> Frame:
    """A frame from the datasets that describe it, the nearest first."""

    def find(name: str | int) -> Any:
        return next((level[name].value for level in levels if _given(level, name)), None)

    position = _floats(find("ImagePositionPatient"), 3)
    axes = _floats(find("ImageOrientationPatient"), 6)
    spacing = _floats(find("PixelSpacing"), 2)
    name = path.name if of == 1 else f"frame {number + 1} of {path.name}"
    if position is None or axes is None:
        raise GeometryError(
            f"{path.parent}: {name} does not say where its slice lies (Image Position "
            "and Orientation)"
        )
    if spacing is None or min(spacing) <= 0:
        raise GeometryError(f"{path.parent}: {name} does not say its Pixel Spacing")
    thickness = _floats(find("SpacingBetweenSlices"), 1) or _floats(find("SliceThickness"), 1)
    slope, intercept = find("RescaleSlope"), find("RescaleIntercept")
    scale = (
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
    )
    if not np.isfinite(scale).all() or scale[0] == 0:
        raise InputError(
            f"{path.parent}: {name}: Rescale Slope and Intercept must be finite and the slope not "
            f"0, got {slope} and {intercept}"
        )
    return Frame(
        path,
        number,
        of,
        np.array(position),
        np.array(axes).reshape(2, 3),
        (spacing[0], spacing[1]),
        (int(find("Rows")), int(find("Columns"))),
        thickness=abs(thickness[0]) if thickness and thickness[0] else None,
        slope=scale[0],
        intercept=scale[1],
        unit=str(find("RescaleType") or find("Units") or ""),
        space=str(find("FrameOfReferenceUID") or ""),
        uid=str(find("SOPInstanceUID") or ""),
        about=_about(find),
    )


def _about(find: Any) -> dict[str, str]:
    echo = find("EffectiveEchoTime") or find("EchoTime") or find("EchoNumbers")
    kind: Any = find("ImageType") or ()
    part = "" if isinstance(kind, str) or len(kind) < 3 else re.split("[_ ]", str(kind[2]))[0]
    found = {
        "b": _b_value(find),
        "echo": echo,
        "inversion": find("InversionTimes") or find("InversionTime"),
        "flip": find("FlipAngle"),
        "part": find("ComplexImageComponent") or _PARTS.get(str(_private(find, _GE_PART) or part)),
        "time": find("TemporalPositionIndex")
        or find("TemporalPositionIdentifier")
        or find("AcquisitionNumber"),
    }
    return {key: str(value) for key, value in found.items() if value is not None}


def _private(find: Any, *tags: int) -> Any:
    """The first element that there is of those of vendors, unless its block is another's."""
    for tag in tags:
        owner = str(find((tag & ~0xFFFF) | 0x10) or _OWNERS[tag >> 16]).strip()
        if owner == _OWNERS[tag >> 16] and (value := find(tag)) is not None:
            return value
    return None


def _b_value(find: Any) -> Any:
    b = find("DiffusionBValue")
    if b is None:
        b = _private(find, *_B_VALUES)
    return b if b is None or isinstance(b, str | bytes) else float(np.ravel(b)[0]) % _GE_FLAGS


def _given(level: Any, name: str | int) -> bool:
    return name in level and level[name].value not in (None, "", [])


def _floats(value: Any, count: int) -> list[float] | None:
    """The numbers of an element; None where it is missing or has another number of them."""
    if value is None:
        return None
    values = [value] if count == 1 and not hasattr(value, "__len__") else list(value)
    numbers = [float(v) for v in values]
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _mosaic(path: Path, dataset: Any) -> Any:
    """What nibabel makes of Siemens's private header of a mosaic."""
    with warnings.catch_warnings():  # nibabel warns that its reader is experimental
        warnings.simplefilter("ignore")
        from nibabel.nicom.dicomwrappers import MosaicWrapper, WrapperError

        try:
            return MosaicWrapper(dataset)
        except (WrapperError, KeyError, TypeError):
            raise GeometryError(
                f"{path}: a mosaic of slices in one picture, without the private header of Siemens "
                "that says how many there are and where: export it again, or convert it with "
                "dcm2niix"
            ) from None


def _tiles(path: Path, dataset: Any) -> list[Frame]:
    """The slices of a mosaic, whose Image Position is that of a picture of its whole size."""
    found = _mosaic(path, dataset)
    whole = _frame(path, 0, 1, [dataset])
    if "SpacingBetweenSlices" not in dataset or not whole.thickness:
        raise GeometryError(f"{path}: the mosaic does not say its Spacing Between Slices")
    rows, columns, count = found.image_shape
    if (rows * found.mosaic_size, columns * found.mosaic_size) != whole.size:
        raise GeometryError(f"{path}: {whole.size} pixels are no mosaic of {count} slices")
    step = np.asarray(found.slice_normal) * whole.thickness
    return [
        Frame(
            path,
            number,
            count,
            np.asarray(found.image_position) + number * step,
            whole.axes,
            whole.spacing,
            (rows, columns),
            whole.thickness,
            whole.slope,
            whole.intercept,
            whole.unit,
            whole.space,
            whole.uid,
            whole.about,
        )
        for number in range(count)
    ]


def _cut_mosaic(picture: NDArray[Any], count: int) -> NDArray[Any]:
    """The slices of a mosaic, which run along its rows, ``(count, rows, columns)``."""
    across = int(np.ceil(np.sqrt(count)))
    rows, columns = picture.shape[0] // across, picture.shape[1] // across
    tiles = picture.reshape(across, rows, across, columns).transpose(0, 2, 1, 3)
    return tiles.reshape(-1, rows, columns)[:count]
