"""Several estimates of one volume: their mean and spread, one after another in constant memory."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Symmetry

__all__ = ["RunningStatistics"]

#: Voxels that are handled at a time.
_VOXELS = 1 << 18


class RunningStatistics:
    """Running mean and spread of volumes (Welford), which keeps no more than both.

    Args:
        shape: Channels and voxels (C, I, J, K).
        squared: Square of the norm whose spread is wanted: ``(C, …)`` to ``(1, …)``.
    """

    def __init__(self, shape: tuple[int, ...], squared: Callable[[Tensor], Tensor]) -> None:
        self.count = 0
        self.mean = torch.zeros(shape)
        self._squared = squared
        self._squares = torch.zeros(1, *shape[1:])

    def add_turned(
        self, values: Tensor, symmetry: Symmetry, turn: Callable[[Tensor, Symmetry], Tensor]
    ) -> None:
        """Add an estimate on a turned grid.

        Args:
            values: ``(C, I', J', K')`` on the grid turned by the symmetry.
            symmetry: How the grid was turned; the estimate is turned back first.
            turn: Turns values ``(C, I', J', K')`` by a symmetry.
        """
        self.count += 1
        back = symmetry.T
        # Planes of the estimate along its first axis are planes of the mean along this one.
        axis = int(np.abs(back[:, 0]).argmax())
        mirrored = back[axis, 0] < 0
        length = values.shape[1]
        step = max(1, _VOXELS // (values[0, 0].numel()))
        for low in range(0, length, step):
            high = min(length, low + step)
            value = turn(values[:, low:high], back)
            start = length - high if mirrored else low
            mean = self.mean.narrow(1 + axis, start, high - low)
            before = value - mean
            mean.add_(before, alpha=1 / self.count)
            # (x − old mean)(x − new mean) = (x − old mean)² (n − 1) / n
            squares = self._squares.narrow(1 + axis, start, high - low)
            squares.add_(self._squared(before), alpha=(self.count - 1) / self.count)

    @property
    def std(self) -> Tensor:
        """``sqrt(Σ‖v_m − v̄‖² / (M − 1))`` in every voxel, ``(1, I, J, K)``; M must be 2 or more."""
        return (self._squares / (self.count - 1)).sqrt_()
