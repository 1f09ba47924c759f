"""Batches of patches of volumes and their low-resolution twins, from memory."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ScalarData
from medrev.data.epochs import EpochBatches, Triple
from medrev.data.patches import find_places, list_items
from medrev.domains.intensity.head import Head
from medrev.errors import InputError
from medrev.files import content_hash

__all__ = ["ScalarBatches"]


class ScalarBatches(EpochBatches):
    """Iterate over batches of patches, epoch after epoch.

    Every batch is a dict: ``x`` the coarse patch (B, 1, s/r, …) and ``y`` the fine one (B, 1, s, s,
    s) in network range, ``mask`` that of ``y``, 0 or 1.

    Args:
        heads: Prepared subjects (:func:`prepare_twins`).
        data: Patches, augmentation, batch size.
        seed: Of order, positions and augmentation.
        train: Shuffle, draw random positions where configured, augment.
        unpaired: ``x`` and ``y`` of a sample come from different places.
        rank: Number of this process.
        world: Number of processes; each gets ``batch_size / world`` samples of every batch.

    Raises:
        InputError: There are no subjects, or one has no patch in the mask or is smaller than one.
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        data: ScalarData,
        seed: int,
        *,
        train: bool = True,
        unpaired: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not heads:
            raise InputError("samples need at least one prepared subject, got none")
        super().__init__(
            data.batch_size, seed, train=train, unpaired=unpaired, rank=rank, world=world
        )
        self.data = data
        self._heads = tuple(heads)
        self._places = [find_places(h.brain(), data.patches, data.factors, h.id) for h in heads]
        self._items = list_items(self._places, data.patches, train=train)
        content = content_hash(" ".join(head.key for head in heads).encode())[:12]
        self._start(content, len(self._items))

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        one = self._drawn_from(self._items[first], rng)
        if not self.unpaired:
            return one
        two = self._drawn_from(self._items[second], rng)
        return one[0], two[1], two[2]

    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented alike."""
        head, change = self._heads[item[0]], self.data.augmentation
        i, j, k = (int(n) for n in self._places[item[0]].position(int(item[1]), rng))
        gain = 1.0
        if self.train and change.brightness:
            gain = max(0.05, 1 + change.brightness * float(rng.uniform(-1, 1)))
        size = self.data.patches.size
        x, y, mask = head.block((i, j, k), (size, size, size), (gain, gain))
        if not self.train:
            return x, y, mask
        if change.flips:
            axes = [axis + 1 for axis in range(3) if rng.random() < 0.5]
            x, y, mask = (values.flip(axes) for values in (x, y, mask))
        if change.noise:
            strength = 2 * change.noise * float(rng.uniform())
            noise = rng.standard_normal(tuple(x.shape), dtype=np.float32)
            x = x + strength * torch.from_numpy(noise)
        return x, y, mask
