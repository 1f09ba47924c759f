"""What lies around every place of a tensor volume."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medrev.domains.tissue import Tissue
from medrev.dti import invariant_maps
from medrev.metrics import Floats, as_array

#: Deviation of the weights around a place: mm, and voxels at least.
_AROUND, _VOXELS = 1.5, 0.7
#: Weight of the mask around a place below which it lies too near its rim.
_FILLED = 0.8


def tissue_of(values: Tensor, mask: Tensor, edges: Sequence[float]) -> Tissue:
    """Mean diffusivity, its spread, and the fractional anisotropy of the mean tensor.

    Args:
        values: Tensors ``(6, I, J, K)``, mm²/s.
        mask: ``(1, I, J, K)``.
        edges: Voxel edges, mm.
    """
    from scipy.ndimage import gaussian_filter

    inside = as_array(mask[0]) > 0
    widths = [max(_AROUND / edge, _VOXELS) for edge in edges]
    weight = gaussian_filter(inside.astype(np.float32), widths)

    def around(volume: Floats) -> Floats:
        """Weighted mean around every place."""
        return np.asarray(gaussian_filter(volume * inside, widths) / weight.clip(1e-3))

    tensors = as_array(values)
    md = tensors[[0, 3, 5]].mean(axis=0)
    median = float(np.median(md[inside])) if inside.any() else 0.0
    median = max(median, float(np.finfo(np.float32).tiny))
    away = (md - median) / median
    mean = around(away)
    spread = np.sqrt((around(away**2) - mean**2).clip(0))
    middle = torch.from_numpy(np.stack([around(component) for component in tensors]))
    anisotropy = as_array(invariant_maps(middle)["fa"][0])
    return Tissue.of(1 + mean, spread, anisotropy, inside & (weight > _FILLED), edges)
