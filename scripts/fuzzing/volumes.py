"""NIfTI, NRRD and MetaImage."""

import gzip
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from fuzzing.case import Files, files_in, first_file
from fuzzing.mutation import Rng, mutate_bytes, mutate_text, number, pick
from medrev.volumes import (
    Volume,
    read_header,
    read_volume,
    write_nifti,
    write_scalar_nrrd,
    write_tensor_nrrd,
)

SHAPE = (5, 4, 3)
AFFINE = np.array([[-2.0, 0, 0, 5], [0, 1.9, 0.6, -7], [0, -0.6, 1.9, 3], [0, 0, 0, 1]])


def values(channels: int = 1) -> torch.Tensor:
    """Numbers of (C, I, J, K)."""
    generator = torch.Generator().manual_seed(channels)
    return torch.randn(channels, *SHAPE, generator=generator)


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
