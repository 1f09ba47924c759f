"""Batches of training patches, from memory.

Prepared volumes are small (tens of MB), so everything stays in memory and no worker processes are
needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import DTIData
from medrev.data.epochs import Order, Triple
from medrev.data.patches import PlacedBatches, cut
from medrev.domains.tensor.degradation import Prepared
from medrev.dti import apply_symmetry, apply_symmetry_scalar, symmetries
from medrev.errors import InputError
from medrev.volumes import upsample


def smallest_eigenvalue(tensor: torch.Tensor) -> torch.Tensor:
    """Smallest eigenvalue (…) of tensors (6, …), by the trigonometric solution of the cubic."""
    xx, xy, xz, yy, yz, zz = tensor
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    p = ((a * a + b * b + c * c + 2 * off) / 6).sqrt()
    det = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    tiny = torch.finfo(p.dtype).tiny ** (1 / 4)
    angle = torch.acos((det / (2 * (p * p * p).clamp_min(tiny**3))).clamp(-1, 1)) / 3
    return mean + 2 * p * torch.cos(angle + 2 * math.pi / 3)


def scale_microstructure(
    tensor: torch.Tensor, *, diffusivity: float = 1.0, anisotropy: float = 1.0
) -> torch.Tensor:
    """Multiply a tensor (6, I, J, K) and, apart from it, its deviatoric part, by factors ≥ 0.

    ``D → diffusivity · (mean(D) + anisotropy · (D − mean(D)))``, with mean(D) = trace/3 · identity.
    Directions stay; the anisotropic part grows at most until the smallest eigenvalue is zero, so
    that positive definite tensors stay positive semi-definite.
    """
    if anisotropy == 1.0:
        return tensor * diffusivity
    mean = (tensor[0] + tensor[3] + tensor[5]) / 3
    factor = torch.full_like(mean, anisotropy)
    if anisotropy > 1:
        gap = mean - smallest_eigenvalue(tensor)
        limit = mean / gap.clamp_min(torch.finfo(mean.dtype).tiny)
        factor = torch.minimum(factor, limit.clamp_min(1.0))
    factor *= diffusivity
    changed = tensor * factor
    rest = mean * (diffusivity - factor)
    for diagonal in (0, 3, 5):
        changed[diagonal] += rest
    return changed


def add_noise(tensor: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Add noise (6, i, j, k) where the tensor (6, I, J, K) is not background.

    Noise of a low-resolution input that has been brought to a finer grid is repeated.
    """
    for axis in (1, 2, 3):
        repeat = tensor.shape[axis] // noise.shape[axis]
        if repeat > 1:
            noise = noise.repeat_interleave(repeat, dim=axis)
    return tensor + noise * (tensor != 0).any(dim=0)


@dataclass(frozen=True)
class _Source:
    """One subject in network range: inputs to choose from, target and mask."""

    inputs: tuple[torch.Tensor, ...]
    averaged: torch.Tensor | None
    target: torch.Tensor
    mask: torch.Tensor


class PatchBatches(PlacedBatches):
    """Iterate over batches of patches, epoch after epoch, in the order of `EpochBatches`.

    Where ``x`` and ``y`` of a sample come from different places, ``mask`` belongs to ``y``. The
    scale is the diffusivity (mm²/s) that becomes 1.

    Every batch is a dict: ``x`` the input with shape (B, 6, s/r, s/r, s/r), or (B, 6, s, s, s)
    where ``input_grid`` is target; ``y`` the target with shape (B, 6, s, s, s); ``mask`` the brain
    mask of ``y`` with shape (B, 1, s, s, s), 0 or 1. Tensors are divided by ``scale``.

    Raises:
        InputError: There are no subjects, or no patch fits.
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        data: DTIData,
        scale: float,
        seed: int,
        **order: Unpack[Order],
    ) -> None:
        if not prepared:
            raise InputError("patches need at least one prepared subject, got none")
        if not scale > 0:
            raise InputError(f"scale must be positive, got {scale}")
        super().__init__(data.batch_size, seed, **order)
        self.data, self.scale = data, scale
        self._size = data.patches.size
        augmentation = data.augmentation
        self._symmetries = symmetries(flips=augmentation.flips, rotations=augmentation.rotations)
        self._sources = [self._source(subject, scale) for subject in prepared]
        masks = ((subject.id, subject.mask) for subject in prepared)
        items = self._placed(masks, data.patches, data.factors)
        self._list(items, (subject.key for subject in prepared))

    def _source(self, subject: Prepared, scale: float) -> _Source:
        factor = self.data.degradation.factor
        found = subject.y.shape[1] // subject.x.shape[1]
        if found != factor:
            raise InputError(
                f"{subject.id} was prepared with the factor {found}, "
                f"data.degradation.factor is {factor}"
            )

        def ready(low: torch.Tensor) -> torch.Tensor:
            low = low / scale
            if self.data.input_grid == "target":
                low = upsample(low[None], factor, self.data.upsampling)[0].contiguous()
            return low

        averaged = subject.averaged
        return _Source(
            inputs=tuple(ready(low) for low in (subject.x, *subject.copies)),
            averaged=None if averaged is None else ready(averaged),
            target=subject.y / scale,
            mask=subject.mask,
        )

    def _patch(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """Cut x, y and mask at one place; views, not copies."""
        source, position = self._sources[item[0]], self._position(item, rng)
        x = source.inputs[rng.integers(len(source.inputs)) if len(source.inputs) > 1 else 0]
        if source.averaged is not None and rng.random() < 0.5:
            x = source.averaged
        factor = 1 if self.data.input_grid == "target" else self.data.degradation.factor
        return (
            cut(x, position // factor, self._size // factor),
            cut(source.target, position, self._size),
            cut(source.mask, position, self._size),
        )

    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented."""
        x, y, mask = self._patch(item, rng)
        change = self.data.augmentation
        if len(self._symmetries) > 1:
            symmetry = self._symmetries[rng.integers(len(self._symmetries))]
            x, y = apply_symmetry(x, symmetry), apply_symmetry(y, symmetry)
            mask = apply_symmetry_scalar(mask, symmetry)
        if change.diffusivity or change.anisotropy:
            diffusivity = 1 + change.diffusivity * rng.uniform(-1, 1)
            anisotropy = max(0.0, 1 + change.anisotropy * rng.uniform(-1, 1))
            factors = {"diffusivity": max(0.05, diffusivity), "anisotropy": anisotropy}
            x, y = scale_microstructure(x, **factors), scale_microstructure(y, **factors)
        if change.noise:
            x = self._noisy(x, rng)
        return x, y, mask

    def _noisy(self, x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Add noise of a random strength, drawn on the low-resolution grid."""
        edge = self._size // self.data.degradation.factor
        strength = self.data.augmentation.noise / self.scale * rng.uniform()
        noise = rng.standard_normal((6, edge, edge, edge), dtype=np.float32)
        return add_noise(x, torch.from_numpy(noise) * strength)
