"""An involution undoes itself: to rounding error, or bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medrev.config.schema import InvolutionModel
from medrev.errors import ConfigError, InputError
from medrev.nets import Involution, SubNetwork, UNet, build_translator, initialise

from .reached import randomise, reached


def build(channels: int = 1, **options: object) -> Involution:
    return Involution(InvolutionModel(**({"spatial_dims": 2} | options)), channels=channels)


def involution(channels: int = 1, **options: object) -> Involution:
    """One that is far from its start, with results of the size of images as after a training."""
    torch.manual_seed(0)
    far = {"spatial_dims": 3, "width": 8, "depth": 2, "zero_init": False}
    f = build(channels, **(far | options))
    if options.get("coupling") != "affine":
        initialise(f, "kaiming")
        for net in f.modules():
            if isinstance(net, SubNetwork | UNet):
                net.last_conv.weight.data *= 0.1
    return f


@pytest.mark.parametrize("norm", ["instance", "none"])
@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize(
    ("dims", "channels", "downsamplings"), [(2, 1, 2), (2, 3, 1), (3, 1, 2), (3, 6, 1)]
)
def test_twice_is_the_identity(
    dims: int, channels: int, downsamplings: int, coupling: str, norm: str
) -> None:
    f = involution(
        spatial_dims=dims,
        channels=channels,
        downsamplings=downsamplings,
        coupling=coupling,
        norm=norm,
    )
    x = torch.rand(2, channels, *[12, 16, 8][:dims]) * 2 - 1
    y = f(x)
    assert (y - x).abs().mean() > 0.1
    assert 0.5 < y.abs().max() < 20
    assert (f(y) - x).abs().max() <= 1e-5


@pytest.mark.parametrize(("dims", "channels"), [(2, 1), (2, 3), (3, 1), (3, 6)])
def test_exact_mode_is_the_identity_bit_for_bit(dims: int, channels: int) -> None:
    f = involution(spatial_dims=dims, channels=channels, exact=True, depth=4)
    x = torch.rand(2, channels, *[16, 12, 8][:dims]) * 2 - 1
    on_grid = (x * 2**16).round() / 2**16
    y = f(on_grid)
    assert not torch.equal(y, on_grid)
    assert torch.equal(f(y), on_grid)
    assert torch.equal(f(f(y)), y)
    assert torch.equal(f(f(x)), on_grid)


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([2, 3]), st.integers(1, 2))
def test_images_of_8_and_16_bits_come_back_exactly(
    seed: int, channels: int, dims: int, downsamplings: int
) -> None:
    torch.manual_seed(seed)
    f = build(
        channels,
        spatial_dims=dims,
        width=4,
        depth=1,
        downsamplings=downsamplings,
        exact=True,
        zero_init=False,
        initialisation="kaiming",
    )
    bits = 8 if seed % 2 else 16
    x = torch.randint(0, 2**bits, (1, channels, *[8] * dims)) / 2 ** (bits - 1) - 1
    assert torch.equal(f(f(x)), x)


@pytest.mark.parametrize("downsamplings", [1, 2])
def test_it_starts_with_the_sign_of_every_other_voxel_changed(downsamplings: int) -> None:
    f = build(depth=1, downsamplings=downsamplings)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    odd = torch.arange(4)[:, None] + torch.arange(4) & 1 == 1
    assert torch.equal(f(x), torch.where(odd, -x, x))


def test_one_stream_is_reflected_about_what_the_other_says() -> None:
    f = build(depth=1, downsamplings=1)
    x = torch.rand(1, 1, 8, 8)
    start = f(x)
    f.mirror.last_conv.bias.data += 0.125
    odd = torch.arange(8)[:, None] + torch.arange(8) & 1 == 1
    torch.testing.assert_close(f(x), start + 0.125 * odd)
    f.sequence.blocks[0].f.last_conv.bias.data += 0.5  # to the other stream, and taken back
    torch.testing.assert_close(f(x), start + 0.125 * odd)


def test_gradients_equal_those_of_plain_autograd() -> None:
    f = involution(spatial_dims=2, channels=1, depth=2).double()
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    ours = torch.autograd.grad((f(x) * weights).sum(), [x, *f.parameters()])

    def run(level: torch.nn.Module, z: torch.Tensor, inverse: bool) -> torch.Tensor:
        pair = z.chunk(2, 1)
        for block in reversed(level.blocks) if inverse else level.blocks:
            pair = block.inverse(*pair) if inverse else block(*pair)
        return torch.cat(pair, 1)

    z = run(f.sequence, f.squeeze(x), False)
    first, second = z.chunk(2, 1)
    z = torch.cat([first, f.mirror(first) - second], 1)
    z = f.squeeze.inverse(run(f.sequence, z, True))
    plain = torch.autograd.grad((z * weights).sum(), [x, *f.parameters()])
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_memory_does_not_grow_with_depth() -> None:
    kept = []
    for depth in (2, 6):
        f = build(width=4, depth=depth)
        storages = {}

        def pack(t: torch.Tensor, storages: dict = storages) -> torch.Tensor:
            storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        weights = {p.untyped_storage().data_ptr() for p in f.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            y = f(torch.randn(1, 1, 16, 16))
        assert y.requires_grad
        kept.append(sum(n for pointer, n in storages.items() if pointer not in weights))
    assert kept[0] == kept[1] > 0


@pytest.mark.parametrize(("depth", "downsamplings"), [(1, 1), (1, 2)])
def test_the_radius_bounds_how_far_gradients_reach(depth: int, downsamplings: int) -> None:
    f = involution(
        spatial_dims=2,
        width=2,
        depth=depth,
        downsamplings=downsamplings,
        norm="none",
    )
    for layer in f.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.forward = torch.nn.functional.softplus  # closes no path
    assert f.radius - 2 * f.size_multiple <= reached(randomise(f)) <= f.radius


def test_what_does_not_fit_is_named() -> None:
    for options, message in (
        ({"norm": "batch"}, "'instance' or 'none'"),
        ({"downsamplings": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(ValidationError, match=message):
            build(**options)
    with pytest.raises(ConfigError, match="exact needs coupling 'additive', got 'affine'"):
        build(exact=True, coupling="affine")
    with pytest.raises(InputError, match="multiples of 4"):
        build()(torch.zeros(1, 1, 6, 8))


def test_a_pipeline_section_builds_it() -> None:
    config = InvolutionModel(spatial_dims=2, width=4, exact=True)
    net = build_translator(config, in_channels=1, out_channels=1)
    x = torch.randint(0, 256, (1, 1, 8, 8)) / 128 - 1
    assert torch.equal(net.inverse(net(x)), x)
