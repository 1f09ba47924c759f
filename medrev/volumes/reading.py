"""What the readers of all formats share: a file that is there, and errors as one line."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medrev.errors import InputError, MedrevError
from medrev.volumes.gzipped import DAMAGE

__all__ = ["PICTURES", "check_file", "one_line", "strip_suffix"]

#: Endings of image files.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", *PICTURES)


def strip_suffix(path: str | Path) -> str:
    """The name of a file without the suffix of its format.

    Example:
        >>> strip_suffix("a/sub-01_T1w.nii.gz"), strip_suffix("series.1"), strip_suffix("t.nrrd")
        ('sub-01_T1w', 'series.1', 't')
    """
    name = Path(path).name
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def check_file(path: Path) -> None:
    """Check that a file is there and not empty; suggest files of a similar name.

    Raises:
        InputError: It is missing, a folder, or empty.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, a file is needed")
        if path.exists():
            if path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes): copy it again")
            return
        message = f"{path}: no such file"
        if not path.parent.is_dir():
            raise InputError(f"{message}: the folder {path.parent} does not exist")
        names = [p.name for p in path.parent.iterdir()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    near = difflib.get_close_matches(path.name, names, 3, 0.7)
    raise InputError(f"{message}; did you mean {' or '.join(near)}?" if near else message)


@contextmanager
def one_line(path: Path, *others: type[Exception]) -> Iterator[None]:
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
