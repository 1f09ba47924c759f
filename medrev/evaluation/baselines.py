"""What a model has to beat: interpolation of the same input onto the same grid."""

from typing import Literal, get_args

import numpy as np
import torch
from scipy import ndimage

from medrev.evaluation.masked import Array, as_array
from medrev.volumes import upsample

__all__ = ["BASELINES", "Baseline", "interpolate"]

Baseline = Literal["nearest", "trilinear", "cubic", "bspline"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


def interpolate(low: Array, factor: int, mode: Baseline) -> torch.Tensor:
    """Interpolate a volume onto the ``factor`` times finer grid with the same field of view.

    Args:
        low: Volume of shape ``(C, i, j, k)``.
        factor: Fine voxels per coarse voxel along every axis.
        mode: nearest, trilinear, cubic (Keys' kernel, a = −0.5, no overshoot correction) or
            bspline (interpolating cubic B-spline, the strongest of the four).

    Returns:
        Volume of shape ``(C, I, J, K)``, I = factor·i, float32; voxel (0, 0, 0) lies
        (factor − 1)/2 fine voxels before the centre of the coarse one (``rescale_affine``).

    Raises:
        ValueError: The mode is unknown.
    """
    if mode not in BASELINES:
        raise ValueError(f"mode must be one of {', '.join(BASELINES)}, got {mode!r}")
    array = as_array(low)
    if mode == "bspline":
        zoomed = [
            ndimage.zoom(channel, factor, order=3, mode="reflect", grid_mode=True)
            for channel in array
        ]
        return torch.from_numpy(np.stack(zoomed).astype(np.float32))
    volume = torch.from_numpy(array.astype(np.float32))[None]
    return upsample(volume, factor, mode)[0]
