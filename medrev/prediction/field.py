"""What of a volume is translated, and how results come back onto the grid that is asked for."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from medrev.prediction.crop import Crop, crop_to_mask
from medrev.prediction.resolution import Regridding, result_mask
from medrev.prediction.runner import MIN_VOXELS
from medrev.volumes import pad_to_multiple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medrev.prediction.model import Model

__all__ = ["Field", "field_of"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Field:
    """A volume that networks are run on, taken from another one.

    Attributes:
        volume: ``(6, i, j, k)``, what is translated.
        shape: Voxels of the volume as it was given.
        size: Voxels of what was taken from it, before it was padded to whole blocks.
        factor: Fine voxels per coarse voxel along every axis.
        inverse: From the fine to the coarse grid.
        grid: How it was resampled, if it was.
        mask: Mask on the grid that it was resampled to.
        crop: What was cut out of that, if less than all.
        inside: Mask ``(1, i, j, k)`` of the volume, if results matter inside of it only.
    """

    volume: torch.Tensor
    shape: Shape
    size: Shape
    factor: int
    inverse: bool
    grid: Regridding | None = None
    mask: torch.Tensor | None = None
    crop: Crop | None = None
    inside: torch.Tensor | None = None

    def restore(self, result: torch.Tensor) -> torch.Tensor:
        """A result ``(C, …)`` of the volume as one of the volume given."""
        if self.crop is not None:
            ratio = (1, self.factor) if self.inverse else (self.factor, 1)
            result = self.crop.put_back(result, *ratio)
        if self.grid is None:
            return result
        assert self.mask is not None
        mask = result_mask(self.mask, self.factor, self.inverse)
        if self.inverse:
            return self.grid.back(
                result, mask, tuple(math.ceil(n / self.factor) for n in self.shape)
            )
        return self.grid.back(result, mask, tuple(n * self.factor for n in self.shape))

    def restore_input(self, values: torch.Tensor) -> torch.Tensor:
        """Values ``(C, …)`` on the grid of the volume as such on that of the volume given."""
        i, j, k = self.size
        values = values[:, :i, :j, :k]
        if self.crop is not None:
            values = self.crop.put_back(values)
        if self.grid is None:
            return values
        assert self.mask is not None
        return self.grid.back(values, self.mask, self.shape)


def field_of(
    models: "Sequence[Model]",
    tensor: torch.Tensor,
    mask: torch.Tensor | None,
    grid: Regridding | None,
    *,
    inverse: bool,
    and_back: bool,
) -> Field:
    """Resample a volume, cut out what matters and pad it to whole blocks.

    Args:
        models: What it is for.
        tensor: ``(6, i, j, k)``.
        mask: ``(1, i, j, k)``, if known: results matter inside of it only.
        grid: The grid that it is to be resampled to, if it is.
        inverse: From the fine to the coarse grid.
        and_back: Whether results are translated back, too.
    """
    factor = models[0].factor
    volume = tensor
    if grid is not None:
        known = (tensor != 0).any(dim=0, keepdim=True) if mask is None else mask > 0
        volume, mask = grid.forth(tensor, known)
    crop = None
    reach = _reach(models, inverse, and_back)
    if mask is not None and reach is not None:
        multiple = factor if inverse else 1
        crop = crop_to_mask(mask, reach, least=MIN_VOXELS * multiple, multiple=multiple)
    if crop is not None:
        volume = crop.take(volume)
    inside = mask if mask is None or crop is None else crop.take(mask)
    size = tuple(volume.shape[1:])
    if inverse:  # now, so that blocks are the same however the volume is turned
        volume = pad_to_multiple(volume, factor, fill="edge")[0]
        inside = None if inside is None else pad_to_multiple(inside.float(), factor)[0]
    return Field(
        volume,
        tuple(tensor.shape[1:]),
        size,
        factor,
        inverse,
        grid=grid,
        mask=mask,
        crop=crop,
        inside=None if and_back else inside,
    )


def _reach(models: "Sequence[Model]", inverse: bool, and_back: bool) -> int | None:
    """Voxels of the volume that what comes of it depends on, each way, if that is known."""
    farthest = 0
    for model in models:
        reach = model.runner(inverse).reach
        if reach is None:
            return None
        farthest = max(farthest, reach)
    back = models[0].runner(not inverse).reach if and_back else 0
    if back is None:
        return None
    factor = models[0].factor
    return farthest + (back * factor if inverse else math.ceil(back / factor))
