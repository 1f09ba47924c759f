"""Values of a volume: NaN and infinity, the range of the training data, the size of a mask."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.errors import InputError, counted
from medrev.volumes import as_affine, to_numpy

#: How far outside the training's range, relatively, the size of a mask may lie.
_MASK_TOLERANCE = 0.3


def without_nan(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (C, I, J, K) with 0 for what is not finite, and where (I, J, K) all channels are."""
    finite = torch.ones(values.shape[1:], dtype=torch.bool)
    for channel in values:
        finite &= torch.isfinite(channel)
    return (values if finite.all() else torch.where(finite, values, 0.0)), finite


def finite_notes(
    finite: torch.Tensor, inside: torch.Tensor, name: str, *, enclosed: bool
) -> list[str]:
    """Refuse NaN and infinity in the brain; count those outside of it.

    Args:
        finite: ``(I, J, K)`` of :func:`without_nan`.
        inside: Mask ``(1, I, J, K)``.
        name: The file, for the message.
        enclosed: The mask was made from the values: holes in it belong to the brain.

    Raises:
        InputError: There are some in the brain.
    """
    if finite.all():
        return []
    brain = inside[0]
    if enclosed:
        from scipy.ndimage import binary_fill_holes

        brain = torch.from_numpy(binary_fill_holes(to_numpy(brain)))
    bad = ~finite & brain
    if bad.any():
        first = tuple(int(n) for n in bad.nonzero()[0])
        words = "voxel in the brain is", "voxels in the brain are"
        raise InputError(
            f"{name}: {counted(int(bad.sum()), *words)} NaN or infinite, the first at "
            f"{first}: replace them, or give a mask without them"
        )
    words = "voxel outside the mask was", "voxels outside the mask were"
    return [f"{counted(int((~finite).sum()), *words)} NaN or infinite: taken as zero"]


def mask_volume(mask: torch.Tensor, affine: NDArray[Any] | torch.Tensor) -> float:
    """Size of a mask in ml; the affine is voxel → RAS mm."""
    voxel = abs(float(torch.linalg.det(torch.as_tensor(as_affine(affine))[:3, :3])))
    return int((mask > 0).sum()) * voxel / 1000


def is_outside(value: float, allowed: Sequence[float] | None, tolerance: float) -> bool:
    """Whether a value lies outside of a range by more than a share of its ends; None: no range."""
    if allowed is None:
        return False
    low, high = allowed
    return not low * (1 - tolerance) <= value <= high * (1 + tolerance)


def mask_doubts(size: float, trained: Sequence[float] | None) -> list[str]:
    """Say so in words where a mask has another size (ml) than those of the training."""
    if trained is None or not is_outside(size, trained, _MASK_TOLERANCE):
        return []
    return [
        f"the mask has {size:.0f} ml, in training it had {range_in_words(trained, '.0f')}: "
        "is it the brain, and all of it?"
    ]


def ranges_of(described: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Smallest and largest of every value over the volumes of a training."""
    rows = list(described)
    return {
        name: [min(row[name] for row in rows), max(row[name] for row in rows)]
        for name in (rows[0] if rows else {})
    }


def range_in_words(ends: Sequence[float], digits: str = ".3g") -> str:
    """A range as text; one number where both ends read alike.

    Example:
        >>> range_in_words((1, 4.5)), range_in_words((2, 2))
        ('1 to 4.5', '2')
    """
    first, last = (format(end, digits) for end in ends)
    return first if first == last else f"{first} to {last}"
