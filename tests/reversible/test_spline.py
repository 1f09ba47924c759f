"""Spline couplings are monotone, invertible, and the identity where they should be."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medrev.reversible import ReversibleSequence, SplineCoupling
from sequences import subnetwork

BINS = 5


class Fixed(nn.Module):
    """Gives the same numbers whatever it reads."""

    def __init__(self, h: Tensor) -> None:
        super().__init__()
        self.h = nn.Parameter(h)

    def forward(self, x: Tensor) -> Tensor:
        return self.h.expand(len(x), *self.h.shape[1:])


def coupling(h: Tensor, **options: float) -> SplineCoupling:
    return SplineCoupling(Fixed(h), nn.Identity(), bins=BINS, **options)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), size=st.sampled_from([0.1, 1.0, 5.0]))
def test_it_is_monotone_and_undone(seed: int, size: float) -> None:
    """To the rounding of its values; where it is nearly flat, the way back magnifies that."""
    generator = torch.Generator().manual_seed(seed)
    h = size * torch.randn(1, 3 * BINS - 1, 1, generator=generator, dtype=torch.float64)
    block = coupling(h.expand(-1, -1, 401), bound=3.0)
    x = torch.linspace(-4, 4, 401, dtype=torch.float64).reshape(1, 1, -1)
    y = block.merge(x, block.f(x))
    assert (y.diff() > 0).all()
    restored = block.unmerge(y, block.f(x))
    slope = torch.autograd.functional.jacobian(lambda t: block.merge(t, block.f(t)).sum(), x)
    assert ((restored - x).abs() * slope.clamp_max(1)).max() < 1e-11
    if size <= 1:
        torch.testing.assert_close(restored, x, rtol=0, atol=1e-11)
    outside = x.abs() >= 3
    assert torch.equal(y[outside], x[outside])
    assert y[~outside].abs().max() < 3


@pytest.mark.parametrize("dims", [0, 1, 2, 3])
def test_log_det_is_that_of_autograds_jacobian(dims: int) -> None:
    torch.manual_seed(dims)
    x1, x2 = (2 * torch.randn(2, 2, *[2] * dims, dtype=torch.float64) for _ in range(2))

    def net() -> nn.Module:
        outputs = 2 * (3 * BINS - 1)
        return subnetwork(dims, 2, outputs) if dims else nn.Linear(2, outputs)

    block = SplineCoupling(net(), net(), bins=BINS).double()

    def run(t: Tensor) -> Tensor:
        return torch.cat(block(t[None, :2], t[None, 2:]), 1).flatten()

    for i, sample in enumerate(torch.cat([x1, x2], 1)):
        matrix = torch.autograd.functional.jacobian(run, sample).reshape(sample.numel(), -1)
        expected = torch.linalg.slogdet(matrix).logabsdet
        torch.testing.assert_close(block.log_det(x1, x2)[i], expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(block.inverse(*block(x1, x2)), (x1, x2), rtol=0, atol=1e-9)


def test_zeros_are_the_identity() -> None:
    block, x = coupling(torch.zeros(1, 3 * BINS - 1, 7)), torch.randn(3, 1, 7)
    torch.testing.assert_close(block.merge(x, block.f(x)), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        block.merge_log_det(x, block.f(x)), torch.zeros(3), rtol=0, atol=1e-5
    )


def test_gradients_are_right_in_and_out_of_a_sequence() -> None:
    torch.manual_seed(0)
    outputs = 2 * (3 * BINS - 1)
    blocks = [SplineCoupling(subnetwork(1, 2, outputs), subnetwork(1, 2, outputs), bins=BINS)]
    seq = ReversibleSequence(blocks).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    y, log_det = seq(x, log_det=True)
    ours = torch.autograd.grad(y.square().sum() - log_det.sum(), inputs)
    plain = blocks[0].forward(*x.chunk(2, 1))
    loss = sum(t.square().sum() for t in plain) - blocks[0].log_det(*x.chunk(2, 1)).sum()
    for a, b in zip(ours, torch.autograd.grad(loss, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_border_of_the_spline_has_finite_gradients() -> None:
    block = coupling(torch.zeros(1, 3 * BINS - 1, 5), bound=2.0)
    x = torch.tensor([[[-2.0, 2.0, 1e30, 0.0, float("inf")]]], requires_grad=True)
    y, log_det = block.merge_with_log_det(x, block.f(x))
    (y[..., :4].sum() + log_det.sum()).backward()
    assert x.grad.isfinite().all()
    assert block.f.h.grad.isfinite().all()


def test_wrong_arguments_are_named() -> None:
    net = nn.Identity()
    with pytest.raises(ValueError, match="needs at least 2 bins, got 1"):
        SplineCoupling(net, net, bins=1)
    with pytest.raises(ValueError, match="bound of a spline coupling must be positive, got 0"):
        SplineCoupling(net, net, bound=0)
    with pytest.raises(ValueError, match=r"must have shape \(1, 46, 3\), got \(1, 2, 3\)"):
        SplineCoupling(net, net)(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
