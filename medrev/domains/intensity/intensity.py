"""Intensities of a whole volume in network range: zero is -1, the brain's brightest voxels are 1.

Intensities of MRI have no unit and differ from scan to scan, so each volume has a scale of its own.
It is that of the whole volume, never of a slice or a patch: slices of one volume go together.
"""

import torch

from medrev.errors import InputError

#: The value of the background, 0, in network range.
BACKGROUND = -1.0


def intensity_scale(volume: torch.Tensor, mask: torch.Tensor, percentile: float) -> float:
    """The intensity that becomes 1: a percentile of the volume's voxels in the mask.

    Args:
        volume: ``(1, I, J, K)``.
        mask: ``(1, I, J, K)``, non-zero inside.
        percentile: Above 50, at most 100.

    Raises:
        InputError: The mask is empty, or the percentile is not a positive number.
    """
    values = volume[mask > 0]
    if values.numel() == 0:
        raise InputError("the mask is empty: there are no intensities to scale by")
    rank = percentile / 100 * (values.numel() - 1)
    low, high = int(rank), min(int(rank) + 1, values.numel() - 1)
    below, above = (float(values.kthvalue(n + 1).values) for n in (low, high))
    scale = below + (rank - low) * (above - below)
    if not 0 < scale < float("inf"):
        raise InputError(
            f"the {percentile:g}th percentile of the intensities in the mask must be positive, "
            f"got {scale:g}"
        )
    return scale


def to_network(volume: torch.Tensor, scale: float, *, clip: bool = True) -> torch.Tensor:
    """Intensities in network range, float32: 0 becomes -1 and ``scale`` 1.

    Example:
        >>> to_network(torch.tensor([0.0, 50.0, 100.0, 140.0]), 100.0).tolist()
        [-1.0, 0.0, 1.0, 1.0]
    """
    values = 2 * volume.float() / scale - 1
    return values.clamp(-1, 1) if clip else values
