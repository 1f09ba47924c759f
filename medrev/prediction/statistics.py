"""Several estimates of one volume: their mean and spread, one after another in constant memory."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain, Symmetry
from medrev.domains.values import Prediction

#: Voxels that are handled at a time.
_VOXELS = 1 << 16


class RunningStatistics:
    """Running mean and spread of volumes (Welford), which keeps no more than both.

    Args:
        shape: Voxels (I, J, K).
        domain: What the volumes are of: the norm whose spread is wanted, and the quantities.
    """

    def __init__(self, shape: tuple[int, ...], domain: Domain) -> None:
        self.count = 0
        self._shape, self._domain = tuple(shape), domain
        self._norm = torch.zeros(1, *shape)
        self._means: dict[str, Tensor] = {}
        self._squares: dict[str, Tensor] = {}

    def add(self, values: Tensor, symmetry: Symmetry | None = None) -> None:
        """Add an estimate.

        Args:
            values: ``(C, I', J', K')`` on the grid turned by the symmetry.
            symmetry: How the grid was turned; the estimate is turned back first. None: it was not.
        """
        self.count += 1
        back = np.eye(3, dtype=np.int64) if symmetry is None else symmetry.T
        # Planes of the estimate along its first axis are planes of the mean along this one.
        axis = int(np.abs(back[:, 0]).argmax())
        mirrored = back[axis, 0] < 0
        length = values.shape[1]
        step = max(1, _VOXELS // (values[0, 0].numel()))
        for low in range(0, length, step):
            high = min(length, low + step)
            value = values[:, low:high]
            if symmetry is not None:
                value = self._domain.turn(value, back)
            place = (1 + axis, length - high if mirrored else low, high - low)
            share = (self.count - 1) / self.count
            for name, quantity in self._domain.quantities(value).items():
                if name not in self._means:
                    self._means[name] = torch.zeros(len(quantity), *self._shape)
                    self._squares[name] = torch.zeros(len(quantity), *self._shape)
                mean = self._means[name].narrow(*place)
                before = quantity - mean
                mean.add_(before, alpha=1 / self.count)
                # (x − old mean)(x − new mean) = (x − old mean)² (n − 1) / n
                self._squares[name].narrow(*place).add_(before.square(), alpha=share)
                if quantity is value:
                    self._norm.narrow(*place).add_(self._domain.squared(before), alpha=share)

    @property
    def mean(self) -> Tensor:
        """Mean of the volumes, ``(C, I, J, K)``."""
        return next(iter(self._means.values()))

    @property
    def std(self) -> Tensor:
        """``sqrt(Σ‖v_m − v̄‖² / (M − 1))`` in every voxel, ``(1, I, J, K)``; M must be 2 or more."""
        return (self._norm / (self.count - 1)).sqrt_()

    def take_spread(self) -> dict[str, Tensor]:
        """The standard deviation of every quantity, in the place of what was kept for it."""
        squares, self._squares = self._squares, {}
        return {name: each.div_(self.count - 1).sqrt_() for name, each in squares.items()}

    def prediction(self, **more: Any) -> Prediction:
        """Mean, deviation and spread, with more that is known."""
        spread = self.take_spread()
        return Prediction(values=self.mean, std=self.std, spread=spread, **more)
