"""From diffusivities to network range and back: one scalar, no offset.

One scalar for all six components, because only then do rotations of the tensor and scaling
commute; no offset, so that the background stays zero.
"""

from collections.abc import Sequence

import torch

from medrev.domains.tensor.prepared import Prepared
from medrev.errors import InputError

#: Values taken per subject, evenly spread: enough for four digits.
_VALUES = 300_000


def auto_scale(prepared: Sequence[Prepared]) -> float:
    """Return the standard deviation of tensor components over brain voxels.

    All six components of the high-resolution tensors are pooled, every subject with at most
    300 000 evenly spread values. Values outside the 1st to 99th percentile of a subject are left
    out, so that failed fits at the rim do not count.

    Args:
        prepared: The training subjects.

    Returns:
        Scale in mm²/s; diffusivities are divided by it.

    Raises:
        InputError: There are no subjects, or all diffusivities are the same.
    """
    if not prepared:
        raise InputError("data.scale: auto needs at least one training subject")
    pooled = []
    for subject in prepared:
        values = subject.high[:, subject.mask[0] > 0].double().flatten()
        values = values[:: max(1, len(values) // _VALUES)].sort().values
        trimmed = len(values) // 100
        pooled.append(values[trimmed : len(values) - trimmed])
    scale = float(torch.cat(pooled).std(correction=0))
    if not scale > 0:
        raise InputError("data.scale: auto found no variation of the diffusivities in the brain")
    return scale
