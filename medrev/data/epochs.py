"""Batches, epoch after epoch, as a function of seed, epoch and position.

Every random number of a sample comes from a generator of its own, seeded by (seed, epoch, index of
the sample in the epoch): the sequence is a function of these three numbers. A checkpoint therefore
holds an epoch and a position instead of generator states, and with several processes each takes its
slice of every batch, so that together they see just what one process would.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import CheckpointError, ConfigError

Batch = dict[str, torch.Tensor]
#: x, y and the mask of y, without the batch axis.
Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Order(TypedDict, total=False):
    """Which samples a process draws, in which order; the words are those of `EpochBatches`."""

    unpaired: bool
    turns: int
    rank: int
    world: int


class EpochBatches(ABC):
    """Iterate over batches ``{"x", "y", "mask"}``, epoch after epoch.

    Batches are full: what does not fill one is left out of the epoch (it is shuffled anew each
    time), and fewer samples than a batch are repeated.

    Subclasses set what they draw from, call `_start` and implement `_sample`.

    Args:
        batch_size: Samples of a batch, all processes together.
        seed: Of order and samples.
        unpaired: ``x`` and ``y`` of a sample are drawn in different orders.
        turns: How often each batch comes, one time after the other: a self-inverse network learns
            both directions of it.
        rank: Number of this process.
        world: Number of processes; each gets ``batch_size / world`` samples of every batch.

    Raises:
        ConfigError: The batch size is no multiple of ``world``.
    """

    def __init__(
        self,
        batch_size: int,
        seed: int,
        *,
        unpaired: bool = False,
        turns: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size % world:
            raise ConfigError(
                f"data.batch_size must be a multiple of the number of processes ({world}), "
                f"got {batch_size}"
            )
        self.batch_size, self.seed, self.unpaired, self.turns = batch_size, seed, unpaired, turns
        self.rank, self.world = rank, world
        self.epoch, self.position = 0, 0
        self._content = ""
        self._counts = (0, 0)
        self._order: tuple[int, list[NDArray[np.int64]]] | None = None

    def _start(self, content: str, x: int, y: int | None = None) -> None:
        """Say what is drawn from: the hash of the data, how many samples x has, and unpaired y."""
        self._content = content
        self._counts = (x, x if y is None else y)

    @abstractmethod
    def _sample(self, first: int, second: int, rng: np.random.Generator) -> Triple:
        """Number ``first`` of x with number ``second`` of y, which is the same unless unpaired.

        The generator is of this sample alone.
        """

    @property
    def samples_per_epoch(self) -> int:
        """Number of samples that an epoch draws from (all processes together)."""
        return max(self._counts)

    def __len__(self) -> int:
        """Number of batches per epoch, each counted as often as it comes."""
        return self.turns * max(1, self.samples_per_epoch // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches from the current position to the end of the epoch."""
        epoch = self.epoch
        for number in range(self.position, len(self)):
            last = number + 1 == len(self)
            self.epoch, self.position = (epoch + 1, 0) if last else (epoch, number + 1)
            yield self.batch(epoch, number)

    def state_dict(self) -> dict[str, Any]:
        """Return where the iteration stands; after a batch was yielded, the next one follows."""
        return {"epoch": self.epoch, "position": self.position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where another iteration stood.

        Raises:
            CheckpointError: The state is of other data or settings.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise CheckpointError(
                    f"the saved position in the data does not fit: {name} is {value} now and was "
                    f"{state.get(name)}; resume with the data and settings of the saved run"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def batch(self, epoch: int, number: int) -> Batch:
        """This process's slice of a batch (numbers from 0), whatever the current position."""
        size, number = self.batch_size, number // self.turns
        whole = np.arange(number * size, (number + 1) * size)
        mine = np.array_split(whole, self.world)[self.rank]
        samples = [self._drawn(epoch, int(index)) for index in mine]
        return {
            name: torch.stack([sample[n] for sample in samples])
            for n, name in enumerate(("x", "y", "mask"))
        }

    def _drawn(self, epoch: int, index: int) -> Triple:
        x, y = self._orders(epoch)
        rng = np.random.default_rng((self.seed, epoch, 2, index))
        first = int(x[index % len(x)])
        second = int(y[index % len(y)]) if self.unpaired else first
        return self._sample(first, second, rng)

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "patches": self.samples_per_epoch,
            "batch_size": self.batch_size,
            "unpaired": self.unpaired,
            "turns": self.turns,
            "content": self._content,
        }

    def _orders(self, epoch: int) -> list[NDArray[np.int64]]:
        """The epoch's order of samples, one for x and (unpaired) another for y."""
        if self._order is None or self._order[0] != epoch:
            orders = [
                np.random.default_rng((self.seed, epoch, stream)).permutation(count)
                for stream, count in enumerate(self._counts)
            ]
            self._order = (epoch, orders)
        return self._order[1]
