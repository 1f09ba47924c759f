"""DICOM: a series of files, and frames of one."""

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from fuzzing.case import Files, files_in
from fuzzing.mutation import Rng, mutate_bytes, number, pick


def dicom_seeds(folder: Path) -> list[Files]:
    pixels = np.arange(60, dtype="<u2").reshape(3, 4, 5)
    for number_, plane in enumerate(pixels):
        made = _instance(plane, f"1.2.3.{number_}")
        made.ImagePositionPatient = [-20, 30, 7 + 3 * number_]
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.PixelSpacing, made.SliceThickness = [2.0, 1.5], 3
        made.RescaleSlope, made.RescaleIntercept = 2, -1
        made.save_as(folder / f"{number_}.dcm", enforce_file_format=True)
    single = files_in(folder)
    made = _instance(pixels, "1.2.4")
    made.NumberOfFrames = 3
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [2.0, 1.5], 3
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number_ in range(3):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [-20, 30, 7 + 3 * number_]
        group.PlanePositionSequence = [position]
        frames.append(group)
    made.PerFrameFunctionalGroupsSequence = frames
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return [single, {"enhanced.dcm": stream.getvalue()}]


def _instance(pixels: np.ndarray, uid: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kind = "1.2.840.10008.5.1.4.1.1.4" + (".1" if pixels.ndim == 3 else "")
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid
    made.Modality, made.SeriesInstanceUID, made.StudyInstanceUID = "MR", "1.2.840.1", "1.2.840.2"
    made.SeriesNumber, made.SeriesDescription = 4, "T1"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = pixels.tobytes()
    return made


def mutate_dicom(rng: Rng, name: str, data: bytes) -> bytes:
    """An element, its value or that of a sequence's item; else bytes."""
    if rng.random() < 0.35:
        return mutate_bytes(rng, data)
    try:
        made = pydicom.dcmread(io.BytesIO(data), force=True)
        level = made
        while rng.random() < 0.5:
            inner = [e for e in level if e.VR == "SQ" and len(e.value)]
            if not inner:
                break
            level = pick(rng, pick(rng, inner).value)
        elements = list(level)
        if not elements:
            return mutate_bytes(rng, data)
        element = pick(rng, elements)
        kind = int(rng.integers(4))
        if kind == 0:
            del level[element.tag]
        elif kind == 1 and element.VR in ("DS", "IS", "US", "SS"):
            value = int(np.clip(np.nan_to_num(number(rng)), 0, 65535))
            element.value = str(value) if element.VR in ("DS", "IS") else value
        elif kind == 2 and element.VM > 1:
            element.value = list(element.value)[:-1]
        elif isinstance(element.value, bytes):
            element.value = mutate_bytes(rng, element.value)
        else:
            element.value = pick(
                rng, ("", "1", "0\\0\\0", "ORIGINAL\\MOSAIC", "1.2.840.10008.1.2.5")
            )
        stream = io.BytesIO()
        made.save_as(stream, enforce_file_format=False)
        return stream.getvalue()
    except Exception:  # what pydicom does not write is no case
        return mutate_bytes(rng, data)
