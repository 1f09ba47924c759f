"""Batches of slices or patches of two contrasts, or of a volume and its twin, from memory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ContrastData, ScalarData
from medrev.data.epochs import Order, Triple
from medrev.data.patches import PlacedBatches
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.reading import BACKGROUND
from medrev.errors import InputError
from medrev.volumes import SLICE_AXES, Slicing

D = TypeVar("D", ContrastData, ScalarData)


class HeadBatches(PlacedBatches, Generic[D]):
    """Iterate over batches of slices or patches of heads, epoch after epoch.

    The order is that of `EpochBatches`.

    An epoch goes once over all slices with enough brain of all heads (all, if ``min_brain`` is 0);
    for patches
    ``data.patches`` says which.

    Raises:
        InputError: There are no heads, one has no slice or patch with enough brain, or is smaller
            than a patch.
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        data: D,
        seed: int,
        **order: Unpack[Order],
    ) -> None:
        if not heads:
            raise InputError("samples need at least one prepared subject, got none")
        super().__init__(data.batch_size, seed, **order)
        self.data: D = data
        self._take(heads)

    def _take(self, heads: Sequence[Head]) -> None:
        """Say which heads samples are drawn from."""
        data = self.data
        self._heads = tuple(heads)
        if isinstance(data, ContrastData) and data.samples == "slices":
            numbers = [slices_with_brain(head, data) for head in heads]
            items = np.concatenate(
                [np.stack([np.full(len(k), n), k], axis=1) for n, k in enumerate(numbers)]
            )
        else:
            masks = ((head.id, head.brain()) for head in heads)
            items = self._placed(masks, data.patches, data.factors)
        self._list(items, [head.key for head in heads])

    def _patch(self, head: Head, position: NDArray[np.int64], gains: tuple[float, float]) -> Triple:
        """x, y and mask of a patch whose first voxel is given."""
        i, j, k = (int(n) for n in position)
        size = self.data.patches.size
        return head.block((i, j, k), (size, size, size), gains)


class ContrastBatches(HeadBatches[ContrastData]):
    """Slices or patches of two contrasts.

    Every batch is a dict: ``x`` the source and ``y`` the target in network range with shape
    (B, 1, s, s) or (B, 1, s, s, s), ``mask`` the brain of ``y``, 0 or 1, likewise.
    """

    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented alike."""
        head, change = self._heads[item[0]], self.data.augmentation
        gains = (1.0, 1.0)
        if change.brightness:
            one, two = np.maximum(0.05, 1 + change.brightness * rng.uniform(-1, 1, 2))
            gains = float(one), float(two)
        if self.data.samples == "slices":
            shift = change.shift
            moves = rng.integers(0, 2 * shift + 1, 2) if shift else np.zeros(2, np.int64)
            sample = self._slice(head, int(item[1]), gains, shift, moves)
            mirrored = self.data.slices.axis != "sagittal"
        else:
            sample, mirrored = self._patch(head, self._position(item, rng), gains), True
        if change.flips and mirrored and rng.random() < 0.5:
            x, y, mask = (values.flip(1) for values in sample)  # the axis from left to right
            return x, y, mask
        return sample

    def _slice(
        self,
        head: Head,
        number: int,
        gains: tuple[float, float],
        shift: int,
        moves: NDArray[np.int64],
    ) -> Triple:
        """A slice, cut larger by the shift on every side and then to its size."""
        size = self.data.slices.size
        slicing = slicing_of(head, self.data, margin=shift)
        start, extent = [0, 0, 0], list(head.shape)
        start[slicing.axis], extent[slicing.axis] = number, 1
        i, j, k = extent
        slab = replace(slicing, shape=(i, j, k))
        block = head.block((start[0], start[1], start[2]), (i, j, k), gains)
        a, b = (int(n) for n in moves)
        x, y, mask = (
            slab.forward(values, fill)[0, :, a : a + size, b : b + size]
            for values, fill in zip(block, (BACKGROUND, BACKGROUND, 0), strict=True)
        )
        return x, y, mask


def slicing_of(head: Head, data: ContrastData, margin: int = 0) -> Slicing:
    """How a head is cut into the slices of training, with a margin on every side."""
    edge = data.slices.size + 2 * margin
    return Slicing(SLICE_AXES[data.slices.axis], head.shape, (edge, edge))


def slices_with_brain(head: Head, data: ContrastData) -> NDArray[np.int64]:
    """Numbers of the slices that have enough brain to be trained on.

    Raises:
        InputError: There is none.
    """
    slicing = slicing_of(head, data)
    slices = slicing.forward(head.brain(), fill=0)
    area = np.prod(
        [
            min(n, edge)
            for n, edge in zip(np.delete(head.shape, slicing.axis), slicing.size, strict=True)
        ]
    )
    share = slices.sum(dim=(1, 2, 3)).numpy() / float(area)
    found = np.flatnonzero(share >= data.slices.min_brain)
    if len(found) == 0:
        raise InputError(
            f"{head.id}: none of {len(share)} {data.slices.axis} slices has "
            f"{data.slices.min_brain:.1%} brain voxels or more (at most {share.max():.1%}); lower "
            "data.slices.min_brain"
        )
    return np.asarray(found, dtype=np.int64)


class ScalarBatches(HeadBatches[ScalarData]):
    """Iterate over batches of patches, epoch after epoch.

    Every batch is a dict: ``x`` the coarse patch (B, 1, s/r, …) and ``y`` the fine one (B, 1, s, s,
    s) in network range, ``mask`` that of ``y``, 0 or 1.
    """

    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented alike."""
        head, change = self._heads[item[0]], self.data.augmentation
        position, gain = self._position(item, rng), 1.0
        if change.brightness:
            gain = max(0.05, 1 + change.brightness * float(rng.uniform(-1, 1)))
        x, y, mask = self._patch(head, position, (gain, gain))
        if change.flips:
            axes = [axis + 1 for axis in range(3) if rng.random() < 0.5]
            x, y, mask = (values.flip(axes) for values in (x, y, mask))
        if change.noise:
            strength = 2 * change.noise * float(rng.uniform())
            noise = rng.standard_normal(tuple(x.shape), dtype=np.float32)
            x = x + strength * torch.from_numpy(noise)
        return x, y, mask
