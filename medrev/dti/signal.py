"""Signals of tensors, their linear fit, and tensors that are refitted to what was measured.

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
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medrev.dti.gradients import Gradients

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

    def increments(self, theta: Tensor, given: Tensor, *, steps: int = _STEPS) -> Tensor:
        """What all voxels of a block must get, so that its refit is what was measured.

        Args:
            theta: Fine voxels of V blocks (V, R, 7).
            given: Fit of the scan (V, 7).
            steps: At most so many.

        Returns:
            δ of shape (V, 7). Where the steps do not settle, ``of_blocks(theta + δ)`` is not
            ``given``: look.
        """
        signal = torch.exp(theta @ self.design.T).mean(dim=1)
        delta = torch.zeros_like(given)
        for _ in range(steps):
            left = given - self(self.logs(signal * torch.exp(delta @ self.design.T)))
            delta = delta + left
            if float((left * self._unit).detach().abs().amax() if len(left) else 0) < _SETTLED:
                break
        return delta
