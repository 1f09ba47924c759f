"""Image files (PNG, JPEG, TIFF) as volumes of one slice, for translation in 2D."""

from pathlib import Path

import numpy as np
import torch

from medrev.volumes import read_pixels

__all__ = ["read_picture"]


def read_picture(path: Path, *, indexed: bool = False) -> tuple[torch.Tensor, float]:
    """Read an image.

    Args:
        path: As for `medrev.volumes.read_pixels`.
        indexed: Leave the numbers of a palette as they are: label maps.

    Returns:
        ``(C, I, J, 1)``, float32, C 1 or 3, i to the right and j upwards, as stored (not scaled);
        and the largest value that its type holds, 255 or 65535.

    Raises:
        InputError: It is missing, damaged, or has values of another kind.
    """
    pixels, largest = read_pixels(path, indexed=indexed)
    values = np.ascontiguousarray(pixels.transpose(2, 1, 0)[:, :, ::-1], dtype=np.float32)
    return torch.from_numpy(values)[..., None], largest
