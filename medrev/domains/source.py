"""What an input is, recognised from its header and what lies beside it; and what is to be done."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medrev.data.bids import complex_part, dataset_root, find_mask, gradient_file
from medrev.data.layouts import nifti_files
from medrev.data.subject import Subject
from medrev.errors import GradientError, InputError
from medrev.files import check_file, content_hash, is_present, not_there
from medrev.texts import read_json
from medrev.volumes import NIFTI, PICTURES, Header, picture_header, read_header, strip_suffix


@dataclass(frozen=True)
class Entry:
    """A subject to be done, not yet looked into.

    Attributes:
        name: What the user knows it by; of a cohort's subject its name there.
        path: The input.
        root: Folder of all results.
        folder: Where its results go, in ``root``.
        base: What their names begin with.
        file: The file of the result itself, where it is named and not only its folder.
        person: Whose scan it is, where it is one of a cohort.
        mask: Brain mask.
        bval: b-values.
        bvec: b-vectors.
        problem: Why it cannot be done, where that is known already.
    """

    name: str
    path: Path
    root: Path = Path()
    folder: Path = Path()
    base: str = ""
    file: Path | None = None
    person: str = ""
    mask: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    problem: str | None = None

    @classmethod
    def of(cls, subject: Subject, path: Path | None, problems: Sequence[str] = ()) -> "Entry":
        """A subject of a cohort, with its file; None where it has none."""
        return cls(
            name=subject.id,
            person=subject.person,
            path=path or Path(subject.id),
            mask=subject.files.get("mask"),
            bval=subject.files.get("bval"),
            bvec=subject.files.get("bvec"),
            problem="; ".join(problems) or None,
        )

    def absolute(self) -> "Entry":
        """The same subject for a process in another folder."""
        paths: dict[str, Any] = {
            each.name: value.absolute()
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), Path)
        }
        return replace(self, **paths)


Found = Literal["dwi", "tensor", "scalar", "series", "image"]
Accepted = Literal["tensor", "scalar", "image"]

_WORDS: dict[Found, str] = {
    "dwi": "raw DWI",
    "tensor": "diffusion tensors",
    "scalar": "a scalar volume",
    "series": "a series of volumes",
    "image": "an image",
}
#: What a model of each kind can start from, and how to say so.
_ACCEPTED: dict[Accepted, tuple[tuple[Found, ...], str]] = {
    "tensor": (
        ("tensor", "dwi"),
        "diffusion tensors (six components, or raw DWI with b-values and b-vectors)",
    ),
    "scalar": (("scalar",), "a scalar 3D volume such as T1w or T2w"),
    "image": (("image",), "an image (PNG, JPEG, TIFF or BMP)"),
}


@dataclass(frozen=True)
class Source:
    """An input file and what it was recognised as.

    Attributes:
        path: The file, or the folder of a DICOM series.
        kind: Raw diffusion-weighted volumes, tensors, a scalar 3D volume, a series of volumes of
            which nobody says what they are, or a 2D image.
        header: Shape, geometry and format. An image has rows and columns along the second and the
            first axis, one voxel along the third, and no geometry.
        bval: b-values of raw DWI.
        bvec: b-vectors of raw DWI.
        mask: Brain mask, if one was given or lies beside raw DWI.
        about: The JSON file beside tensors, which may tell their order and frame.
    """

    path: Path
    kind: Found
    header: Header
    bval: Path | None = None
    bvec: Path | None = None
    mask: Path | None = None
    about: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Volumes and voxels, ``(C, I, J, K)``."""
        return self.header.shape

    @property
    def files(self) -> list[Path]:
        """All files that enter the result."""
        return [
            *self.header.files,
            *(p for p in (self.bval, self.bvec, self.mask, self.about) if p is not None),
        ]

    @property
    def accepted(self) -> Accepted:
        """The kind of models that start from it, or (of a series) would if more were known."""
        kinds = (wanted for wanted, (found, _) in _ACCEPTED.items() if self.kind in found)
        return next(kinds, "tensor")

    @property
    def words(self) -> str:
        """What it is, in words."""
        return _WORDS[self.kind]

    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of every file of :attr:`files`."""
        return tuple(content_hash(path) for path in self.files)

    @property
    def size(self) -> str:
        """Voxels or pixels in words."""
        if self.kind == "image":
            colour = "grey" if self.shape[0] == 1 else "colour"
            return f"{self.shape[1]}×{self.shape[2]} pixels, {colour}"
        count = "" if self.kind == "scalar" else f"{self.shape[0]} of "
        return f"{count}{'×'.join(str(n) for n in self.shape[1:])} voxels"

    def __str__(self) -> str:
        if self.kind == "image":
            return f"{self.path}: {_WORDS[self.kind]} ({self.header.format}), {self.size}"
        size = "×".join(str(n) for n in self.shape[1:])
        if self.shape[0] > 1:
            what = "components" if self.kind == "tensor" else "volumes"
            size = f"{self.shape[0]} {what} of {size}"
        gradients = (
            f", gradients from {self.bval.name} and {self.bvec.name}"
            if (self.bval is not None and self.bvec is not None)
            else ""
        )
        mask = f", mask {self.mask.name}" if self.mask is not None else ""
        return (
            f"{self.path}: {_WORDS[self.kind]} ({self.header.format}), {size} voxels"
            f"{gradients}{mask}"
        )


def recognise(
    path: str | Path,
    *,
    mask: str | Path | None = None,
    bval: str | Path | None = None,
    bvec: str | Path | None = None,
) -> Source:
    """Find out what an input is.

    With b-values and b-vectors, given or beside the file (``X.bval`` and ``X.bvec`` of
    ``X.nii.gz``, those that it inherits in a BIDS dataset, or ``bvals`` and ``bvecs`` of an HCP
    folder), it is raw DWI. Without, six components are tensors; six volumes next to an HCP folder's
    ``bvals`` are tensors too, because six volumes are too few for a tensor fit. One volume is a
    scalar; any other number without gradients is a series, which no model takes. Without a given
    mask, raw DWI takes the one beside it in BIDS or HCP naming (``X_desc-brain_mask``, ``X_mask``
    or ``X_dwi_mask`` for ``X_dwi``; ``nodif_brain_mask`` for ``data``).

    Args:
        path: NIfTI, NRRD or MetaImage file, the folder of a DICOM series, or an image.
        mask: Brain mask.
        bval: b-values of raw DWI.
        bvec: b-vectors of raw DWI.

    Raises:
        InputError: It is missing, or of no known format.
        GeometryError: Its grid cannot be used.
        GradientError: Only one of the gradient files is there.
    """
    path = Path(path)
    mask = None if mask is None else Path(mask)
    if path.suffix.lower() in PICTURES and not path.is_dir():
        return Source(path, "image", _image_header(path), mask=mask)
    series = read_header(path) if path.is_dir() else None
    part = complex_part(path) if series is None else series.extra.get("part")
    if part is not None:
        raise InputError(
            f"{path}: is the {part} part of a complex series: give that of the magnitudes"
        )
    header = series or read_header(path)
    gradients = _gradient_files(path, bval, bvec, header.shape[0])
    if gradients is not None:
        if header.shape[0] < 2:
            raise InputError(
                f"{path}: raw DWI must be 4D (I, J, K, volumes), got a single 3D volume"
            )
        return Source(path, "dwi", header, *gradients, mask or _mask_beside(path))
    if header.shape[0] == 6:
        about = _json_of(path)
        return Source(path, "tensor", header, mask=mask, about=about if is_present(about) else None)
    if header.shape[0] == 1:
        return Source(path, "scalar", header, mask=mask)
    return Source(path, "series", header, mask=mask)


def check_kind(source: Source, wanted: Accepted, model: str) -> None:
    """Check that a model, named in the message, can start from an input.

    Raises:
        InputError: It cannot.
    """
    kinds, words = _ACCEPTED[wanted]
    if source.kind in kinds:
        return
    if source.kind == "series" and wanted == "tensor":
        raise InputError(_without_gradients(source))
    raise InputError(
        f"{source.path}: the model {model} takes {words}, the input is {_WORDS[source.kind]} "
        f"({source.header.format}, {source.size})"
    )


def words_for(wanted: Accepted) -> str:
    """What a model of a kind takes, in words."""
    return _ACCEPTED[wanted][1]


def _without_gradients(source: Source) -> str:
    """What is missing for a series to be raw DWI."""
    path = source.path
    if source.header.extra.get("dwi"):
        return (
            f"{path}: raw DWI in NRRD is not read: convert it to NIfTI with .bval and .bvec first "
            "(DWIConvert, dcm2niix)"
        )
    stem = strip_suffix(path)
    return (
        f"{path}: {source.shape[0]} volumes are neither tensors (six components) nor DWI with "
        f"gradients ({stem}.bval and {stem}.bvec are not beside it): give --bval and --bvec, or, "
        "of a T1w or other scalar scan, one 3D volume"
    )


def _image_header(path: Path) -> Header:
    """What an image says of itself, in the words of volumes."""
    found = picture_header(path)
    shape = (found.channels, found.width, found.height, 1)
    return Header(path, found.format, shape, np.eye(4), extra={"transparent": found.transparent})


def _mask_beside(path: Path) -> Path | None:
    """The brain mask that lies beside raw DWI under a BIDS or HCP name, or None."""
    stem = strip_suffix(path)
    name = stem.removesuffix("_dwi")
    names = [f"{name}_desc-brain_mask", f"{name}_mask", f"{stem}_mask"]
    if stem == "data":
        names = ["nodif_brain_mask"]
    candidates = [path.parent / f"{n}{ending}" for n in names for ending in NIFTI]
    found = next((c for c in candidates if is_present(c)), None)
    if found is not None or path.is_dir():
        return found
    folder, root = path.absolute().parent, dataset_root(path)
    series = [p for p in nifti_files(folder) if _is_series(p, of_dataset=root is not None)]
    alone = len([p for p in series if complex_part(p) is None]) == 1
    mask = find_mask(path.absolute(), root or folder, alone=alone)
    if mask is None:
        return None
    check_file(mask)
    return path.with_name(mask.name) if mask.parent == folder else mask


def _is_series(path: Path, *, of_dataset: bool) -> bool:
    """Whether a file is a diffusion series, as cohorts know them by name."""
    stem = strip_suffix(path)
    if of_dataset:
        return stem.endswith("_dwi")
    return any(path.with_name(f"{stem}.{ending}").is_file() for ending in ("bval", "bvec"))


def _gradient_files(
    path: Path, bval: str | Path | None, bvec: str | Path | None, volumes: int
) -> tuple[Path, Path] | None:
    """The gradient files given or beside the input."""
    if bval is not None and bvec is not None:
        return Path(bval), Path(bvec)
    if bval is not None or bvec is not None:
        given, other = ("b-values", "b-vectors") if bval is not None else ("b-vectors", "b-values")
        raise GradientError(f"{path}: {given} are given without {other}: give --bval and --bvec")
    stem = path.with_name(strip_suffix(path))
    named = Path(f"{stem}.bval"), Path(f"{stem}.bvec")
    there = [is_present(file) for file in named]
    if all(there):
        return named
    root = dataset_root(path)
    if root is not None and stem.name.endswith("_dwi") and volumes not in (1, 6):
        found = [gradient_file(path.absolute(), root, ending) for ending in ("bval", "bvec")]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    for file, other_file in (named, named[::-1]):
        if file.is_file():
            raise GradientError(
                f"{path}: {file.name} lies beside it, but {other_file.name} does not"
                f"{not_there(other_file)}"
            )
    folder = path.with_name("bvals"), path.with_name("bvecs")
    if volumes not in (1, 6) and all(is_present(file) for file in folder):
        return folder
    return None


def sidecar_beside(path: Path) -> dict[str, Any]:
    """The JSON file beside an input; empty where there is none.

    Raises:
        InputError: It cannot be read: what it says of the input must not be passed over.
    """
    beside = _json_of(path)
    return read_json(beside) if is_present(beside) else {}


def _json_of(path: Path) -> Path:
    return path.with_name(f"{strip_suffix(path)}.json")
