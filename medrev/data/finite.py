"""NaN and infinity in volumes: background where they lie outside the brain, an error inside."""

import torch

from medrev.errors import InputError
from medrev.volumes import to_numpy


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
        raise InputError(
            f"{name}: {int(bad.sum())} voxels in the brain are NaN or infinite, the first at "
            f"{first}: replace them, or give a mask without them"
        )
    return [f"{int((~finite).sum())} voxels outside the mask were NaN or infinite: taken as zero"]
