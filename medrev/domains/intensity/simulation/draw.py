"""A scan, drawn from one seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, draw_leaves
from medrev.domains.intensity.simulation.scanner import draw_signals, scanned
from medrev.domains.intensity.simulation.tissue import draw_skull, draw_tissue

#: Smallest and largest voxel edge in mm.
VOXELS = (0.65, 1.35)
#: How many scans show tissue, not shapes of any kind; and how many of those show the skull's side.
_TISSUE, _RIM = 0.75, 0.6


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A scan that was drawn.

    Attributes:
        values: Intensities, ``(1, n, n, n)``, float32, never negative.
        affine: Voxel → RAS mm, 4×4.
    """

    values: Tensor
    affine: NDArray[np.float64]


def draw_scan(seed: Sequence[int], edge: int, stretch: float = 1.0) -> SimulatedScan:
    """Draw a scan; the same seed gives the same one.

    Args:
        seed: Numbers, 0 or above.
        edge: Voxels along each edge.
        stretch: Edge of a voxel along the last axis beside those along the others.

    Example:
        >>> draw_scan((0, 1), 16).values.shape
        torch.Size([1, 16, 16, 16])
    """
    rng = np.random.default_rng(list(seed))
    fields = Fields(rng, edge, stretch)
    voxel = math.exp(rng.uniform(math.log(VOXELS[0]), math.log(VOXELS[1])))
    if rng.uniform() < _TISSUE:
        signals = draw_signals(rng)
        image = draw_tissue(rng, fields, signals, 1 / voxel)
        if rng.uniform() < _RIM:
            image = draw_skull(rng, fields, image, signals=signals, zoom=1 / voxel)
    else:
        image = draw_leaves(rng, fields)
    stripped = image == 0
    values = scanned(rng, fields, image)
    if rng.uniform() < 0.5:
        values = values * ~stripped
    return SimulatedScan(values[None], np.diag([voxel, voxel, stretch * voxel, 1.0]))
