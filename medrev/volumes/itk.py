"""What SimpleITK reads and writes: images of 16-bit colours, compressed pixels of DICOM."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.volumes.reading import one_line


def load_pixels(path: str | Path) -> NDArray[Any]:
    """Read an image file of several channels as it is stored, ``(H, W, C)``.

    Raises:
        InputError: If it is damaged.
    """
    with _errors(Path(path)):
        pixels: NDArray[Any] = _itk().GetArrayFromImage(_itk().ReadImage(str(path)))
    return pixels


def load_dicom_pixels(path: str | Path) -> NDArray[Any]:
    """The numbers of a DICOM file of grey values, ``(frames, rows, columns)``.

    Raises:
        InputError: If it is damaged, or compressed in an unknown way.
    """
    with _errors(Path(path)):
        pixels: NDArray[Any] = _itk().GetArrayFromImage(
            _itk().ReadImage(str(path), imageIO="GDCMImageIO")
        )
    return pixels


def save_pixels(path: str | Path, pixels: NDArray[Any]) -> None:
    """Write an image file ``(H, W, C)`` of several channels."""
    image = _itk().GetImageFromArray(np.ascontiguousarray(pixels), isVector=True)
    _itk().WriteImage(image, str(path))


def _itk() -> Any:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn ITK's long messages into one line."""
    try:
        with one_line(path):
            yield
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rpartition("ERROR: ")[2]
        raise InputError(
            f"{path}: damaged, truncated or of another format: copy it again (ITK: {reason})"
        ) from error
