"""Networks of RevGAN that give back their input, exactly or nearly."""

import pytest
import torch

from medrev.errors import ConfigError
from medrev.volumes.resample import block_mean, per_axis

from .reached import randomise
from .small import small


@pytest.mark.parametrize("factor", [2, (1, 1, 3)])
def test_an_exact_network_gives_back_its_input(factor: int | tuple[int, ...]) -> None:
    """Whatever the weights; the inverse is the block mean and learns nothing."""
    net = randomise(small(scale_factor=factor, consistency="exact", norm="none"), 0.3).double()
    x = torch.randn(2, 6, 4, 5, 6, dtype=torch.float64)
    y = net(x)
    assert y.shape[2:] == tuple(n * r for n, r in zip(x.shape[2:], per_axis(factor), strict=True))
    torch.testing.assert_close(net.inverse(y), x, atol=1e-11, rtol=0)
    torch.testing.assert_close(net.inverse(y), block_mean(y, factor))
    assert net.inverse_parameters() == []
    assert not net.learns_inverse
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_a_learnt_correction_keeps_to_its_bound() -> None:
    """And its size is the distance of the inverse from the input."""
    options = {"scale_factor": 2, "norm": "none"}
    free = randomise(small(**options), 0.3)
    net = small(**options, consistency="learnt", consistency_bound=0.05)
    net.load_state_dict(free.state_dict(), strict=False)
    x = torch.randn(1, 6, 4, 4, 4)
    off = net.inverse(net(x)) - x
    assert 0.02 < off.abs().max() <= 0.05 * 1.001
    wanted = 0.05 * torch.tanh((block_mean(free(x), 2) - x) / 0.05)
    torch.testing.assert_close(off, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"scale_factor": 2, "out_channels": 1}])
def test_consistency_needs_a_finer_grid_of_as_many_channels(options: dict) -> None:
    with pytest.raises(ConfigError, match=r"model\.consistency exact needs y on a finer grid"):
        small(**options, consistency="exact")
