"""What the readers of all formats share: endings of names, and errors as one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medrev.errors import InputError, MedrevError
from medrev.volumes.gzipped import DAMAGE

#: Endings of image files.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

#: Endings of files of volumes.
VOLUMES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh")

_SUFFIXES = (*VOLUMES, ".dcm", *PICTURES)


def strip_suffix(path: str | Path) -> str:
    """The name of a file without the suffix of its format.

    Example:
        >>> strip_suffix("a/sub-01_T1w.nii.gz"), strip_suffix("series.1"), strip_suffix("t.nrrd")
        ('sub-01_T1w', 'series.1', 't')
    """
    name = Path(path).name
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


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
            f"{path}: truncated or damaged gzip file ({error}): copy it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except others as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read: {text}") from error
