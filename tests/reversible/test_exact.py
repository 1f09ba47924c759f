"""Exact mode: the inverse gives back the rounded input, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medrev.reversible import AdditiveCoupling, FixedPointGrid, ReversibleSequence
from sequences import assert_equal_gradients, gradients, sequence, subnetwork


@settings(max_examples=20)
@given(
    dims=st.integers(1, 3),
    depth=st.sampled_from([1, 7, 64]),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    coupling=st.sampled_from(["additive", "swapped"]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    batch=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_the_inverse_error_is_zero(
    dims: int,
    depth: int,
    channels: tuple[int, int],
    coupling: str,
    dtype: torch.dtype,
    batch: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    seq = sequence(depth, dims, coupling, channels, exact=True).to(dtype)
    x = torch.randn(batch, sum(channels), *[5] * dims, dtype=dtype)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            y = seq(x)
            assert y.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert torch.equal(seq.inverse(y), seq.grid.round(x))
            assert torch.equal(seq(seq.inverse(x)), seq.grid.round(x))


def test_the_inverse_is_exact_under_autocast() -> None:
    seq, x = sequence(16, 3, exact=True), torch.randn(1, 6, 6, 6, 6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(seq.inverse(seq(x)), seq.grid.round(x))


def test_without_exact_mode_rounding_errors_stay() -> None:
    torch.manual_seed(0)
    seq, x = sequence(64, 2), torch.randn(1, 6, 8, 8)
    with torch.no_grad():
        assert not torch.equal(seq.inverse(seq(x)), x)


@pytest.mark.parametrize("mode", ["forward", "inverse"])
def test_training_gradients_pass_straight_through_the_rounding(mode: str) -> None:
    """On a fine grid they equal those without rounding, up to what rounding changes."""
    torch.manual_seed(0)
    seq = sequence(8, 2, exact=True, fraction_bits=22).double()
    free = sequence(8, 2).double()
    free.load_state_dict(seq.state_dict())
    x = torch.randn(2, 6, 6, 6, dtype=torch.float64, requires_grad=True)
    ours = getattr(seq, mode)(x) if mode == "inverse" else seq(x)
    reference = free.inverse(x) if mode == "inverse" else free(x)
    assert_equal_gradients(
        gradients(ours, [x, *seq.parameters()]),
        gradients(reference, [x, *free.parameters()]),
        1e-5,
    )


def test_training_rebuilds_the_very_numbers_of_forward() -> None:
    """The sub-network sees the same bits in backward as in forward."""
    torch.manual_seed(0)
    seen: list[torch.Tensor] = []
    seq = sequence(12, 2, exact=True)
    seq.blocks[0].f.register_forward_hook(lambda m, args, out: seen.append(args[0].clone()))
    seq(torch.randn(1, 6, 6, 6)).square().sum().backward()
    assert len(seen) == 2
    assert torch.equal(*seen)


@pytest.mark.parametrize("bits", [0, 8, 16, 22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_on_the_grid_are_exact_up_to_its_limit(bits: int, dtype: torch.dtype) -> None:
    grid = FixedPointGrid(bits)
    limit = grid.limit(dtype)
    x = grid.round((torch.rand(10_000, dtype=dtype) - 0.5) * min(limit, 1e12))
    h = grid.round((torch.rand(10_000, dtype=dtype) - 0.5) * min(limit, 1e12))
    assert torch.equal((x + h) - h, x)
    edge = torch.tensor([limit - grid.step, -limit + grid.step], dtype=dtype)
    assert torch.equal(grid.round(edge), edge)
    above = torch.tensor(limit, dtype=dtype) + grid.step
    assert above.item() == limit  # the next number of the grid does not exist there


def test_numbers_go_to_the_nearest_point_of_the_grid_ties_to_even() -> None:
    given = torch.tensor([0.24, 0.26, -0.24, -0.26, 0.25, 0.75, 1.25, -0.25, -0.75])
    nearest = torch.tensor([0.0, 0.5, 0.0, -0.5, 0.0, 1.0, 1.0, 0.0, -1.0])
    assert torch.equal(FixedPointGrid(1).round(given), nearest)
    x = (torch.rand(10_000, dtype=torch.float64) - 0.5) * 7
    for bits in (0, 8, 16):
        error = FixedPointGrid(bits).round(x) - x
        assert error.abs().max() <= 2.0 ** -(bits + 1)
        assert abs(float(error.mean())) < 0.02 * 2.0**-bits  # no drift to one side


def test_the_grid_is_limited_to_what_a_significand_holds() -> None:
    assert FixedPointGrid(16).limit(torch.float32) == 256
    assert FixedPointGrid(16).limit(torch.float64) == 2**37
    with pytest.raises(ValueError, match="fraction_bits must be 0 to 22, got 23"):
        FixedPointGrid(23)


@pytest.mark.parametrize("layout", ["channels last", "transposed", "every second", "expanded"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dims", [2, 3])
def test_any_memory_layout_is_encoded_and_trained_exactly(
    dims: int, batch: int, layout: str
) -> None:
    """Sums over voxels depend on the layout, so it must be the same in all directions."""

    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = subnetwork(dims, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.3 * self.net(x) + x.mean(tuple(range(2, x.dim())), keepdim=True)

    torch.manual_seed(0)
    seq = ReversibleSequence([AdditiveCoupling(Excited(), Excited()) for _ in range(6)], exact=True)
    size = 17 if dims == 2 else 9
    x = torch.randn(batch, 6, *[size] * dims)
    if layout == "channels last":
        x = x.to(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d)
    elif layout == "transposed":
        x = x.transpose(2, -1)
    elif layout == "every second":
        x = torch.randn(batch, 6, *[2 * size] * dims)[..., ::2, ::2]
    else:
        x = x[..., :1].expand(x.shape)
    with torch.no_grad():
        assert torch.equal(seq.inverse(seq(x)), seq.grid.round(x))
    seen: list[torch.Tensor] = []
    seq.blocks[0].f.register_forward_hook(lambda m, args, out: seen.append(args[0].clone()))
    seq(x).square().sum().backward()
    assert torch.equal(*seen)


def test_without_blocks_the_input_is_rounded_all_the_same() -> None:
    seq, x = ReversibleSequence([], exact=True), torch.randn(1, 6, 4, 4, requires_grad=True)
    y = seq(x)
    assert torch.equal(y, seq.grid.round(x))
    assert torch.equal(*torch.autograd.grad(y.sum(), x), torch.ones_like(x))


def test_compiled_the_gradients_pass_through_the_rounding_too() -> None:
    torch.manual_seed(0)
    seq, x = sequence(2, exact=True), torch.randn(1, 6, 5, 5, requires_grad=True)
    inputs = [x, *seq.parameters()]
    compiled = torch.compile(seq, backend="aot_eager", fullgraph=True)
    assert_equal_gradients(
        gradients(compiled(x), inputs), gradients(seq(x), inputs), 100 * seq.grid.step
    )


def test_exported_it_gives_the_same_numbers_to_a_few_steps_of_the_grid() -> None:
    seq, x = sequence(2, exact=True).eval(), torch.randn(1, 6, 5, 5)
    exported = torch.export.export(seq, (x,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), seq(x), rtol=0, atol=20 * seq.grid.step)


def test_the_narrower_stream_of_a_pair_limits_the_range() -> None:
    class Double(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float()

    seq = ReversibleSequence([AdditiveCoupling(Double(), Double())], exact=True)
    wide, narrow = torch.full((1, 1, 4), 300.0, dtype=torch.float64), torch.ones(1, 1, 4)
    with pytest.raises(ValueError, match="the input: exact mode needs streams below 256"):
        seq((wide, narrow))


def test_leaving_the_range_is_named() -> None:
    class Scale(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    def build(bits: int) -> ReversibleSequence:
        blocks = [
            AdditiveCoupling(Scale(1), Scale(1)),
            AdditiveCoupling(Scale(1), Scale(1000)),
        ]
        return ReversibleSequence(blocks, exact=True, fraction_bits=bits)

    x = torch.ones(1, 2, 3, 3)
    with pytest.raises(ValueError, match=r"block 1, sub-network g: .* below 256 .* got 5003"):
        build(16)(x)
    assert torch.equal(build(10).inverse(build(10)(x)), x)
    with pytest.raises(ValueError, match=r"the input: exact mode needs streams below 256"):
        build(16)(300 * x)
    with pytest.raises(ValueError, match="the input"):
        build(16)(x * torch.nan)


def test_exact_mode_needs_additive_couplings() -> None:
    with pytest.raises(ValueError, match="block 0: exact mode needs additive couplings, got Aff"):
        sequence(1, 2, "affine", exact=True)(torch.zeros(1, 6, 4, 4))


def test_integers_are_encoded_without_loss() -> None:
    """8-bit images scaled by a power of two lie on the grid: encoding loses nothing."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 6, 8, 8), dtype=torch.uint8)
    seq = ReversibleSequence(
        [AdditiveCoupling(subnetwork(2, 3, 3), subnetwork(2, 3, 3)) for _ in range(8)], exact=True
    )
    with torch.no_grad():
        restored = seq.inverse(seq(image.float() / 128 - 1))
    assert torch.equal(((restored + 1) * 128).to(torch.uint8), image)
