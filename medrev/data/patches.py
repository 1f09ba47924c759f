"""Where patches lie in a volume, batches of what lies at places, and cutting patches out.

A position is the index (i, j, k) of a patch's first voxel on the high-resolution grid. Positions
are multiples of the factor along their axis, so that every patch has an exact counterpart on the
low-resolution grid: the patch of ``size / factor`` voxels at ``position / factor``.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import Patches
from medrev.data.epochs import EpochBatches, Triple
from medrev.errors import InputError
from medrev.files import content_hash

Positions = NDArray[np.int64]


class PlacedBatches(EpochBatches):
    """Batches of patches or slices that lie at places of subjects in memory.

    Subclasses call `_list`, for patches with the items of `_placed`, and implement `_drawn_from`.
    """

    _items: NDArray[np.int64]

    def _list(self, items: NDArray[np.int64], keys: Iterable[str]) -> None:
        """Say what is drawn from: samples (N, 2) as (subject, number in it), content keys."""
        self._items = items
        self._start(content_hash(" ".join(keys).encode())[:12], len(items))

    def _placed(
        self,
        masks: Iterable[tuple[str, torch.Tensor]],
        patches: Patches,
        factors: Sequence[int],
    ) -> NDArray[np.int64]:
        """Find the patches of subjects, and list those of an epoch.

        Returns:
            (subject, number in its tiling, or -1 for any position), shape (N, 2).

        Raises:
            InputError: A volume is smaller than a patch, or no patch has enough brain.
        """
        random, items = patches.sampling == "random", []
        self._grids: list[Positions] = []
        self._anywhere: list[Positions] = []
        for n, (name, mask) in enumerate(masks):
            try:
                share = patches.min_brain
                grid = grid_positions(mask, patches.size, factors, share, patches.stride)
                self._anywhere.append(all_positions(mask, patches.size, factors, share))
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
            self._grids.append(grid)
            count = len(grid)
            if random and patches.per_subject is not None:
                count = patches.per_subject
            which = np.full(count, -1) if random else np.arange(count)
            items.append(np.stack([np.full(count, n), which], axis=1))
        return np.concatenate(items).astype(np.int64)

    def _position(self, item: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """First voxel of a patch."""
        subject, number = (int(n) for n in item)
        if number >= 0:
            return np.asarray(self._grids[subject][number])
        anywhere = self._anywhere[subject]
        return np.asarray(anywhere[rng.integers(len(anywhere))])

    @abstractmethod
    def _drawn_from(self, item: NDArray[np.int64], rng: np.random.Generator) -> Triple:
        """x, y and mask of one place, augmented alike."""

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        one = self._drawn_from(self._items[first], rng)
        if not self.unpaired:
            return one
        two = self._drawn_from(self._items[second], rng)
        return one[0], two[1], two[2]


def brain_share(mask: torch.Tensor, size: int, positions: Positions) -> NDArray[np.float64]:
    """Share (P,) of a mask ``(1, I, J, K)``, 0 to 1, in patches with first voxels ``(P, 3)``."""
    table = np.zeros([n + 1 for n in mask.shape[-3:]], dtype=np.int64)  # summed-area table
    brain = (mask.reshape(mask.shape[-3:]) > 0).cpu().numpy()
    table[1:, 1:, 1:] = brain.cumsum(0, dtype=np.int64).cumsum(1).cumsum(2)
    total = np.zeros(len(positions), dtype=np.int64)
    for corner in np.ndindex(2, 2, 2):
        i, j, k = (positions + np.array(corner) * size).T
        total += (-1) ** (3 - sum(corner)) * table[i, j, k]
    return np.asarray(total / size**3)


def all_positions(
    mask: torch.Tensor, size: int, factors: Sequence[int], min_brain: float
) -> Positions:
    """First voxels (P, 3) of all patches with enough of a brain mask ``(1, I, J, K)``.

    They are multiples of the factors along i, j, k; ``min_brain`` is the least share of brain.

    Raises:
        InputError: The volume is smaller than a patch, or no patch has enough brain.
    """
    _check_size(mask, size)
    starts = [
        np.arange(0, n - size + 1, factor)
        for n, factor in zip(mask.shape[-3:], factors, strict=True)
    ]
    return _with_brain(mask, size, starts, min_brain)


def grid_positions(
    mask: torch.Tensor,
    size: int,
    factors: Sequence[int],
    min_brain: float,
    stride: int | None = None,
) -> Positions:
    """Tile a volume ``(1, I, J, K)`` with patches: first voxels (P, 3) as :func:`all_positions`.

    What is left over is shared by both ends of an axis. First voxels are multiples of the factors
    along i, j, k, patches with less brain than ``min_brain``, a share, are dropped. The stride in
    voxels, a multiple of the factors, is the size unless given.

    A 128³ volume has 5³ patches of 24³ before those without brain are dropped (RevGAN, section
    4.3: 112 are left on average).

    Raises:
        InputError: The volume is smaller than a patch, no patch has enough brain, or the stride is
            no multiple of a factor.
    """
    _check_size(mask, size)
    stride = size if stride is None else stride
    for factor in factors:
        if stride % factor:
            raise InputError(
                f"data.patches.stride must be a multiple of the factor ({factor}), got {stride}"
            )
    starts = []
    for n, factor in zip(mask.shape[-3:], factors, strict=True):
        left_over = (n - size) % stride
        starts.append(np.arange(left_over // 2 // factor * factor, n - size + 1, stride))
    return _with_brain(mask, size, starts, min_brain)


def cut(volume: torch.Tensor, position: NDArray[np.int64], size: int) -> torch.Tensor:
    """The view ``(C, size, size, size)`` of a patch of ``(C, I, J, K)``.

    First voxel (i, j, k) and size are counted in voxels of this volume's own grid.
    """
    i, j, k = (int(p) for p in position)
    return volume[:, i : i + size, j : j + size, k : k + size]


def _check_size(mask: torch.Tensor, size: int) -> None:
    if min(mask.shape[-3:]) < size:
        shape = "×".join(str(n) for n in mask.shape[-3:])
        raise InputError(
            f"a volume of {shape} voxels is smaller than a patch of {size}³; "
            f"lower data.patches.size"
        )


def _with_brain(
    mask: torch.Tensor, size: int, starts: list[NDArray[np.int64]], min_brain: float
) -> Positions:
    positions = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3)
    share = brain_share(mask, size, positions)
    kept = positions[share >= min_brain]
    if len(kept) == 0:
        raise InputError(
            f"none of {len(positions)} patches of {size}³ has {min_brain:.1%} brain voxels or more "
            f"(at most {share.max():.1%}); lower data.patches.min_brain or data.patches.size"
        )
    return kept
