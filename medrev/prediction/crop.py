"""The part of a field of view that matters: the mask, and what the network sees around it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Crop", "crop_to_mask"]

#: Share of the volume that must be saved to be worth it.
_WORTH = 0.1


@dataclass(frozen=True)
class Crop:
    """A box of voxels inside a volume.

    Attributes:
        shape: Voxels of the volume.
        start: First voxel of the box along i, j, k.
        size: Voxels of the box.
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]

    def take(self, volume: Tensor) -> Tensor:
        """The box of a volume ``(C, i, j, k)``, as a copy."""
        cut = [slice(a, a + n) for a, n in zip(self.start, self.size, strict=True)]
        return volume[:, cut[0], cut[1], cut[2]].contiguous()

    def put_back(self, result: Tensor, numerator: int = 1, denominator: int = 1) -> Tensor:
        """A result of the box in a volume of zeros.

        Args:
            result: ``(C, …)``, per axis numerator / denominator times as many voxels as the box.
            numerator: See above.
            denominator: Divides start and size of the box.
        """

        def scaled(count: int) -> int:
            return math.ceil(count * numerator / denominator)

        whole = result.new_zeros((result.shape[0], *(scaled(n) for n in self.shape)))
        start = [scaled(a) for a in self.start]
        place = [slice(a, a + n) for a, n in zip(start, result.shape[1:], strict=True)]
        whole[:, place[0], place[1], place[2]] = result
        return whole


def crop_to_mask(mask: Tensor, halo: int, *, least: int, multiple: int = 1) -> Crop | None:
    """The box that a network needs to see for its result to be right inside of a mask.

    Args:
        mask: ``(1, i, j, k)``.
        halo: Voxels that a result depends on, each way.
        least: Fewest voxels along an axis.
        multiple: The box starts at multiples of this, and ends there or with the volume.

    Returns:
        None if there is no mask, or not enough to be saved.
    """
    inside = mask[0] > 0
    shape = tuple(inside.shape)
    start, size = [], []
    for axis, length in enumerate(shape):
        others = [a for a in range(3) if a != axis]
        found = torch.nonzero(inside.any(dim=others[1]).any(dim=others[0]))
        if not len(found):
            return None
        low = max(0, min(int(found[0]) - halo, length - least)) // multiple * multiple
        high = max(int(found[-1]) + 1 + halo, low + least)
        high = min(length, math.ceil(high / multiple) * multiple)
        start.append(low)
        size.append(high - low)
    if math.prod(size) > (1 - _WORTH) * math.prod(shape):
        return None
    return Crop(shape, tuple(start), tuple(size))
