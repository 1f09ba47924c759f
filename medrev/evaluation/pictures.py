"""Images as volumes of one slice: i to the right and j upwards."""

from pathlib import Path

import numpy as np
import torch

from medrev.volumes import read_pixels


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
    values = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))
    return as_picture(values), largest


def as_picture(rows: torch.Tensor) -> torch.Tensor:
    """An image ``(C, H, W)``, rows from the top, as a volume ``(C, I, J, 1)``.

    Example:
        >>> as_picture(torch.tensor([[[1, 2, 3], [4, 5, 6]]]))[0, :, :, 0]
        tensor([[4, 1],
                [5, 2],
                [6, 3]])
    """
    return rows.flip(1).transpose(1, 2)[..., None].contiguous()


def as_rows(picture: torch.Tensor) -> torch.Tensor:
    """Undo :func:`as_picture`.

    Example:
        >>> rows = torch.rand(3, 4, 5)
        >>> torch.equal(as_rows(as_picture(rows)), rows)
        True
    """
    return picture[..., 0].transpose(1, 2).flip(1).contiguous()
