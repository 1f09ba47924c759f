"""What the readers of all formats check of values: that they fit the memory, and are finite."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
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
            f"{header.path}: {shape} voxels need {needed / 2**30:,.4g} GiB of memory, this machine "
            f"has {memory / 2**30:,.4g} GiB"
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
        InputError: There is NaN or infinity; it counts the voxels and names the first.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values: NDArray[np.float32] = np.ascontiguousarray(stored, dtype=np.float32)
    _check_finite(header.path, values, allow_nan)
    header = replace(header, notes=(*header.notes, *rounding_notes(stored, values)))
    common = {"filename_or_obj": str(header.path), "space_code": header.space_code}
    about = {**common, "notes": header.notes, **(meta or {})}
    return Volume(torch.from_numpy(values), header.affine, about, header)


def rounding_notes(stored: NDArray[Any], values: NDArray[np.float32]) -> tuple[str, ...]:
    """What is to be said of whole numbers that float32 does not hold exactly."""
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize < 4:
        return ()
    largest = max(abs(int(stored.min())), abs(int(stored.max())))
    if largest <= EXACT or np.array_equal(values.astype(np.float64), stored.astype(np.float64)):
        return ()
    return (f"whole numbers of up to {largest} are rounded to the 24 bits of float32",)


def _check_finite(path: Path, values: NDArray[np.float32], allow_nan: bool) -> None:
    finite = np.isfinite(values).all(axis=0)
    if allow_nan or finite.all():
        return
    where = tuple(int(n) for n in np.argwhere(~finite)[0])
    raise InputError(
        f"{path}: {int((~finite).sum())} voxels are NaN or infinite, the first at {where}: "
        "replace them (0 outside the brain) first"
    )
