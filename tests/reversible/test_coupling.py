"""Couplings: log-determinants, exchanged streams, conditions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medrev.reversible import (
    AdditiveCoupling,
    AffineCoupling,
    Coupling,
    ReversibleSequence,
    SwappedAdditiveCoupling,
)
from sequences import assert_equal_gradients, block, gradients, plain, sequence, subnetwork


def jacobian_log_det(function, x: Tensor) -> Tensor:
    """By brute force, one sample at a time."""
    values = []
    for sample in x:
        matrix = torch.autograd.functional.jacobian(
            lambda t: function(t[None])[0].flatten(), sample
        )
        values.append(torch.linalg.slogdet(matrix.reshape(sample.numel(), -1))[1])
    return torch.stack(values)


@settings(max_examples=12)
@given(
    dims=st.integers(1, 2),
    coupling=st.sampled_from(["additive", "affine", "swapped", "half"]),
    channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    depth=st.integers(1, 3),
)
def test_log_det_equals_that_of_the_jacobian(
    dims: int, coupling: str, channels: tuple[int, int], depth: int
) -> None:
    seq = sequence(depth, dims, coupling, channels).double()
    x = torch.randn(2, sum(channels), *[3] * dims, dtype=torch.float64)
    y, log_det = seq(x, log_det=True)
    torch.testing.assert_close(log_det, jacobian_log_det(lambda t: plain(seq, t), x))
    restored, backwards = seq.inverse(y, log_det=True)
    torch.testing.assert_close(restored, x)
    torch.testing.assert_close(backwards, -log_det)
    if depth == 1:
        single = seq.blocks[0].log_det(*x.split([seq.split, x.shape[1] - seq.split], 1))
        torch.testing.assert_close(single, log_det)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 1.0)])
def test_gradients_through_log_det_equal_plain_autograd(
    inverse: bool, weights: tuple[float, float]
) -> None:
    torch.manual_seed(0)
    seq = sequence(3, 2, "affine").double()
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]

    def reference(x: Tensor) -> tuple[Tensor, Tensor]:
        streams, total = list(x.split(3, 1)), x.new_zeros(2)
        for b in reversed(seq.blocks) if inverse else seq.blocks:
            if inverse:
                streams = list(b.inverse(*streams))
                total = total - b.log_det(*streams)
            else:
                total = total + b.log_det(*streams)
                streams = list(b(*streams))
        return torch.cat(streams, 1), total

    def likelihood(y: Tensor, log_det: Tensor) -> Tensor:
        return (
            weights[0] * y.square().sum() / 2
            - weights[1] * (log_det * log_det.new_tensor([1, 2])).sum()
        )

    ours = likelihood(*(seq.inverse(x, log_det=True) if inverse else seq(x, log_det=True)))
    ours = torch.autograd.grad(ours, inputs, allow_unused=True)
    expected = torch.autograd.grad(likelihood(*reference(x)), inputs, allow_unused=True)
    for a, e in zip(ours, expected, strict=True):
        assert_equal_gradients(
            [torch.zeros(1) if a is None else a], [torch.zeros(1) if e is None else e]
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_log_det_is_summed_in_float32(dtype: torch.dtype) -> None:
    """In float16 it would be infinite from 65 504 on, which a volume soon has."""
    half = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(half.weight)
    nn.init.constant_(half.bias, 0.5)
    seq = ReversibleSequence([AffineCoupling(half, half)]).to(dtype)
    y, log_det = seq(torch.zeros(1, 2, 400, 400, dtype=dtype), log_det=True)
    scale = seq.blocks[0].log_scale(torch.tensor(0.5)).item()
    torch.testing.assert_close(log_det, torch.tensor([2 * 400**2 * scale]), rtol=0.01, atol=0)
    (log_det.sum() / 1e4).backward()
    assert half.bias.grad[0].isfinite()
    assert seq.blocks[0].log_det(*y.detach().chunk(2, 1)).dtype == torch.float32


def test_only_the_log_det_is_used() -> None:
    seq = sequence(2, 2, "affine").double()
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    _, log_det = seq(x, log_det=True)
    (ours,) = torch.autograd.grad(log_det.sum(), x)
    x1, x2 = x.split(3, 1)
    total = seq.blocks[0].log_det(x1, x2) + seq.blocks[1].log_det(*seq.blocks[0](x1, x2))
    torch.testing.assert_close(ours, torch.autograd.grad(total.sum(), x)[0])


def test_the_swapped_coupling_is_that_of_generative_reversible_nets() -> None:
    f, g = subnetwork(2, 2, 3), subnetwork(2, 3, 2)
    pair = torch.randn(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    y1, y2 = SwappedAdditiveCoupling(f, g)(*pair)
    torch.testing.assert_close(y1, f(pair[0]) + pair[1])
    torch.testing.assert_close(y2, g(y1) + pair[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_exchanged_streams_of_unequal_width_come_back(depth: int) -> None:
    torch.manual_seed(0)
    seq = sequence(depth, 2, "swapped", (2, 3)).double()
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    assert torch.equal(seq(x), plain(seq, x))
    torch.testing.assert_close(seq.inverse(seq(x)), x)
    a, b = x.split([seq.split, 5 - seq.split], 1)
    y1, y2 = seq((a, b))
    assert torch.equal(torch.cat([y1, y2], 1), seq(x))
    for restored, original in zip(seq.inverse((y1, y2)), (a, b), strict=True):
        torch.testing.assert_close(restored, original)


class Curved(Coupling):
    """y = sinh(x) + w(h): its log-determinant depends on the stream, w on a module of its own."""

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__(f, g)
        self.weigh = nn.Linear(1, 1)

    def _shift(self, h: Tensor) -> Tensor:
        return self.weigh(h[..., None])[..., 0]

    def merge(self, stream: Tensor, h: Tensor) -> Tensor:
        return stream.sinh() + self._shift(h)

    def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
        return (stream - self._shift(h)).asinh()

    def merge_log_det(self, stream: Tensor, h: Tensor) -> Tensor:
        return stream.cosh().log().flatten(1).sum(1)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_coupling_of_ones_own_may_bend_the_stream_and_hold_modules(inverse: bool) -> None:
    torch.manual_seed(0)
    blocks = [Curved(subnetwork(1, 1, 1), subnetwork(1, 1, 1)) for _ in range(2)]
    seq = ReversibleSequence(blocks, split=1).double()
    x = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    y, log_det = seq.inverse(x, log_det=True) if inverse else seq(x, log_det=True)
    torch.testing.assert_close(
        log_det, jacobian_log_det(lambda t: plain(seq, t, inverse=inverse), x)
    )
    assert_equal_gradients(
        gradients(y, inputs), gradients(plain(seq, x, inverse=inverse), inputs), 1e-11
    )
    # The gradient of log |det| by differences along one direction.
    direction, step = torch.randn_like(x), 1e-6
    ahead, behind = (
        (seq.inverse if inverse else seq)(x.detach() + s * direction, log_det=True)[1].sum()
        for s in (step, -step)
    )
    _, log_det = seq.inverse(x, log_det=True) if inverse else seq(x, log_det=True)
    (found,) = torch.autograd.grad(log_det.sum(), x)
    torch.testing.assert_close(
        (found * direction).sum(), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6
    )


class Conditional(nn.Module):
    """A sub-network that reads a condition too."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Conv2d(channels + 2, outputs, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return torch.tanh(self.net(torch.cat([x, condition], 1)))


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_condition_reaches_every_subnetwork_and_gets_its_gradient(
    coupling: str, needed: bool, frozen: bool
) -> None:
    torch.manual_seed(0)
    seq = ReversibleSequence([block(coupling, Conditional, (3, 3)) for _ in range(3)]).double()
    if frozen:
        seq.requires_grad_(False)
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    condition = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=needed)

    def reference(x: Tensor) -> Tensor:
        streams = list(x.split(3, 1))
        for b in seq.blocks:
            for _, net, target in b.half_steps():
                h = net(streams[1 - target], condition)
                streams[target] = b.merge(streams[target], h)
        return torch.cat(streams, 1)

    y = seq(x, condition)
    torch.testing.assert_close(seq.inverse(y, condition), x)
    torch.testing.assert_close(y, reference(x))
    inputs = [t for t in (condition, *seq.parameters()) if t.requires_grad]
    assert y.requires_grad == bool(inputs)
    if inputs:
        ours = torch.autograd.grad(y.square().sum(), inputs)
        assert_equal_gradients(
            list(ours), list(torch.autograd.grad(reference(x).square().sum(), inputs))
        )


