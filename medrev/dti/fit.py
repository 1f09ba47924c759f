"""Fit of the diffusion tensor to a diffusion-weighted series: linear ones ours, NLLS by dipy.

A block of fine voxels has the signals ``s = mean over v of exp(A θᵥ)``, with ``θ = (D, ln S0)`` and
the design matrix A of the scan's gradients: what a scanner with larger voxels measures. An
increment δ that all θ of the block get multiplies its signals by ``exp(A δ)``, so that ordinary
least squares, which are linear in ``ln s``, move by exactly δ. Weighted least squares do so but for
their weights, and a few steps ``δ ← δ + θ(scan) − fit(s(δ))`` reach the fit of the scan. Seven
numbers for each block are enough.

References:
    Alexander et al., *Image quality transfer and applications in diffusion MRI*, NeuroImage 2017
    (how twins are made). Chung et al., *Comparison of bootstrap approaches for estimation of
    uncertainties of DTI parameters*, NeuroImage 2006 (weights from the ordinary fit).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.dti.gradients import Gradients
from medrev.errors import GradientError, InputError
from medrev.volumes import like, to_numpy

#: Smallest signal, as a share of the voxel's own b = 0 signal.
FLOOR = 1e-3
#: Steps within which weighted least squares settle, and the change (of θ, relative) at which they
#: have.
_STEPS, _SETTLED = 30, 1e-9


@dataclass(frozen=True, eq=False)
class Signal:
    """What a scan's tensors were fitted to.

    Attributes:
        s0: Signal without diffusion weighting ``(1, I, J, K)``: fitted in the mask, outside of it
            the mean of the b = 0 volumes.
        gradients: Of the volumes, in the frame of the tensors.
        method: Of the fit: WLS, OLS or NLLS.
    """

    s0: Tensor
    gradients: Gradients
    method: Literal["WLS", "OLS", "NLLS"]


class LinearFit:
    """Least squares of ``ln S = ln S0 − b gᵀ D g``, in float64, differentiable.

    Args:
        gradients: N b-values (s/mm²) and directions.
        weighted: By the squared signals of the ordinary fit (WLS), else not at all (OLS).

    Attributes:
        design: ``(N, 7)``: ln S from Dxx, Dxy, Dxz, Dyy, Dyz, Dzz (mm²/s) and ln S0.

    Example:
        >>> axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
        >>> bvecs = np.vstack([[0, 0, 0], axes / np.linalg.norm(axes, axis=1, keepdims=True)])
        >>> fit = LinearFit(Gradients([0, *[1000] * 6], bvecs))
        >>> theta = torch.tensor([[1e-3, 0, 0, 8e-4, 0, 7e-4, 6]], dtype=torch.float64)
        >>> bool(torch.allclose(fit(theta @ fit.design.T), theta))
        True
    """

    def __init__(self, gradients: Gradients, *, weighted: bool = True) -> None:
        b, (x, y, z) = gradients.bvals, gradients.directions.T
        columns = [x * x, 2 * x * y, 2 * x * z, y * y, 2 * y * z, z * z]
        design = np.stack([*(-b * c for c in columns), np.ones_like(b)], axis=1)
        self.design, self.weighted = torch.from_numpy(design), weighted
        self._b0 = torch.from_numpy(gradients.b0)
        self._unit = self.design.abs().amax(dim=0)
        scaled = self.design / self._unit
        self._scaled = scaled
        self._ordinary = torch.linalg.pinv(scaled).T
        self._squares = (scaled[:, :, None] * scaled[:, None, :]).flatten(1)

    def __call__(self, logs: Tensor) -> Tensor:
        """Fit ``ln S`` of shape (V, N): θ of shape (V, 7)."""
        theta = logs @ self._ordinary
        if self.weighted:
            exponent = theta @ self._scaled.T
            weights = torch.exp(2 * (exponent - exponent.amax(dim=1, keepdim=True)))
            normal = (weights @ self._squares).reshape(-1, 7, 7)
            found, wrong = torch.linalg.solve_ex(normal, (weights * logs) @ self._scaled)
            theta = torch.where(wrong[:, None] == 0, found, theta)
        return theta / self._unit

    def logs(self, signal: Tensor) -> Tensor:
        """``ln S`` of signals (V, N), none below 1/1000 of the mean of those with b = 0."""
        floor = FLOOR * signal[:, self._b0].mean(dim=1, keepdim=True)
        return torch.maximum(signal, floor).log()

    def of_blocks(self, theta: Tensor) -> Tensor:
        """Fit of the mean signals of blocks: (V, R, 7) to (V, 7)."""
        return self(self.logs(torch.exp(theta @ self.design.T).mean(dim=1)))

    def increments(self, theta: Tensor, given: Tensor) -> Tensor:
        """What all voxels of a block must get, so that its refit is what was measured.

        Args:
            theta: Fine voxels of V blocks (V, R, 7).
            given: Fit of the scan (V, 7).

        Returns:
            δ of shape (V, 7). Where the steps do not settle, ``of_blocks(theta + δ)`` is not
            ``given``: look.
        """
        signal = torch.exp(theta @ self.design.T).mean(dim=1)
        delta = torch.zeros_like(given)
        for _ in range(_STEPS):
            left = given - self(self.logs(signal * torch.exp(delta @ self.design.T)))
            delta = delta + left
            if float((left * self._unit).detach().abs().amax() if len(left) else 0) < _SETTLED:
                break
        return delta


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
    """As :func:`fit_tensor`, and the signal without diffusion weighting.

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
