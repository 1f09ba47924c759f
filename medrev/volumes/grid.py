"""Crop and pad volumes to multiples of a number of voxels, and back."""

import dataclasses
from typing import Literal

import numpy as np
import torch

from medrev.errors import InputError
from medrev.volumes.affine import as_affine
from medrev.volumes.resample import Factor, per_axis
from medrev.volumes.volume import is_metatensor, plain

Fill = Literal["zeros", "edge", "reflect"]
TORCH_MODE = {"zeros": "constant", "edge": "replicate", "reflect": "reflect"}


@dataclasses.dataclass(frozen=True)
class Padding:
    """Voxels added before and after every spatial axis; negative where they were cropped.

    Attributes:
        before: Voxels added in front of i, j, k.
        after: Voxels added behind i, j, k.
    """

    before: tuple[int, int, int]
    after: tuple[int, int, int]

    def forward(self, volume: torch.Tensor, fill: Fill = "zeros") -> torch.Tensor:
        """Add (or crop) the voxels; a MetaTensor keeps every voxel at its place in the world.

        Args:
            volume: ``(…, I, J, K)``; a MetaTensor has one leading axis.
            fill: What added voxels hold: zeros, the nearest voxel, or the mirrored volume.

        Raises:
            InputError: If the crop leaves nothing, or a mirrored volume is thinner than its pad.
        """
        values = plain(volume)
        old = values.shape[-3:]
        crop = [
            slice(max(-b, 0), n - max(-a, 0))
            for n, b, a in zip(old, self.before, self.after, strict=True)
        ]
        values = values[..., crop[0], crop[1], crop[2]]
        if 0 in values.shape[-3:]:
            raise InputError(f"cropping {tuple(old)} voxels by {self} leaves nothing")
        pads = [max(n, 0) for pair in zip(self.before, self.after, strict=True) for n in pair]
        if any(pads):
            values = _pad(values, pads, fill)
        if not is_metatensor(volume):
            return values
        affine = as_affine(volume.affine)
        affine[:3, 3] -= affine[:3, :3] @ np.array(self.before, dtype=float)
        meta = {key: value for key, value in volume.meta.items() if key != "affine"}
        return type(volume)(values, affine=torch.from_numpy(affine), meta=meta)

    def inverse(self, volume: torch.Tensor, ratio: int = 1) -> torch.Tensor:
        """Back to the field of view before; cropped voxels come back as zeros.

        Args:
            volume: ``(…, I, J, K)`` on the padded grid, or one ``ratio`` times finer.
            ratio: Voxels of the volume per voxel of the padded grid, along every axis.
        """
        before, after = (
            (-side[0] * ratio, -side[1] * ratio, -side[2] * ratio)
            for side in (self.before, self.after)
        )
        return Padding(before, after).forward(volume)


def crop_to_multiple(volume: torch.Tensor, multiple: Factor) -> tuple[torch.Tensor, Padding]:
    """Crop the end of every axis of ``(…, I, J, K)`` to a multiple; the affine stays as it is.

    Returns:
        The cropped volume and what :meth:`Padding.inverse` needs.

    Raises:
        InputError: If an axis is shorter than the multiple.

    Example:
        >>> volume, padding = crop_to_multiple(torch.zeros(1, 5, 6, 7), 2)
        >>> tuple(volume.shape), tuple(padding.inverse(volume).shape)
        ((1, 4, 6, 6), (1, 5, 6, 7))
    """
    size, multiples = tuple(volume.shape[-3:]), _multiples(multiple)
    if any(n < m for n, m in zip(size, multiples, strict=True)):
        raise InputError(f"every axis needs at least {multiple} voxels, got {size}")
    i, j, k = (-(n % m) for n, m in zip(size, multiples, strict=True))
    padding = Padding((0, 0, 0), (i, j, k))
    return padding.forward(volume), padding


def pad_to_multiple(
    volume: torch.Tensor,
    multiple: Factor,
    *,
    fill: Fill = "zeros",
    side: Literal["end", "both"] = "end",
) -> tuple[torch.Tensor, Padding]:
    """Pad every axis to a multiple of some voxels.

    Args:
        volume: ``(…, I, J, K)``.
        multiple: What the sizes shall be a multiple of, one number for all axes or one for each.
        fill: What added voxels hold: zeros, the nearest voxel, or the mirrored volume.
        side: Where voxels are added; ``both`` puts the odd one at the end.

    Returns:
        The padded volume, its affine moved with its first voxel, and what :meth:`Padding.inverse`
        needs.

    Raises:
        InputError: If a mirrored volume is thinner than its pad.
    """
    extra = [-n % m for n, m in zip(volume.shape[-3:], _multiples(multiple), strict=True)]
    i, j, k = (n // 2 if side == "both" else 0 for n in extra)
    padding = Padding((i, j, k), (extra[0] - i, extra[1] - j, extra[2] - k))
    return padding.forward(volume, fill), padding


def _multiples(multiple: Factor) -> tuple[int, ...]:
    """One for each axis, checked."""
    multiples = per_axis(multiple)
    if min(multiples) < 1:
        raise InputError(f"the multiple must be 1 or more, got {multiple}")
    return multiples


def _pad(values: torch.Tensor, pads: list[int], fill: Fill) -> torch.Tensor:
    lead = values.shape[:-3]
    flat = values.reshape(1, -1, *values.shape[-3:])
    sides = [*pads[4:], *pads[2:4], *pads[:2]]  # torch counts from the last axis
    if fill == "reflect" and any(
        p >= n
        for n, pair in zip(values.shape[-3:], (pads[:2], pads[2:4], pads[4:]), strict=True)
        for p in pair
    ):
        raise InputError(f"{tuple(values.shape[-3:])} voxels are too few to mirror {pads} of them")
    if fill == "zeros":
        padded = torch.nn.functional.pad(flat, sides)
    else:
        dtype = flat.dtype if flat.is_floating_point() else torch.float32
        padded = torch.nn.functional.pad(flat.to(dtype), sides, mode=TORCH_MODE[fill])
    return padded.to(values.dtype).reshape(*lead, *padded.shape[-3:])
