"""Whether values lie in the range of the training data, and the size of a mask."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.volumes import as_affine


def mask_volume(mask: torch.Tensor, affine: NDArray[Any] | torch.Tensor) -> float:
    """Size of a mask in ml.

    Args:
        mask: Of any shape, non-zero inside.
        affine: Voxel → RAS mm, 4×4.
    """
    voxel = abs(float(torch.linalg.det(torch.as_tensor(as_affine(affine))[:3, :3])))
    return int((mask > 0).sum()) * voxel / 1000


def is_outside(value: float, allowed: Sequence[float] | None, tolerance: float) -> bool:
    """Whether a value lies outside of a range by more than a share of its ends; None: no range."""
    if allowed is None:
        return False
    low, high = allowed
    return not low * (1 - tolerance) <= value <= high * (1 + tolerance)


def range_in_words(ends: Sequence[float], digits: str = ".3g") -> str:
    """A range as text; one number where both ends read alike.

    Example:
        >>> range_in_words((1, 4.5)), range_in_words((2, 2))
        ('1 to 4.5', '2')
    """
    first, last = (format(end, digits) for end in ends)
    return first if first == last else f"{first} to {last}"
