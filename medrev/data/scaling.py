"""From diffusivities to network range and back: one scalar, no offset.

One scalar for all six components, because only then do rotations of the tensor and scaling
commute; no offset, so that the background stays zero.
"""

from collections.abc import Sequence

import torch

from medrev.data.prepared import Prepared
from medrev.errors import InputError

__all__ = ["auto_scale"]


def auto_scale(prepared: Sequence[Prepared]) -> float:
    """Return the standard deviation of tensor components over brain voxels.

    All six components of the high-resolution tensors are pooled, with the values outside the
    1st to 99th percentile of each subject left out, so that failed fits at the rim do not count.

    Args:
        prepared: The training subjects.

    Returns:
        Scale in mm²/s; diffusivities are divided by it.

    Raises:
        InputError: There are no subjects, or all diffusivities are the same.
    """
    count, total, squares = 0, 0.0, 0.0
    for subject in prepared:
        values = subject.high[:, subject.mask[0] > 0].double().flatten()
        low, high = (values.kthvalue(max(1, round(q * len(values)))).values for q in (0.01, 0.99))
        values = values[(values >= low) & (values <= high)]
        count += len(values)
        total += float(values.sum())
        squares += float(torch.sum(values * values))
    if count == 0:
        raise InputError("data.scale: auto needs at least one training subject")
    variance = squares / count - (total / count) ** 2
    if not variance > 0:
        raise InputError("data.scale: auto found no variation of the diffusivities in the brain")
    return float(variance**0.5)
