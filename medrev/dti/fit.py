"""Fit of the diffusion tensor to a diffusion-weighted series: linear ones ours, NLLS by dipy."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.gradients import Gradients
from medrev.dti.signal import FLOOR, LinearFit
from medrev.errors import GradientError, InputError
from medrev.volumes import like, to_numpy

Method = Literal["WLS", "OLS", "NLLS"]

CHUNK = 20_000  # voxels at a time


def fit_tensor(
    dwi: torch.Tensor,
    gradients: Gradients,
    mask: torch.Tensor | None = None,
    method: Method = "WLS",
) -> torch.Tensor:
    """Fit ``ln S = ln S0 - b gᵀ D g`` in every voxel of the mask.

    The result is the least-squares estimate itself: eigenvalues are not clamped (dipy's
    ``TensorModel`` clamps them), so :func:`medrev.dti.is_positive_definite` tells the voxels where
    noise won, and :func:`medrev.dti.repair` mends them.

    Args:
        dwi: Signal ``(N, I, J, K)``. Values below 1/1000 of the voxel's mean b = 0 signal, zeros
            and negative ones among them, are raised to it.
        gradients: N b-values (s/mm²) and b-vectors. The tensors come out in their frame: pass
            ``gradients.in_voxel_frame(affine)`` for the voxel frame.
        mask: ``(1, I, J, K)`` or ``(I, J, K)``, non-zero where to fit (default: everywhere).
        method: Weighted, ordinary or (slow) non-linear least squares.

    Returns:
        Tensors ``(6, I, J, K)``, float32, mm²/s: Dxx, Dxy, Dxz, Dyy, Dyz, Dzz. Zero outside the
        mask and where the b = 0 signal is not positive.

    Raises:
        GradientError: If there are not as many gradients as volumes.
        InputError: If the mask has another size or the method is not known.
    """
    return fit_signal(dwi, gradients, mask, method)[0]


def fit_signal(
    dwi: torch.Tensor,
    gradients: Gradients,
    mask: torch.Tensor | None = None,
    method: Method = "WLS",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the tensor, as :func:`fit_tensor` does, and the signal without diffusion weighting.

    Args:
        dwi: Signal ``(N, I, J, K)``.
        gradients: Of its volumes.
        mask: Where to fit.
        method: As of :func:`fit_tensor`.

    Returns:
        Tensors ``(6, I, J, K)``, and S0 ``(1, I, J, K)``, float32: where nothing was fitted it is
        the mean of the b = 0 volumes.
    """
    if method not in ("WLS", "OLS", "NLLS"):
        raise InputError(f"fit method must be one of WLS, OLS, NLLS, got {method!r}")
    signal = to_numpy(dwi)
    if signal.ndim != 4 or signal.shape[0] != len(gradients):
        raise GradientError(
            f"{gradients.name}: {len(gradients)} gradients for a series of shape {signal.shape}; "
            "(N, I, J, K) with one gradient per volume is needed"
        )
    inside = _inside(signal, mask)
    without = signal[gradients.b0].mean(axis=0)
    inside &= without > 0
    linear = LinearFit(gradients, weighted=method == "WLS")
    voxels = np.flatnonzero(inside)
    series = signal.reshape(len(signal), -1)
    tensor = np.zeros((6, inside.size), np.float32)
    s0 = without.astype(np.float32).reshape(1, -1)
    for start in range(0, len(voxels), CHUNK):
        chunk = voxels[start : start + CHUNK]
        values = series[:, chunk].T.astype(np.float64)  # (V, N)
        if method == "NLLS":
            theta = _nonlinear(values, gradients)
        else:
            theta = linear(linear.logs(torch.from_numpy(values))).numpy()
        tensor[:, chunk] = theta[:, :6].T
        s0[0, chunk] = np.exp(theta[:, 6])
    shape = inside.shape
    return like(tensor.reshape(6, *shape), dwi), like(s0.reshape(1, *shape), dwi)


def _nonlinear(values: NDArray[np.float64], gradients: Gradients) -> NDArray[np.float64]:
    """Non-linear fit, by dipy, of signals (V, N): tensors and ln S0, (V, 7)."""
    from dipy.core.gradients import gradient_table
    from dipy.reconst import dti
    from dipy.reconst.utils import convert_tensors

    bvals = gradients.bvals
    lowest = bvals[gradients.b0].max()
    table = gradient_table(bvals, bvecs=gradients.directions, b0_threshold=lowest)
    design = dti.design_matrix(table)
    values = np.maximum(values, FLOOR * values[:, gradients.b0].mean(axis=1, keepdims=True))
    found, _ = dti.nlls_fit_tensor(design, values, return_lower_triangular=True)
    return np.hstack([convert_tensors(found[:, :6], "dipy", "fsl"), -found[:, 6:7]])


def _inside(signal: NDArray[Any], mask: torch.Tensor | None) -> NDArray[np.bool_]:
    shape = signal.shape[1:]
    if mask is None:
        return np.ones(shape, dtype=bool)
    inside = to_numpy(mask) != 0
    if inside.shape not in (shape, (1, *shape)):
        raise InputError(f"the mask has the shape {inside.shape}, the series {signal.shape}")
    return inside.reshape(shape).copy()
