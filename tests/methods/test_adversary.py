"""The adversary: what its discriminators see, and which earlier images they are shown."""

import torch
from torch import nn

from medrev.config.schema import Paired
from medrev.methods.adversary import DiscriminatorPhase


class Seen(nn.Module):
    """A discriminator that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(x)
        return self.weight * x.mean(dim=1, keepdim=True)


def phase(conditional=False, pool_size=0, **options):
    config = Paired(pool_size=pool_size, discriminator={"conditional": conditional})
    return DiscriminatorPhase(Seen(), Seen(), config, **options)


def numbers(*values):
    return {
        name: torch.full((1, 1, 2, 2, 2), float(value), requires_grad=True)
        for name, value in zip(("x", "y", "fake_x", "fake_y"), values, strict=False)
    }


def test_real_samples_and_translated_ones_are_told_apart():
    made = phase()
    given = numbers(1, 2, 3, 4)
    made(given, given)
    for name, real, fake in (("x", 1, 3), ("y", 2, 4)):
        shown = made.discriminators[name].shown
        assert [float(each.detach().mean()) for each in shown] == [real, fake]
        assert not shown[1].requires_grad


def test_a_conditional_discriminator_sees_x_before_y():
    made = phase(conditional=True)
    given = numbers(1, 2, 3, 4)
    made(given, given)
    found = {
        name: [each.detach().mean(dim=(0, 2, 3, 4)).tolist() for each in judge.shown]
        for name, judge in made.discriminators.items()
    }
    assert found == {"x": [[2, 1], [2, 3]], "y": [[1, 2], [1, 4]]}


def test_the_pools_of_the_domains_choose_each_for_itself():
    def choices(pool):
        return [float(pool.query(torch.full((1, 1), float(n)))) for n in range(60)]

    pools = [phase(pool_size=4, seed=seed).pools for seed in (0, 1)]
    found = [choices(pool) for both in pools for pool in both.values()]
    assert len({tuple(each) for each in found}) == 4
