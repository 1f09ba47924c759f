"""Two contrasts of one head in memory, made ready for training."""

from dataclasses import dataclass, field

import torch

from medrev.domains.intensity.intensity import to_network

__all__ = ["Head", "boxed"]

Three = tuple[int, int, int]


@dataclass(frozen=True)
class Head:
    """Intensities of two contrasts on one grid, axes nearest to RAS.

    Only the box around all that is not zero is kept, in 16 bits where that loses nothing: about
    20 MB of a scan of BraTS.

    Attributes:
        id: Name of the subject.
        shape: Voxels (I, J, K) of the whole volume.
        corner: First voxel of the box that is kept.
        x: Intensities of the source in the box, ``(1, i, j, k)``, int16 or float32.
        y: Those of the target.
        mask: Brain in the box, ``(1, i, j, k)``, boolean.
        affine: Voxel → RAS mm of the whole volume, 4×4 float64.
        scales: Intensity of x and of y that is 1 in the network.
        clip: Whether what lies above is cut off.
        key: Content key: the same files and settings give the same key.
        mask_source: given, or nonzero (where neither contrast is zero).
        looks: What of x and of y does not depend on the unit of intensities
            (`medrev.domains.intensity.describe_contrast`).
        notes: What was put right on reading, one line each.
    """

    id: str
    shape: Three
    corner: Three
    x: torch.Tensor
    y: torch.Tensor
    mask: torch.Tensor
    affine: torch.Tensor
    scales: tuple[float, float]
    clip: bool = True
    key: str = ""
    mask_source: str = "given"
    looks: tuple[dict[str, float], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def block(
        self, start: Three, size: Three, gains: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A block of the whole volume.

        Args:
            start: Its first voxel.
            size: Its voxels along i, j, k.
            gains: Factors on the intensities of x and of y.

        Returns:
            x and y in network range (background -1) and the mask, 0 or 1, each ``(1, *size)``,
            float32.
        """
        x, y, mask = (self._cut(stored, start, size) for stored in (self.x, self.y, self.mask))
        return (
            to_network(x * gains[0], self.scales[0], clip=self.clip),
            to_network(y * gains[1], self.scales[1], clip=self.clip),
            mask,
        )

    def whole(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x, y and mask of the whole volume, as :meth:`block`."""
        return self.block((0, 0, 0), self.shape)

    def volumes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Intensities of x and of y and the mask of the whole volume, each ``(1, I, J, K)``."""
        x, y, mask = (self._cut(v, (0, 0, 0), self.shape) for v in (self.x, self.y, self.mask))
        return x, y, mask

    def brain(self) -> torch.Tensor:
        """The mask of the whole volume, as :meth:`block`."""
        return self._cut(self.mask, (0, 0, 0), self.shape)

    def _cut(self, stored: torch.Tensor, start: Three, size: Three) -> torch.Tensor:
        result = torch.zeros((1, *size))
        here, there = [], []
        for first, length, corner, kept in zip(
            start, size, self.corner, stored.shape[1:], strict=True
        ):
            low, high = max(first, corner), min(first + length, corner + kept)
            if low >= high:
                return result
            here.append(slice(low - first, high - first))
            there.append(slice(low - corner, high - corner))
        result[:, here[0], here[1], here[2]] = stored[:, there[0], there[1], there[2]].float()
        return result


def boxed(*volumes: torch.Tensor) -> tuple[Three, list[torch.Tensor]]:
    """Cut volumes to the box around all that is not zero in any of them.

    Args:
        volumes: ``(1, I, J, K)`` each; float ones become int16 where that loses nothing.

    Returns:
        First voxel of the box, and the volumes in it.
    """
    occupied = torch.stack([volume[0] != 0 for volume in volumes]).any(dim=0)
    lows, cut = [], []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        found = occupied.any(dim=others[1]).any(dim=others[0]).nonzero()[:, 0]
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 1)
        lows.append(low)
        cut.append(slice(low, high))
    i, j, k = lows
    return (i, j, k), [_compact(v[:, cut[0], cut[1], cut[2]].contiguous()) for v in volumes]


def _compact(values: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values
    short = values.clamp(-(2**15), 2**15 - 1).to(torch.int16)
    return short if torch.equal(short.to(values.dtype), values) else values