def test_the_affine_clamp_has_unit_slope_and_its_bound() -> None:
    coupling = AffineCoupling(nn.Identity(), nn.Identity(), clamp=1.5)
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    coupling.log_scale(a).backward()
    assert math.isclose(a.grad.item(), 1.0)
    limit = coupling.log_scale(torch.tensor([-1e9, 1e9], dtype=torch.float64))
    torch.testing.assert_close(limit, torch.tensor([-1.5, 1.5], dtype=torch.float64))
    with pytest.raises(ValueError, match="must be positive, got 0"):
        AffineCoupling(nn.Identity(), nn.Identity(), clamp=0)


def test_the_clamp_of_cinn_is_its_equation_7_as_written() -> None:
    """The paper says that it is near s for small s; as written its slope at zero is 2/π."""
    coupling = AffineCoupling(nn.Identity(), nn.Identity(), clamp=1.9, clamp_form="cinn")
    s = torch.tensor([-40.0, -2.0, -0.1, 0.0, 0.3, 7.0], dtype=torch.float64)
    expected = 2 * 1.9 / math.pi * torch.atan(s / 1.9)
    torch.testing.assert_close(coupling.log_scale(s), expected, rtol=1e-14, atol=0)
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    coupling.log_scale(a).backward()
    assert math.isclose(a.grad.item(), 2 / math.pi)
    with pytest.raises(ValueError, match="clamp_form must be 'unit-slope' or 'cinn', got 'eq7'"):
        AffineCoupling(nn.Identity(), nn.Identity(), clamp_form="eq7")  # type: ignore[arg-type]


