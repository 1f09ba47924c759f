"""What the readers of all formats share: endings of names, errors as one line, checked values."""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError, MedrevError, counted
from medrev.progress import format_bytes
from medrev.volumes.gzipped import DAMAGE
from medrev.volumes.volume import Header, Volume

EXACT = 2**24  # float32 holds every whole number up to here


def check_memory(header: Header, volumes: int | None = None) -> None:
    """Refuse a volume that cannot fit this machine's memory, before anything is allocated.

    Args:
        header: Of the file.
        volumes: How many of its volumes are to be read (default: all).

    Raises:
        InputError: As float32 it needs more than the machine has.
    """
    import psutil

    count = header.shape[0] if volumes is None else volumes
    needed = 4 * count * math.prod(header.shape[1:])
    memory = psutil.virtual_memory().total
    if needed > memory:
        shape = "×".join(str(n) for n in (count, *header.shape[1:]))
        raise InputError(
            f"{header.path}: {shape} voxels need {format_bytes(needed)} of memory, this machine "
            f"has {format_bytes(memory)}"
        )


def finished(
    header: Header, stored: NDArray[Any], allow_nan: bool, meta: dict[str, Any] | None = None
) -> Volume:
    """The volume of a file from its values as they are stored.

    Args:
        header: Of the file.
        stored: ``(C, I, J, K)``, whole or real numbers.
        allow_nan: Accept NaN and infinity and leave them as they are.
        meta: Fields of the format, for `Volume.meta`.

    Returns:
        With float32 values, and a note where they do not hold whole numbers exactly.

    Raises:
        InputError: There is NaN or infinity, or a number beyond float32; it counts the voxels.
    """
    values = to_float32(header.path, stored)
    _check_finite(header.path, values, allow_nan)
    header = replace(header, notes=(*header.notes, *rounding_notes(stored, values)))
    common = {"filename_or_obj": str(header.path), "space_code": header.space_code}
    about = {**common, "notes": header.notes, **(meta or {})}
    return Volume(torch.from_numpy(values), header.affine, about, header)


def to_float32(path: Path, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Values as float32.

    Raises:
        InputError: A finite one is beyond its range.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values: NDArray[np.float32] = np.ascontiguousarray(stored, dtype=np.float32)
    if stored.dtype.kind == "f" and stored.dtype.itemsize > values.itemsize:
        beyond = stored[np.isinf(values) & np.isfinite(stored)]
        if beyond.size:
            raise InputError(
                f"{path}: {counted(beyond.size, 'voxel is', 'voxels are')} beyond the numbers of "
                f"float32 (to 3.4e+38), such as {beyond.flat[0]}: replace them (0 outside the "
                "brain), or divide all values first"
            )
    return values


def rounding_notes(stored: NDArray[Any], values: NDArray[np.float32]) -> tuple[str, ...]:
    """What is to be said of whole numbers that float32 does not hold exactly."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize < 4:
        return ()
    largest = max(abs(int(stored.min())), abs(int(stored.max())))
    if largest <= EXACT:
        return ()
    whole = stored.astype(np.float64)  # exact below 2^53; above, multiples of 2^30 may be
    beyond = stored[np.abs(whole) >= 2**53] % 2**30
    if np.array_equal(values.astype(np.float64), whole) and not beyond.any():
        return ()
    return (f"whole numbers of up to {largest} are rounded to the 24 bits of float32",)


def _check_finite(path: Path, values: NDArray[np.float32], allow_nan: bool) -> None:
    finite = np.isfinite(values).all(axis=0)
    if allow_nan or finite.all():
        return
    where = tuple(int(n) for n in np.argwhere(~finite)[0])
    raise InputError(not_finite(path, int((~finite).sum()), str(where)))


def not_finite(path: Path, count: int, first: str) -> str:
    """What is said of voxels that are NaN or infinite, and of where the first is."""
    return (
        f"{path}: {counted(count, 'voxel is', 'voxels are')} NaN or infinite, the first at "
        f"{first}: replace them (0 outside the brain) first"
    )


#: Endings of image files.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: Endings of NIfTI volumes that are one file.
ONE_FILE = (".nii.gz", ".nii")
#: Endings of files of volumes; of two files, that of the header.
NIFTI = (*ONE_FILE, ".hdr", ".hdr.gz")
VOLUMES = (*NIFTI, ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh")

_SUFFIXES = (*VOLUMES, ".img.gz", ".img", ".dcm", *PICTURES)


def strip_suffix(path: str | Path) -> str:
    """The name of a file without the suffix of its format.

    Example:
        >>> strip_suffix("a/sub-01_T1w.nii.gz"), strip_suffix("series.1"), strip_suffix("t.nrrd")
        ('sub-01_T1w', 'series.1', 't')
    """
    name = Path(path).name
    lower = name.lower()
    suffix = next((s for s in _SUFFIXES if lower.endswith(s)), "")
    return name[: len(name) - len(suffix)]


def without_twins(paths: Iterable[Path]) -> list[Path]:
    """Files without the headers of volumes that are there as one file, too, under the same name.

    Example:
        >>> names = ("a.hdr", "a.nii.gz", "b.hdr", "c/a.hdr")
        >>> [path.as_posix() for path in without_twins(map(Path, names))]
        ['a.nii.gz', 'b.hdr', 'c/a.hdr']
    """
    paths = list(paths)
    single = {
        path.with_name(strip_suffix(path)) for path in paths if path.name.lower().endswith(ONE_FILE)
    }
    return [
        path
        for path in paths
        if not path.name.lower().endswith(NIFTI[len(ONE_FILE) :])
        or path.with_name(strip_suffix(path)) not in single
    ]


def numbered(pattern: str) -> list[str]:
    """The files of a pattern with first, last and step number, as headers of volumes name them.

    Raises:
        ValueError: It is none, or of too many files.

    Example:
        >>> numbered("slice%03d.raw 1 5 2")
        ['slice001.raw', 'slice003.raw', 'slice005.raw']
    """
    name, *numbers = pattern.split()
    found = re.fullmatch(r"([^%]*)%(0?\d*)d([^%]*)", name)
    if found is None or len(numbers) < 2:
        raise ValueError(f"'{pattern}' is no pattern of files such as 's%03d.raw 1 9 1'")
    first, last, step = (int(n) for n in (*numbers, "1")[:3])
    if step == 0 or not 0 <= (last - first) // step < 100_000:
        raise ValueError(f"'{pattern}' names no files, or too many")
    stop = last + (1 if step > 0 else -1)
    return [f"{found[1]}{n:{found[2]}d}{found[3]}" for n in range(first, stop, step)]


def text_numbers(path: Path, content: bytes, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """The numbers of a volume that is written as text.

    Raises:
        InputError: They are too few, or some are none of the type.
    """
    words = content.split()
    if len(words) < count:
        raise InputError(f"{path}: truncated: {count} numbers are promised, got {len(words)}")
    try:
        return np.array(words[:count]).astype(dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: its text must be {count} numbers of its type {dtype}: {error}"
        ) from None


@contextmanager
def one_line(path: Path | str, *others: type[Exception]) -> Iterator[None]:
    """Turn the errors of streams, and other kinds named, into one line.

    Raises:
        InputError: In their place.
    """
    try:
        yield
    except MedrevError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{path}: truncated or damaged compressed file ({error}): copy it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except others as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read: {text}") from error
