"""Volumes in little memory: the box around what is not zero, in 16 bits where that is enough."""

from dataclasses import dataclass

import torch

Three = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Boxed:
    """A volume of which only a box is kept; outside of it, it is zero.

    Attributes:
        shape: Voxels (I, J, K) of the whole volume.
        corner: First voxel of the box.
        values: Values in the box, ``(C, i, j, k)``.
    """

    shape: Three
    corner: Three
    values: torch.Tensor

    def block(self, start: Three, size: Three) -> torch.Tensor:
        """A block of the whole volume, ``(C, *size)``, float32; zero where it leaves the volume.

        Args:
            start: Its first voxel.
            size: Its voxels along i, j, k.
        """
        result = torch.zeros((len(self.values), *size))
        here, there = [], []
        kept = self.values.shape[1:]
        for first, length, corner, count in zip(start, size, self.corner, kept, strict=True):
            low, high = max(first, corner), min(first + length, corner + count)
            if low >= high:
                return result
            here.append(slice(low - first, high - first))
            there.append(slice(low - corner, high - corner))
        result[:, here[0], here[1], here[2]] = self.values[:, there[0], there[1], there[2]].float()
        return result

    def whole(self) -> torch.Tensor:
        """The whole volume, ``(C, I, J, K)``, float32."""
        return self.block((0, 0, 0), self.shape)


def boxed(*volumes: torch.Tensor) -> list[Boxed]:
    """Keep of volumes on one grid the box around all that is not zero in any of them.

    Args:
        volumes: ``(C, I, J, K)`` each; float ones become int16 where that loses nothing.
    """
    occupied = torch.stack([(volume != 0).any(dim=0) for volume in volumes]).any(dim=0)
    lows, cut = [], []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        found = occupied.any(dim=others[1]).any(dim=others[0]).nonzero()[:, 0]
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 1)
        lows.append(low)
        cut.append(slice(low, high))
    i, j, k = occupied.shape
    corner = lows[0], lows[1], lows[2]
    return [
        Boxed((i, j, k), corner, _compact(v[:, cut[0], cut[1], cut[2]].contiguous()))
        for v in volumes
    ]


def _compact(values: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values
    short = values.clamp(-(2**15), 2**15 - 1).to(torch.int16)
    return short if torch.equal(short.to(values.dtype), values) else values
