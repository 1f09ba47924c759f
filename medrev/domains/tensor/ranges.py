"""What values, voxels, brains and tissue a model was trained on, and their scale."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.data.ranges import is_outside, mask_doubts, mask_volume, range_in_words, ranges_of
from medrev.domains.score import Tissue
from medrev.domains.tensor.degradation import Prepared
from medrev.dti import invariant_maps
from medrev.errors import InputError
from medrev.metrics import Floats, as_array

#: Values taken per subject, evenly spread: enough for four digits.
_VALUES = 300_000


def auto_scale(prepared: Sequence[Prepared]) -> float:
    """Standard deviation (mm²/s) of tensor components over brain voxels of training subjects.

    All six components of the high-resolution tensors are pooled, every subject with at most
    300 000 evenly spread values. Values outside the 1st to 99th percentile of a subject are left
    out, so that failed fits at the rim do not count.

    Raises:
        InputError: There are no subjects, or all diffusivities are the same.
    """
    if not prepared:
        raise InputError("data.scale: auto needs at least one training subject")
    pooled = []
    for subject in prepared:
        values = subject.y[:, subject.mask[0] > 0].double().flatten()
        values = values[:: max(1, len(values) // _VALUES)].sort().values
        trimmed = len(values) // 100
        pooled.append(values[trimmed : len(values) - trimmed])
    scale = float(torch.cat(pooled).std(correction=0))
    if not scale > 0:
        raise InputError("data.scale: auto found no variation of the diffusivities in the brain")
    return scale


#: Percentiles of the mean diffusivity in the brain that are compared.
_PERCENTILES = (5, 50, 95)
#: Voxels looked at per scan, evenly spread.
_VOXELS = 300_000
#: How far outside the training's range, relatively, diffusivities may lie.
_TOLERANCE = 0.2


def describe_values(
    tensors: torch.Tensor, mask: torch.Tensor, affine: NDArray[Any] | torch.Tensor
) -> dict[str, float]:
    """Percentiles of the mean diffusivity (mm²/s) and the size of the mask (ml).

    Args:
        tensors: ``(6, I, J, K)`` in mm²/s.
        mask: ``(1, I, J, K)`` or (I, J, K), at least one voxel of it true.
        affine: Voxel → RAS mm, 4×4.
    """
    inside = mask.reshape(tensors.shape[1:]) > 0
    md = (tensors[0][inside] + tensors[3][inside] + tensors[5][inside]).double() / 3
    md = md[:: max(1, len(md) // _VOXELS)]
    shares = torch.tensor([p / 100 for p in _PERCENTILES], dtype=torch.float64)
    percentiles = torch.quantile(md, shares).tolist()
    return {
        **{f"md_p{p}": value for p, value in zip(_PERCENTILES, percentiles, strict=True)},
        "mask_ml": mask_volume(inside, affine),
    }


def training_ranges(subjects: Iterable[Prepared]) -> dict[str, list[float]]:
    """Smallest and largest of every value of :func:`describe_values` over training subjects.

    The high-resolution tensors are looked at: their percentiles are those of the twins, nearly.
    """
    return ranges_of(describe_values(s.y, s.mask, s.affine) for s in subjects)


def unlike_training(
    values: Mapping[str, float], ranges: Mapping[str, Sequence[float]]
) -> list[str]:
    """Say where :func:`describe_values` of a scan lies outside of :func:`training_ranges`."""
    doubts = []
    for percentile in _PERCENTILES:
        name = f"md_p{percentile}"
        if is_outside(values[name], ranges.get(name), _TOLERANCE):
            doubts.append(
                f"the {percentile}th percentile of the mean diffusivity is {values[name]:.3g} "
                f"mm²/s, in training it was {range_in_words(ranges[name])}: judge the result with "
                "care"
            )
    return doubts + mask_doubts(values["mask_ml"], ranges.get("mask_ml"))


#: Deviation of the weights around a place: mm, and voxels at least.
_AROUND, _LEAST = 1.5, 0.7
#: Weight of the mask around a place below which it lies too near its rim.
_FILLED = 0.8


def tissue_of(values: Tensor, mask: Tensor, edges: Sequence[float]) -> Tissue:
    """MD, its spread, and FA of the mean tensor, of tensors ``(6, I, J, K)`` in mm²/s.

    The mask is ``(1, I, J, K)``, edges are in mm.
    """
    from scipy.ndimage import gaussian_filter

    inside = as_array(mask[0]) > 0
    widths = [max(_AROUND / edge, _LEAST) for edge in edges]
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
