"""Two volumes of one head in memory, made ready for training."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.data.boxed import Boxed
from medrev.domains.intensity.reading import to_network
from medrev.volumes import rescale_affine

Three = tuple[int, int, int]


@dataclass(frozen=True)
class Head:
    """Intensities of x and y, axes nearest to RAS; x may lie on a coarser grid.

    About 20 MB of a scan of BraTS: only the box around the head is kept (`medrev.data.Boxed`).

    Attributes:
        id: Name of the subject.
        x: Intensities of the source, ``(1, i, j, k)``.
        y: Those of the target, ``(1, I, J, K)``; sizes are multiples of those of x.
        mask: Brain on the grid of y, boolean.
        affine: Voxel → RAS mm of y, 4×4 float64.
        scales: Intensity of x and of y that is 1 in the network.
        clip: Whether what lies above is cut off.
        key: Content key: the same files and settings give the same key.
        mask_source: given, or nonzero (where neither volume is zero).
        fingerprints: What of x and of y does not depend on the unit of intensities
            (`medrev.domains.intensity.describe_contrast`).
        notes: What was put right on reading, one line each.
    """

    id: str
    x: Boxed
    y: Boxed
    mask: Boxed
    affine: torch.Tensor
    scales: tuple[float, float]
    clip: bool = True
    key: str = ""
    mask_source: str = "given"
    fingerprints: tuple[dict[str, float], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> Three:
        """Voxels (I, J, K) of y."""
        return self.y.shape

    @property
    def factors(self) -> Three:
        """Voxels of y per voxel of x, along i, j, k."""
        i, j, k = (fine // coarse for fine, coarse in zip(self.shape, self.x.shape, strict=True))
        return i, j, k

    def coarse_affine(self) -> NDArray[np.float64]:
        """Voxel → RAS mm of x."""
        i, j, k = (float(r) for r in self.factors)
        return rescale_affine(self.affine.numpy(), (i, j, k))

    def block(
        self, start: Three, size: Three, gains: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A block of the whole volumes.

        Args:
            start: Its first voxel in y.
            size: Its voxels in y along i, j, k.
            gains: Factors on the intensities of x and of y.

        Returns:
            x and y in network range (background -1) and the mask, 0 or 1, each ``(1, …)``, float32.
        """
        i, j, k = (n // factor for n, factor in zip(start, self.factors, strict=True))
        a, b, c = (n // factor for n, factor in zip(size, self.factors, strict=True))
        x = self.x.block((i, j, k), (a, b, c))
        y, mask = self.y.block(start, size), self.mask.block(start, size)
        return (
            to_network(x * gains[0], self.scales[0], clip=self.clip),
            to_network(y * gains[1], self.scales[1], clip=self.clip),
            mask,
        )

    def whole(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x, y and mask of the whole volume, as :meth:`block`."""
        return self.block((0, 0, 0), self.shape)

    def volumes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Intensities of x and of y and the mask of the whole volume, ``(1, …)`` each."""
        return self.x.whole(), self.y.whole(), self.mask.whole()

    def brain(self) -> torch.Tensor:
        """The mask of the whole volume, as :meth:`block`."""
        return self.mask.whole()
