"""The idx files of MNIST and of data sets like it: many small images, or their labels, in one file.

References:
    LeCun, *The MNIST database*: "The IDX file format".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.files import check_file

#: Files of images and of labels by part, as MNIST calls them.
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_BYTES = 8  # the code of unsigned bytes
_MOST = 2**31


def find_idx(root: Path, name: str) -> Path | None:
    """A file of MNIST as it is, with a point before ``idx``, or packed by gzip."""
    dotted = name.replace("-idx", ".idx")
    names = [f"{each}{ending}" for each in (name, dotted) for ending in ("", ".gz")]
    return next((root / each for each in names if (root / each).is_file()), None)


def read_idx(path: Path) -> NDArray[Any]:
    """Read an idx file of bytes, packed or not.

    Returns:
        Array of uint8; of images ``(N, H, W)``, of labels ``(N,)``.

    Raises:
        InputError: It is missing, no idx file, of other numbers than bytes, or of another length
            than it says.
    """
    check_file(path)
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}; copy it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or not 1 <= content[3] <= 4:
        raise InputError(f"{path} is not an idx file (its first bytes are {content[:4].hex()})")
    if content[2] != _BYTES:
        raise InputError(
            f"{path}: idx files must hold unsigned bytes (type 08), got type {content[2]:02x}"
        )
    axes, start = content[3], 4 + 4 * content[3]
    if len(content) < start:
        raise InputError(f"{path} is truncated: its header is not complete; copy it again")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if math.prod(shape) > _MOST or len(content) - start != math.prod(shape):
        size = "x".join(map(str, shape))
        raise InputError(
            f"{path} should hold {size} bytes, got {len(content) - start}; copy it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
