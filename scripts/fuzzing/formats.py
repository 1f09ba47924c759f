"""The formats: valid files to begin with, how they are changed, and what reads them."""

import gzip
import io
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import torch
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from fuzzing.mutation import Rng, mutate_bytes, mutate_json, mutate_text, number, pick
from medrev.config import Pipeline, load_pipeline
from medrev.config.schema import DTIData
from medrev.domains.tensor import find_cohort
from medrev.dti import Gradients, read_gradients
from medrev.evaluation import Results, heldout_markdown, read_heldout
from medrev.nets import translator_of
from medrev.prediction import load_model, save_weights
from medrev.tables import read_table
from medrev.texts import read_json, read_text
from medrev.training.run_folder import RunFolder
from medrev.volumes import (
    Volume,
    read_header,
    read_volume,
    write_nifti,
    write_scalar_nrrd,
    write_tensor_nrrd,
)

__all__ = ["FORMATS", "Files", "Format"]

#: Contents by path in the folder of a case.
Files = dict[str, bytes]
SHAPE = (5, 4, 3)
AFFINE = np.array([[-2.0, 0, 0, 5], [0, 1.9, 0.6, -7], [0, -0.6, 1.9, 3], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        seeds: Makes valid cases, in a folder that it may write to.
        mutate: Changes a file of a case; its name says what it is.
        read: Reads a case, whose files lie in a folder; raises MedrevError where it is bad.
    """

    seeds: Callable[[Path], list[Files]]
    mutate: Callable[[Rng, str, bytes], bytes]
    read: Callable[[Path], Any]


def files_in(folder: Path) -> Files:
    """The contents of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def values(channels: int = 1) -> torch.Tensor:
    """Numbers of (C, I, J, K)."""
    generator = torch.Generator().manual_seed(channels)
    return torch.randn(channels, *SHAPE, generator=generator)


def first_file(folder: Path, *endings: str) -> Path:
    """The file that is read, by how its name ends."""
    return next(path for path in sorted(folder.iterdir()) if path.name.endswith(endings))


# --- volumes ------------------------------------------------------------------------------------


def read_any_volume(folder: Path) -> None:
    """Header and voxels of the file that the case is about."""
    path = first_file(folder, ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
    read_header(path)
    read_volume(path, allow_nan=True)


def nifti_seeds(folder: Path) -> list[Files]:
    for name, channels in (("a.nii", 1), ("b.nii.gz", 6)):
        write_nifti(folder / name, Volume(values(channels), AFFINE))
    image = nib.Nifti2Image((100 * values(1)[0].numpy()).astype(np.int16), AFFINE)
    image.header.set_slope_inter(2.0, -3.0)
    nib.save(image, folder / "c.nii")
    return [{name: content} for name, content in files_in(folder).items()]


def mutate_nifti(rng: Rng, name: str, data: bytes) -> bytes:
    """A field of the header, where there is one; else bytes, of the unzipped file, too."""
    zipped = name.endswith(".gz") and rng.random() < 0.8
    if zipped:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, ValueError):
            zipped = False
    kind = nib.Nifti2Header if data[:4] == struct.pack("<i", 540) else nib.Nifti1Header
    size = kind.sizeof_hdr
    if len(data) >= size and rng.random() < 0.75:
        fields = np.frombuffer(data[:size], kind.template_dtype).copy()
        field = pick(rng, fields.dtype.names)
        flat = np.atleast_1d(fields[field][0]) if fields[field].ndim > 1 else fields[field]
        place = int(rng.integers(flat.size))
        with np.errstate(all="ignore"):
            if flat.dtype.kind == "f":
                flat[place] = number(rng)
            elif flat.dtype.kind in "iu":
                flat[place] = np.array(int(np.nan_to_num(number(rng), posinf=1, neginf=1)) & 0xFFFF)
            else:
                flat[place] = pick(rng, (b"", b"n+2", b"ni1", b"\xff\xfe"))
        data = fields.tobytes() + data[size:]
    else:
        data = mutate_bytes(rng, data)
    return gzip.compress(data, 1) if zipped else data


def nrrd_seeds(folder: Path) -> list[Files]:
    write_scalar_nrrd(folder / "a.nrrd", values()[0], AFFINE)
    write_tensor_nrrd(folder / "b.nrrd", values(6), AFFINE)
    attached = [{name: content} for name, content in files_in(folder).items()]
    head = (
        "NRRD0004\n# a comment\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
        "sizes: 5 4 3\nspace directions: (2,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\n"
        "endian: little\nencoding: {}\nspace origin: (1,2,3)\nkey:=value\n{}\n"
    )
    numbers = np.arange(60, dtype="<i2")
    text = " ".join(str(n) for n in numbers).encode()
    return [
        *attached,
        {"c.nhdr": head.format("raw", "data file: c.raw\n").encode(), "c.raw": numbers.tobytes()},
        {"d.nrrd": head.format("ascii", "").encode() + text},
        {"e.nrrd": head.format("gzip", "").encode() + gzip.compress(numbers.tobytes())},
        {
            "f.nhdr": head.format("raw", "data file: f%d.raw 0 2 1\n").encode(),
            **{f"f{n}.raw": numbers[20 * n : 20 * n + 20].tobytes() for n in range(3)},
        },
    ]


def metaimage_seeds(folder: Path) -> list[Files]:
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = {}\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\n"
        "CenterOfRotation = 0 0 0\nElementSpacing = 2 2 3\nDimSize = 5 4 3\n"
        "ElementType = MET_SHORT\nElementDataFile = {}\n"
    )
    import zlib

    numbers = np.arange(60, dtype="<i2").tobytes()
    return [
        {"a.mha": head.format("False", "LOCAL").encode() + numbers},
        {"b.mha": head.format("True", "LOCAL").encode() + zlib.compress(numbers)},
        {"c.mhd": head.format("False", "c.raw").encode(), "c.raw": numbers},
    ]


def mutate_headed(rng: Rng, name: str, data: bytes) -> bytes:
    """The lines of a header before binary data; else the bytes."""
    end = data.find(b"\n\n") if data.startswith(b"NRRD") else data.find(b"ElementDataFile")
    end = data.find(b"\n", end + 1) if end >= 0 else -1
    if end < 0 or rng.random() < 0.2:
        return mutate_bytes(rng, data)
    return mutate_text(rng, data[:end]) + data[end:]


# --- DICOM --------------------------------------------------------------------------------------


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


# --- texts --------------------------------------------------------------------------------------


def gradient_seeds(folder: Path) -> list[Files]:
    angles = np.arange(12) + 0.5
    z, phi = angles / 12, np.pi * (1 + 5**0.5) * angles
    bvecs = np.stack([np.sqrt(1 - z**2) * np.cos(phi), np.sqrt(1 - z**2) * np.sin(phi), z], 1)
    cases = []
    for bvals in ([0, 0, *[1000] * 12], [0, 5, *[1000] * 6, *[2000] * 6]):
        gradients = Gradients(np.array(bvals, float), np.vstack([np.zeros((2, 3)), bvecs]))
        gradients.save(folder / "a.bval", folder / "a.bvec", overwrite=True)
        cases.append(files_in(folder))
    return cases


def read_gradient_files(folder: Path) -> None:
    """The gradients of 14 volumes, and the shells that a tensor is fitted to."""
    gradients = read_gradients(folder / "a.bval", folder / "a.bvec", 14)
    _ = gradients.shells
    gradients.shell(1500)


def table_seeds(folder: Path) -> list[Files]:
    rows = (
        "participant_id\tage\tsplit\ttensor\nsub-01\t31\ttrain\tt.nii\nsub-02\tn/a\ttest\tt.nii\n"
    )
    tables = {"a.tsv": rows, "a.csv": rows.replace("\t", ",")}
    return [{name: text.encode(), "t.nii": b"\0" * 400} for name, text in tables.items()]


def read_tables(folder: Path) -> None:
    """As a table, and as a list of subjects."""
    path = first_file(folder, ".tsv", ".csv")
    read_table(path)
    find_cohort(DTIData(root=folder, table=path)).part("train")


def json_seeds(folder: Path) -> list[Files]:
    results = {
        "rows": [{"subject": "a", "method": "model", "rmse": 1.5, "psnr": None}],
        "summary": {},
        "notes": ["one"],
    }
    sidecar = {"Description": "x", "TensorOrder": "fsl", "Sources": ["a.nii"], "VoxelSize": [1, 2]}
    return [{"a.json": json.dumps(document, indent=1).encode()} for document in (results, sidecar)]


def read_jsons(folder: Path) -> None:
    """As a document, a held-out table and a table of results."""
    path = folder / "a.json"
    _each(
        lambda: read_json(path),
        lambda: read_json(path, lenient=True),
        lambda: heldout_markdown(read_heldout(read_text(path))),
        lambda: Results.from_json(read_text(path)),
    )


def _each(*calls: Callable[[], Any]) -> None:
    """All of several calls; the first refusal is raised when all have been made."""
    from medrev.errors import MedrevError

    refused: MedrevError | None = None
    for call in calls:
        try:
            call()
        except MedrevError as error:
            refused = refused or error
    if refused is not None:
        raise refused


PIPELINE: Mapping[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "data": {"root": "cohort", "patches": {"size": 8}, "augmentation": {"noise": 1e-5}},
    "model": {"width": 4, "depth": 1, "norm": "none"},
    "method": {"kind": "paired", "discriminator": {"width": 4, "strided_layers": 1}},
    "training": {"steps": 4, "schedule": {"kind": "linear"}},
}


def yaml_seeds(folder: Path) -> list[Files]:
    extended = "extends: a.yaml\nmodel:\n  depth: 2\ntraining:\n  steps: 1e3\n"
    plain = yaml.safe_dump(dict(PIPELINE), sort_keys=False).encode()
    return [{"a.yaml": plain}, {"a.yaml": plain, "b.yaml": extended.encode()}]


def read_pipelines(folder: Path) -> None:
    """The pipeline, and the one that extends it."""
    _each(*(lambda path=path: load_pipeline(path) for path in sorted(folder.glob("*.yaml"))))


# --- models and runs ----------------------------------------------------------------------------


def model_file(folder: Path) -> bytes:
    pipeline = Pipeline.model_validate(dict(PIPELINE))
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_weights(path, translator_of(pipeline), pipeline, 1e-3, {"voxel_size": [2.0, 2.5]})
    content = path.read_bytes()
    path.unlink()
    return content


def safetensors_seeds(folder: Path) -> list[Files]:
    return [{"weights.safetensors": model_file(folder)}]


def mutate_safetensors(rng: Rng, name: str, data: bytes) -> bytes:
    """The header, the documents in it, its length; else bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 + length or rng.random() < 0.1:
        return mutate_bytes(rng, data)
    header, rest = data[8 : 8 + length], data[8 + length :]
    try:
        document = json.loads(header)
        metadata = document["__metadata__"]
        key = pick(rng, list(metadata))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return mutate_bytes(rng, data)
    if rng.random() < 0.6 and isinstance(metadata[key], str):
        metadata[key] = mutate_json(rng, metadata[key].encode("utf-8", "replace")).decode(
            "utf-8", "replace"
        )
        header = json.dumps(document).encode()
    else:
        header = mutate_json(rng, header)
    return len(header).to_bytes(8, "little") + header + rest


def run_seeds(folder: Path) -> list[Files]:
    pipeline = Pipeline.model_validate(dict(PIPELINE))
    heldout = {"rows": [{"subject": "a", "method": "model", "rmse": 1.5}]}
    return [
        {
            "run/pipeline.yaml": yaml.safe_dump(pipeline.model_dump(mode="json")).encode(),
            "run/run.json": b'{"status": "finished", "step": 4, "steps": 4, "medrev": "0.1.0"}',
            "run/environment.json": b'{"python": "3.11", "data": {"train": [{"id": "a"}]}}',
            "run/metrics.csv": b"step,epoch,lr,loss,seconds\n1,0,0.1,2.5,0.1\n2,0,,1,2\n",
            "run/validation.csv": b"step,rmse,best_step\n2,1.5,2\n",
            "run/heldout.json": json.dumps(heldout).encode(),
            "run/checkpoints/best/weights.safetensors": model_file(folder),
        }
    ]


def mutate_run(rng: Rng, name: str, data: bytes) -> bytes:
    """By the file's own kind."""
    if name.endswith(".json"):
        return mutate_json(rng, data)
    return (mutate_safetensors if name.endswith(".safetensors") else _mutate_words)(rng, name, data)


def read_run(folder: Path) -> None:
    """Model, status and tables of a run folder, as inference, evaluation and reports read them."""
    from medrev.report.run import _columns, _heldout

    run = RunFolder(folder / "run")
    calls = {
        run.weights(): lambda: load_model(run.path, "cpu"),
        run.path / "run.json": run.read_status,
        run.path / "environment.json": lambda: read_json(run.path / "environment.json"),
        run.path / "pipeline.yaml": lambda: load_pipeline(run.path / "pipeline.yaml"),
        run.metrics: lambda: _columns(run.metrics),
        run.validation: lambda: _columns(run.validation),
        run.path / "heldout.json": lambda: _heldout(run.path / "heldout.json"),
    }
    _each(*(call for path, call in calls.items() if _is_new(path)))


#: Names and contents of files that this process has read.
_READ: set[tuple[str, bytes | None]] = set()


def _is_new(path: Path) -> bool:
    """Whether a file is missing, or was not read before: most files of a case are the seed's."""
    key = path.name, path.read_bytes() if path.is_file() else None
    known = key in _READ and key[1] is not None
    _READ.add(key)
    return not known


def _mutate_words(rng: Rng, name: str, data: bytes) -> bytes:
    return mutate_text(rng, data)


FORMATS = {
    "nifti": Format(nifti_seeds, mutate_nifti, read_any_volume),
    "nrrd": Format(nrrd_seeds, mutate_headed, read_any_volume),
    "metaimage": Format(metaimage_seeds, mutate_headed, read_any_volume),
    "dicom": Format(dicom_seeds, mutate_dicom, read_volume),
    "gradients": Format(gradient_seeds, _mutate_words, read_gradient_files),
    "tables": Format(table_seeds, _mutate_words, read_tables),
    "json": Format(json_seeds, lambda rng, name, data: mutate_json(rng, data), read_jsons),
    "yaml": Format(yaml_seeds, _mutate_words, read_pipelines),
    "safetensors": Format(
        safetensors_seeds,
        mutate_safetensors,
        lambda f: load_model(f / "weights.safetensors", "cpu"),
    ),
    "run": Format(run_seeds, mutate_run, read_run),
}
