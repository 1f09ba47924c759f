"""Batches of patches of volumes and their low-resolution twins, from memory."""

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ScalarData
from medrev.data.epochs import Triple
from medrev.domains.intensity.batches import HeadBatches


class ScalarBatches(HeadBatches[ScalarData]):
    """Iterate over batches of patches, epoch after epoch.

    Every batch is a dict: ``x`` the coarse patch (B, 1, s/r, …) and ``y`` the fine one (B, 1, s, s,
    s) in network range, ``mask`` that of ``y``, 0 or 1.
    """

    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented alike."""
        head, change = self._heads[item[0]], self.data.augmentation
        start = self._position(item, rng)
        gain = 1.0
        if change.brightness:
            gain = max(0.05, 1 + change.brightness * float(rng.uniform(-1, 1)))
        size = self.data.patches.size
        x, y, mask = head.block(start, (size, size, size), (gain, gain))
        if change.flips:
            axes = [axis + 1 for axis in range(3) if rng.random() < 0.5]
            x, y, mask = (values.flip(axes) for values in (x, y, mask))
        if change.noise:
            strength = 2 * change.noise * float(rng.uniform())
            noise = rng.standard_normal(tuple(x.shape), dtype=np.float32)
            x = x + strength * torch.from_numpy(noise)
        return x, y, mask
