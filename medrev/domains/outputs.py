"""Files of a result: volumes or images, sidecars and picture, all or none.

They are one set: every sidecar tells the SHA-256 of all volumes and of the picture (``Files``), so
that files of two results are never taken for those of one.
"""

import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from numpy.typing import NDArray

from medrev.dti import Convention, convert_order, from_voxel_frame
from medrev.errors import OutputError
from medrev.files import atomic_path, content_hash, ensure_writable_folder
from medrev.locks import LOCK, hold
from medrev.volumes import (
    Volume,
    strip_suffix,
    write_color_nifti,
    write_mgh,
    write_nifti,
    write_scalar_nrrd,
    write_tensor_nrrd,
)

#: Ending of a volume's name by format.
SUFFIXES = {"nifti": ".nii.gz", "nrrd": ".nrrd"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Map:
    """Values on a grid.

    Attributes:
        values: ``(C, I, J, K)``; tensors in medrev's order and the voxel frame.
        affine: Voxel → RAS mm, 4×4.
        description: In words.
        units: Of the values.
        kind: tensor, scalar or color (red, green, blue from 0 to 1).
        space: NIfTI code of the space.
        convention: Order and frame of tensors in a NIfTI file.
    """

    values: torch.Tensor
    affine: NDArray[Any]
    description: str
    units: str
    kind: Literal["tensor", "scalar", "color"] = "scalar"
    space: int = 1
    convention: Convention | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of the sidecar."""
        return {"Description": self.description, "Units": self.units}

    def write(self, path: Path) -> None:
        """Write it in the format that the name of the file says."""
        if path.name.endswith(SUFFIXES["nrrd"]):
            if self.kind == "tensor":
                write_tensor_nrrd(path, self.values, self.affine, overwrite=True)
            else:
                write_scalar_nrrd(path, self.values, self.affine, overwrite=True, kind="RGB-color")
            return
        values = self.values
        write: Any = write_color_nifti if self.kind == "color" else write_nifti
        if path.suffix in (".mgz", ".mgh"):
            write = write_mgh
        if self.kind == "tensor":
            assert self.convention is not None
            turned = from_voxel_frame(values, self.affine, self.convention.frame)
            values = convert_order(turned, "fsl", self.convention.order)
        write(path, Volume(values, self.affine, {"space_code": self.space}), overwrite=True)


def bids_label(text: str) -> str:
    """A text as a BIDS label: letters and digits only.

    Example:
        >>> bids_label("A_01-b")
        'A01b'
    """
    return re.sub(r"[^A-Za-z0-9]", "", text) or "unknown"


def bids_folder(base: str, datatype: str) -> Path:
    """Where BIDS puts the files of a subject's session.

    Example:
        >>> bids_folder("sub-01_ses-2_run-1", "dwi").as_posix()
        'sub-01/ses-2/dwi'
    """
    entities = dict(part.split("-", 1) for part in base.split("_") if "-" in part)
    folder = Path(f"sub-{entities['sub']}") if "sub" in entities else Path()
    return (folder / f"ses-{entities['ses']}" if "ses" in entities else folder) / datatype


#: Key of the picture among the paths. It has no sidecar.
PICTURE = "picture"
#: Key of the certificate among the paths. It is a JSON file that has all that sidecars have.
CERTIFICATE = "certificate"
#: Keys of the maps of scores among the paths. Not every scan has them.
SCORES = ("score", "tissue")
#: Seconds that another process may take to write the same result.
_WAIT = 600.0
#: Bytes that the name of a file may have.
_LONGEST = 255


class Output(Protocol):
    """What is written into one file."""

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of its sidecar."""

    def write(self, path: Path) -> None:
        """Write it."""


@dataclass(frozen=True, eq=False)
class Result:
    """A computed result, ready to be written.

    Attributes:
        paths: File by name, and of the picture under ``picture``.
        outputs: What is written into them.
        sidecar: What the JSON files of all have in common.
        others: Files that an earlier result of the same name may have had, and this one has not.
    """

    paths: dict[str, Path]
    outputs: dict[str, Output]
    sidecar: dict[str, Any]
    others: tuple[Path, ...] = ()


@functools.lru_cache(maxsize=1024)
def sidecar_of(path: Path) -> Path:
    """The JSON file of a volume or image; a JSON file is its own."""
    if path.suffix == ".json":
        return path
    return path.with_name(f"{strip_suffix(path)}.json")


def all_files(paths: dict[str, Path]) -> list[Path]:
    """Volumes or images, each followed by its sidecar, the certificate and the picture."""
    files: list[Path] = []
    for name, path in paths.items():
        files += [path] if name in (PICTURE, CERTIFICATE) else [path, sidecar_of(path)]
    return files


def check_outputs(paths: dict[str, Path], inputs: list[Path], overwrite: bool) -> None:
    """Refuse results that exist (unless they may be replaced) or that would replace the input.

    Names that no file system takes are refused, too.

    Raises:
        OutputError: Naming the first such file.
    """
    files = all_files(paths)
    _check_names(files)
    sources = {_place(path) for path in inputs}
    for file in files:
        place = _place(file)
        if place is not None and place in sources:
            raise OutputError(f"{file} is the input itself; choose another output folder")
        if place is not None and not overwrite:
            raise OutputError(f"{file} exists already; give --overwrite to replace it")


def _place(path: Path) -> tuple[int, int] | None:
    """Where a file lies, whatever it is called; None where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _check_names(files: list[Path]) -> None:
    """Refuse names of more bytes than file systems take, with the lock's beginning."""
    longest = max(files, key=lambda file: len(os.fsencode(file.name)))
    most = _LONGEST - len(f"{LOCK}-")
    if (length := len(os.fsencode(longest.name))) > most:
        raise OutputError(
            f"{longest.name[:40]}…: the name of the result would have {length} bytes, up to {most} "
            "are possible: give --output a shorter one, or shorten that of the input"
        )


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """Make sure that a folder can be written; folders made for it go again if they stay empty.

    Raises:
        OutputError: It cannot be made or written.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    ensure_writable_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            for place in new:
                place.rmdir()


#: How a result was made whose sidecar has another value of a key.
_UNLIKE = {
    "SourceSHA256": "from another input",
    "Request": "by another model or with other settings",
}


def missing_files(paths: dict[str, Path], wanted: Mapping[str, Any]) -> list[Path] | None:
    """The files of a result that are not there, by what its sidecars say.

    Args:
        paths: All files of the result, by name. The score may be missing: a scan that was
            resampled, or is too small, has none, which its sidecars say.
        wanted: Keys of the sidecars, and their values in a result made as wanted.

    Returns:
        Nothing where the result is there as it was written; None where none of it is there.

    Raises:
        OutputError: Something is there that was made in another way or by somebody else, or was
            changed since.
    """
    files = all_files(paths)
    there = {file: None for file in files if os.path.exists(file)}
    if not there:
        _check_names(files)
        return None
    sidecars = {sidecar_of(path) for name, path in paths.items() if name != PICTURE}
    known: dict[str, str] = {}
    for sidecar in sorted(sidecars & there.keys()):
        document = _document(sidecar)
        if not document:
            raise OutputError(
                f"{sidecar} exists already, and cannot be read; give --overwrite to replace it"
            )
        unlike = [_UNLIKE[key] for key, value in wanted.items() if document.get(key) != value]
        if unlike:
            raise OutputError(
                f"{sidecar} exists already, made {' and '.join(unlike)}; give --overwrite to "
                "replace it"
            )
        known.update(document.get("Files", {}))
    for file in there:
        if file not in sidecars and known.get(file.name) != content_hash(file):
            how = "was changed since it was written" if file.name in known else "exists already"
            raise OutputError(f"{file} {how}; give --overwrite to replace it")
    if known:
        none = {name for name in SCORES if name in paths and paths[name].name not in known}
        files = all_files({name: path for name, path in paths.items() if name not in none})
    return [file for file in files if file not in there]


def write_outputs(
    result: Result, *, overwrite: bool, wanted: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write all files, their sidecars and the picture under temporary names, then their own.

    Sidecars go first: whatever is there after a kill, they say whose it is.

    Args:
        result: What was computed.
        overwrite: Replace existing files, and remove :attr:`Result.others` written by medrev.
        wanted: As in :func:`missing_files`: the same result of another process that was faster is
            kept, one that was not completed is replaced.

    Returns:
        The files written: each one followed by its sidecar, then the picture.

    Raises:
        OutputError: A file exists or cannot be written; then none is.
    """
    files = all_files(result.paths)
    first = files[0]
    ensure_writable_folder(first.parent)
    with hold(first.with_name(f"{LOCK}-{strip_suffix(first)}"), wait=_WAIT):
        if wanted is not None and not overwrite:
            missing = missing_files(result.paths, wanted)
            if missing == []:
                return files
            overwrite = missing is not None
        with ExitStack() as stack:
            temporary = {
                name: stack.enter_context(atomic_path(path, overwrite))
                for name, path in reversed(result.paths.items())
                if name != CERTIFICATE
            }
            hashes = {}
            for name, path in result.paths.items():
                if name in temporary:
                    result.outputs[name].write(temporary[name])
                    hashes[path.name] = content_hash(temporary[name])
            for name, path in result.paths.items():
                if name != PICTURE:
                    document = {**result.outputs[name].about, **result.sidecar, "Files": hashes}
                    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
                    file = stack.enter_context(atomic_path(sidecar_of(path), overwrite))
                    file.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
            if overwrite:
                _remove_old(result)
    return files


def is_own(path: Path) -> bool:
    """Whether medrev says, in the sidecar, that it wrote a file."""
    try:
        authors = _document(sidecar_of(path))["GeneratedBy"]
        return any(author["Name"] == "medrev" for author in authors)
    except (LookupError, TypeError):
        return False


def _document(sidecar: Path) -> dict[str, Any]:
    """What a sidecar says; nothing where it cannot be read."""
    try:
        document = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _remove_old(result: Result) -> None:
    """Remove what is replaced: were the command killed now, files would be missing, not mixed.

    An earlier result's uncertainty would be taken for that of this one. The sidecars go last, as
    long as they are there they say whose the other files are.
    """
    files = list(result.paths.values())
    sidecars = [sidecar_of(path) for name, path in result.paths.items() if name != PICTURE]
    listed = {name for sidecar in sidecars for name in _document(sidecar).get("Files", ())}
    for path in result.others:
        if is_own(path) or path.name in listed:
            files.append(path)
            sidecars.insert(0, sidecar_of(path))
    for file in [*files, *sidecars]:
        with suppress(OSError):
            file.unlink()
