"""The grid of a result beside that of what it is made from: finer, coarser or the same."""

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.volumes import block_mask, pad_to_multiple, rescale_affine, upsample


@dataclass(frozen=True)
class Ratio:
    """How many voxels a result has, over the same field of view.

    Attributes:
        factors: Fine voxels per coarse voxel, along every axis.
        coarser: Whether the result is on the coarse grid.
    """

    factors: tuple[int, ...]
    coarser: bool = False

    @classmethod
    def of(cls, pipeline: Pipeline, *, inverse: bool = False) -> "Ratio":
        """That of one direction of a pipeline's translator."""
        return cls(pipeline.data.factors, inverse)

    def __str__(self) -> str:
        if len(set(self.factors)) == 1:
            return str(self.factors[0])
        return "x".join(str(r) for r in self.factors)

    @property
    def is_one(self) -> bool:
        """Whether both grids are the same."""
        return set(self.factors) == {1}

    @property
    def multiple(self) -> tuple[int, ...]:
        """What the sizes of the input should be a multiple of."""
        return self.factors if self.coarser else (1,) * len(self.factors)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the result of values of ``shape``."""
        if self.is_one:
            return tuple(shape)
        return tuple(
            math.ceil(n / r) if self.coarser else n * r
            for n, r in zip(shape, self.factors, strict=True)
        )

    def mask(self, mask: Tensor) -> Tensor:
        """A mask ``(1, *spatial)`` on the grid of the result, boolean.

        A fine voxel is inside if its coarse one is, a block if any of its voxels is.
        """
        plain = mask.as_subclass(Tensor)
        if self.is_one:
            return plain > 0
        if self.coarser:
            return block_mask(pad_to_multiple(plain.float(), self.factors)[0], self.factors, "any")
        return upsample(plain[None].float(), self.factors, "nearest")[0] > 0

    def affine(self, affine: NDArray[Any]) -> NDArray[Any]:
        """Voxel → RAS mm of the result, from that of the input."""
        if self.is_one:
            return affine
        i, j, k = (float(r) if self.coarser else 1 / r for r in self.factors)
        return rescale_affine(affine, (i, j, k))
