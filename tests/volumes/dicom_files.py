"""DICOM series for tests: slices that are tilted in space, in files and in frames."""

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medrev.errors import InputError
from medrev.volumes import read_volume

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SLICES, ROWS, COLUMNS = 5, 6, 7
SPACING = [2.0, 1.5]  # between rows, between columns
STEP = 3.0
PIXELS = np.random.default_rng(0).integers(1, 1000, (SLICES, ROWS, COLUMNS)).astype("<u2")
ANGLE = 0.3
AXES = np.array([[np.cos(ANGLE), np.sin(ANGLE), 0], [-np.sin(ANGLE), np.cos(ANGLE), 0]])
NORMAL = np.cross(*AXES)
STACK = np.array([-20.0, 30.0, 7.0]) + np.arange(SLICES)[:, None] * STEP * NORMAL


def dataset(kind, pixels, uid="1.2.3", **fields):
    """One object with its pixels; keyword arguments are its further elements."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    made.Modality, made.SeriesInstanceUID, made.StudyInstanceUID = (
        "MR",
        f"1.2.840.{uid}",
        "1.2.840.1",
    )
    made.SeriesNumber, made.SeriesDescription = 4, "T1 mprage"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def decimals(values):
    return [f"{value:.9f}" for value in np.ravel(values)]


def a_slice(position, pixels, axes=AXES, **fields):
    standard = {
        "ImagePositionPatient": decimals(position),
        "ImageOrientationPatient": decimals(axes),
        "PixelSpacing": SPACING,
        "SliceThickness": STEP,
    }
    return dataset(MR, pixels, **(standard | fields))


def save(folder, name, made):
    folder.mkdir(exist_ok=True)
    made.save_as(folder / name, enforce_file_format=True)
    return folder


def save_series(folder, positions=STACK, pixels=PIXELS, each=lambda k: {}, **fields):
    """One file per slice, not in their spatial order."""
    for k, position in enumerate(positions):
        save(folder, f"s{(k * 3) % 7:02d}.dcm", a_slice(position, pixels[k], **fields, **each(k)))
    return folder


def item(**fields):
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def enhanced(positions=STACK, pixels=PIXELS, each=lambda n: {}, **fields):
    """All frames in one object; ``each(n)`` gives further functional groups of frame n."""
    groups = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=decimals(position))],
            **{name: [item(**inner)] for name, inner in each(n).items()},
        )
        for n, position in enumerate(positions)
    ]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=decimals(AXES))],
        PixelMeasuresSequence=[item(PixelSpacing=SPACING, SliceThickness=STEP)],
    )
    return dataset(
        ENHANCED_MR,
        pixels,
        NumberOfFrames=len(positions),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
        **fields,
    )


def check_places(volume, positions=STACK, values=PIXELS):
    """Each pixel lies where its frame puts it: the standard's equation C.7.6.2.1-1."""
    assert volume.values.shape == (1, COLUMNS, ROWS, len(positions))
    back = np.linalg.inv(volume.affine)
    for position, plane in zip(positions, values, strict=True):
        for row, column in np.ndindex(ROWS, COLUMNS):
            lps = position + AXES[0] * SPACING[1] * column + AXES[1] * SPACING[0] * row
            index = back @ [*(lps * (-1, -1, 1)), 1]
            whole = np.rint(index[:3]).astype(int)
            np.testing.assert_allclose(index[:3], whole, atol=1e-5)
            assert volume.values[(0, *whole)] == pytest.approx(float(plane[row, column]), rel=1e-6)


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(str(path)) == 1
    return text


def directory_file():
    return next(path for path in get_testdata_files() if path.endswith("DICOMDIR"))
