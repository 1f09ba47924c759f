"""What is done with a scan before the network sees it, each with what undoes it on the result."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.prediction.geometry import Ratio
from medrev.volumes import Reorient, pad_to_multiple

#: Share of the volume that must be saved to be worth it.
_WORTH = 0.1


class Step(ABC):
    """Something that is done with values and their mask, and undone on what is made of them.

    Attributes:
        what: What it does and why, in words.
    """

    what: ClassVar[str]

    @abstractmethod
    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Do it to values ``(C, *spatial)`` and a mask ``(1, *spatial)``."""

    @abstractmethod
    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Undo it on a result ``(C', *spatial')``, on a grid of this ratio to :meth:`forward`'s."""


@dataclass(frozen=True)
class Crop(Step):
    """Cut a box of voxels out of a volume.

    Attributes:
        shape: Voxels of the volume.
        start: First voxel of the box along i, j, k.
        size: Voxels of the box.
    """

    what: ClassVar[str] = "cropped to the mask and what the network sees around it"

    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]

    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The box, as a copy."""
        i, j, k = (slice(a, a + n) for a, n in zip(self.start, self.size, strict=True))
        cut = None if mask is None else mask[:, i, j, k].contiguous()
        return values[:, i, j, k].contiguous(), cut

    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Put a result of the box into a volume of zeros."""
        whole = result.new_zeros((result.shape[0], *ratio.shape(self.shape)))
        start = ratio.shape(self.start)
        i, j, k = (slice(a, a + n) for a, n in zip(start, result.shape[1:], strict=True))
        whole[:, i, j, k] = result
        return whole


@dataclass(frozen=True)
class Pad(Step):
    """Pad the end of every axis to whole blocks, so that they are the same on a turned grid.

    Attributes:
        shape: Voxels of the volume.
        multiple: Voxels of a block along i, j, k.
    """

    what: ClassVar[str] = "padded to whole blocks of the network"

    shape: tuple[int, ...]
    multiple: tuple[int, ...]

    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Repeat the last voxels; what is added lies outside of the mask."""
        padded, _ = pad_to_multiple(values, self.multiple, fill="edge")
        return padded, None if mask is None else pad_to_multiple(mask.float(), self.multiple)[0]

    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Cut off what was added."""
        i, j, k = ratio.shape(self.shape)
        return result[:, :i, :j, :k]


@dataclass(frozen=True)
class Oriented(Step):
    """Flip and exchange axes to those that the network sees."""

    what: ClassVar[str] = "axes turned to those of the training"

    reorient: Reorient

    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Turn."""
        turned = None if mask is None else self.reorient.forward(mask)
        return self.reorient.forward(values), turned

    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Turn back."""
        return self.reorient.inverse(result)

    def result_affine(self, shape: tuple[int, ...], ratio: Ratio) -> NDArray[Any]:
        """Voxel → RAS mm of a result that was turned back, of a volume of ``shape``."""
        turned = self.reorient.forward(torch.empty(1, *shape, device="meta")).shape[1:]
        affine = ratio.affine(self.reorient.affine_for(shape))
        back = self.reorient.back_from(ratio.shape(tuple(turned)))
        return np.asarray(affine @ back, dtype=np.float64)


@dataclass(frozen=True)
class Resize(Step):
    """Resample an image to another size.

    Attributes:
        shape: Rows and columns of the image.
        size: Those that the network sees.
        given: Resamples an image to a size.
        made: Resamples what is made of it to a size.
    """

    what: ClassVar[str] = "resized as in training"

    shape: tuple[int, ...]
    size: tuple[int, ...]
    given: Callable[[Tensor, tuple[int, ...]], Tensor]
    made: Callable[[Tensor, tuple[int, ...]], Tensor]

    def forward(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Resample to the size that the network sees."""
        return self.given(values, self.size), mask

    def inverse(self, result: Tensor, ratio: Ratio) -> Tensor:
        """Resample back."""
        return self.made(result, ratio.shape(self.shape))


class Steps(list[Step]):
    """What was done with a scan, in order."""

    def undo(self, result: Tensor, ratio: Ratio, inside: Tensor | None = None) -> Tensor:
        """Undo all of it on a result ``(C', *spatial')`` on a grid of this ratio to the scan's.

        Zero outside a mask ``(1, *spatial')``, if one is given.
        """
        for step in reversed(self):
            result = step.inverse(result, ratio)
        return result if inside is None else result * inside

    def result_mask(self, mask: Tensor, ratio: Ratio) -> Tensor:
        """The mask of the scan on the grid of the result."""
        turned = Steps(step for step in self if isinstance(step, Oriented))
        for step in turned:
            mask, _ = step.forward(mask, None)
        return turned.undo(ratio.mask(mask), ratio)

    def result_affine(
        self, affine: NDArray[Any] | None, shape: tuple[int, ...], ratio: Ratio
    ) -> NDArray[Any] | None:
        """Voxel → RAS mm of the result, from that of the scan, which has ``shape``."""
        if affine is None or ratio.is_one:
            return affine
        turned = next((step for step in self if isinstance(step, Oriented)), None)
        return ratio.affine(affine) if turned is None else turned.result_affine(shape, ratio)


def crop_to_mask(
    mask: Tensor, halo: tuple[int, ...], *, least: tuple[int, ...], multiple: tuple[int, ...]
) -> Crop | None:
    """The box that a network needs to see for its result to be right inside of a mask.

    Args:
        mask: ``(1, i, j, k)``.
        halo: Voxels along i, j, k that a result depends on, each way.
        least: Fewest voxels along i, j, k.
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
        first, last = int(found[0]) - halo[axis], int(found[-1]) + 1 + halo[axis]
        block = multiple[axis]
        low = max(0, min(first, length - least[axis])) // block * block
        high = min(length, math.ceil(max(last, low + least[axis]) / block) * block)
        start.append(low)
        size.append(high - low)
    if math.prod(size) > (1 - _WORTH) * math.prod(shape):
        return None
    return Crop(shape, tuple(start), tuple(size))
