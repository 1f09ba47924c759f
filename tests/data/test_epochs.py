"""Batches as a function of seed, epoch and number: orders, and the random numbers of samples."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medrev.data import EpochBatches


class Drawn(EpochBatches):
    """Samples that say which were drawn, with a random number of their own as mask."""

    def __init__(self, x: int = 30, y: int | None = None, **options) -> None:
        super().__init__(1, options.pop("seed", 0), **options)
        self._start("drawn", x, y)

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        return torch.tensor(first), torch.tensor(second), torch.tensor(rng.random())

    def epoch_of(self, epoch: int) -> list[list[float]]:
        """First, second and random number of every sample of an epoch."""
        batches = [self.batch(epoch, number) for number in range(len(self))]
        return [[float(batch[name]) for batch in batches] for name in ("x", "y", "mask")]


def test_pairs_are_drawn_together_each_once():
    first, second, _ = Drawn().epoch_of(0)
    assert first == second
    assert sorted(first) == list(range(30))


@pytest.mark.parametrize(("x", "y"), [(30, None), (30, 20), (20, 30)])
def test_unpaired_samples_are_drawn_in_two_orders(x, y):
    batches = Drawn(x, y, unpaired=True)
    for epoch in range(3):
        first, second, _ = batches.epoch_of(epoch)
        assert len(first) == batches.samples_per_epoch == 30
        for found, count in ((first, x), (second, x if y is None else y)):
            assert set(found) == set(range(count))
            assert sorted(found[:count]) == list(range(count))  # each before any comes again
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 10


def test_orders_and_random_numbers_are_of_their_own_in_every_epoch_and_seed():
    orders, numbers = set(), []
    for seed in (0, 1):
        batches = Drawn(seed=seed, unpaired=True)
        for epoch in range(3):
            first, second, drawn = batches.epoch_of(epoch)
            orders |= {tuple(first), tuple(second)}
            numbers += drawn
    assert len(orders) == 2 * 2 * 3
    assert len(set(numbers)) == 2 * 3 * 30
    assert Drawn(seed=1, unpaired=True).epoch_of(2) == Drawn(seed=1, unpaired=True).epoch_of(2)
