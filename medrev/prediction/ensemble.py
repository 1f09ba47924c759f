"""Several estimates of one volume: their mean and spread, one after another in constant memory."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti import ENSEMBLES, apply_symmetry, ensemble_symmetries, frobenius

__all__ = ["ENSEMBLES", "Spread", "ensemble_symmetries", "frobenius"]

Symmetry = NDArray[np.int64]

#: Voxels that are handled at a time.
_VOXELS = 1 << 18


class Spread:
    """Running mean and spread of volumes (Welford), which keeps no more than both.

    Args:
        shape: Channels and voxels (C, I, J, K).
        squared: Square of the norm whose spread is wanted: ``(C, …)`` to ``(1, …)``; of tensors
            the Frobenius norm.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        squared: Callable[[torch.Tensor], torch.Tensor] = frobenius,
    ) -> None:
        self.count = 0
        self.mean = torch.zeros(shape)
        self._squared = squared
        self._squares = torch.zeros(1, *shape[1:])

    def add(self, values: torch.Tensor) -> None:
        """Add an estimate ``(C, I, J, K)``."""
        self.count += 1
        self._update(values, self.mean, self._squares)

    def add_turned(self, tensors: torch.Tensor, symmetry: Symmetry) -> None:
        """Add an estimate of tensors on a turned grid.

        Args:
            tensors: ``(6, I', J', K')`` on the grid turned by the symmetry.
            symmetry: How the grid was turned; the estimate is turned back first.
        """
        self.count += 1
        back = symmetry.T
        # Planes of the estimate along its first axis are planes of the mean along this one.
        axis = int(np.abs(back[:, 0]).argmax())
        mirrored = back[axis, 0] < 0
        length = tensors.shape[1]
        step = max(1, _VOXELS // (tensors[0, 0].numel()))
        for low in range(0, length, step):
            high = min(length, low + step)
            value = apply_symmetry(tensors[:, low:high], back)
            start = length - high if mirrored else low
            self._update(
                value,
                self.mean.narrow(1 + axis, start, high - low),
                self._squares.narrow(1 + axis, start, high - low),
            )

    def _update(self, value: torch.Tensor, mean: torch.Tensor, squares: torch.Tensor) -> None:
        before = value - mean
        mean.add_(before, alpha=1 / self.count)
        # (x − old mean)(x − new mean) = (x − old mean)² (n − 1) / n
        squares.add_(self._squared(before), alpha=(self.count - 1) / self.count)

    @property
    def std(self) -> torch.Tensor:
        """``sqrt(Σ‖v_m − v̄‖² / (M − 1))`` in every voxel, ``(1, I, J, K)``; M must be 2 or more."""
        return (self._squares / (self.count - 1)).sqrt_()