def test_without_a_clamp_log_scales_are_as_they_come() -> None:
    coupling = AffineCoupling(nn.Identity(), nn.Identity(), clamp=None)
    a = torch.tensor([-30.0, 0.2, 30.0])
    assert torch.equal(coupling.log_scale(a), a)


class Power(nn.Module):
    """Reads x, gives a·xⁿ: sub-networks that no others can be taken for."""

    def __init__(self, a: float, n: int) -> None:
        super().__init__()
        self.a, self.n = a, n

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x**self.n


def test_equations_8_and_9_of_the_paper() -> None:
    """y₁ = x₁ + f(x₂), y₂ = x₂ + g(y₁); x₂ = y₂ − g(y₁), x₁ = y₁ − f(x₂)."""
    coupling = AdditiveCoupling(Power(3, 1), Power(1, 2))
    x1, x2 = torch.full((1, 1, 2), 2.0), torch.full((1, 1, 2), 5.0)
    y1, y2 = coupling(x1, x2)
    assert y1.tolist() == [[[17.0, 17.0]]]  # 2 + 3·5
    assert y2.tolist() == [[[294.0, 294.0]]]  # 5 + 17²
    back = coupling.inverse(y1, y2)
    assert [x.flatten().tolist() for x in back] == [[2.0, 2.0], [5.0, 5.0]]
    sequence_ = ReversibleSequence([coupling])
    whole = torch.cat([x1, x2], 1)
    assert torch.equal(sequence_(whole), torch.cat([y1, y2], 1))
    assert torch.equal(sequence_.inverse(torch.cat([y1, y2], 1)), whole)


def test_exchanged_streams_are_those_of_i_revnet() -> None:
    """y = (x₂ + f(x₁), x₁ + g(x₂ + f(x₁))): f reads stream 1, the changed stream leads."""
    coupling = SwappedAdditiveCoupling(Power(3, 1), Power(1, 2))
    x1, x2 = torch.full((1, 1, 2), 2.0), torch.full((1, 1, 2), 5.0)
    y1, y2 = coupling(x1, x2)
    assert y1.tolist() == [[[11.0, 11.0]]]  # 5 + 3·2
    assert y2.tolist() == [[[123.0, 123.0]]]  # 2 + 11²
    assert [x.flatten().tolist() for x in coupling.inverse(y1, y2)] == [[2.0, 2.0], [5.0, 5.0]]


@pytest.mark.parametrize("form", ["unit-slope", "cinn"])
def test_an_affine_coupling_scales_and_shifts(form: str) -> None:
    """x·eˢ + t; s = c·atan(a/c) of slope 1 with c = 2 clamp/π, or (2 clamp/π)·atan(a/clamp)."""

    class Parameters(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([0 * x + 0.7, 0 * x + 3], 1)

    coupling = AffineCoupling(Parameters(), Parameters(), clamp=1.5, clamp_form=form)
    width = 2 * 1.5 / math.pi
    scale = width * math.atan(0.7 / (width if form == "unit-slope" else 1.5))
    x = torch.full((1, 1, 2), 2.0)
    y1, y2 = coupling(x, x)
    for y in (y1, y2):
        torch.testing.assert_close(y, torch.full_like(y, 2 * math.exp(scale) + 3))
    assert coupling.log_det(x, x).item() == pytest.approx(4 * scale, rel=1e-5)
