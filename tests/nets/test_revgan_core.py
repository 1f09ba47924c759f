"""The core of RevGAN: shared by both directions, reversible or of continuous depth."""

import pytest
import torch

from medrev.config.schema import RevGANModel
from medrev.errors import ConfigError
from medrev.nets import RevGAN, build_translator

from .reached import randomise
from .small import small


def test_bounded_sub_networks_keep_both_directions_from_running_away() -> None:
    """A stream changes by at most 1 in a half-step, whatever the weights and the features."""
    net = small(depth=8, norm="none", bounded=True)
    free = small(depth=8, norm="none")
    for each in (net, free):
        randomise(each, 3.0)
    h = 100 * torch.randn(1, 4, 5, 5, 5)
    for direction in (net.core, net.core.inverse):
        assert float((direction(h) - h).detach().abs().max()) <= 8 + 1e-3
    assert float(free.core.inverse(h).detach().abs().max()) > 1e6
    torch.testing.assert_close(net.core.inverse(net.core(h)), h, rtol=0, atol=1e-3)


@pytest.mark.parametrize("width", [5, 6])
def test_the_core_of_an_odd_width_is_split_unevenly(width: int) -> None:
    net = randomise(small(width=width))
    h = net.lift_x(torch.randn(1, 6, 5, 5, 5))
    torch.testing.assert_close(net.core.inverse(net.core(h)), h, rtol=0, atol=1e-4)


def test_a_zero_initialised_core_starts_as_the_identity_and_weights_are_small() -> None:
    net = small(depth=3)
    h = torch.randn(1, 4, 5, 5, 5)
    assert torch.equal(net.core(h), h)
    subnet = net.core.blocks[0].f
    assert not subnet.last_conv.weight.any()
    assert 0.01 < subnet[0].weight.std() < 0.03
    assert not subnet[0].bias.any()
    assert small(zero_init=False).core.blocks[0].f.last_conv.weight.any()


def retained_bytes(net: RevGAN, x: torch.Tensor, *, inverse: bool) -> int:
    storages = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = net(x, inverse=inverse)
    assert y.requires_grad
    return sum(size for pointer, size in storages.items() if pointer not in weights)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_retained_activations_do_not_grow_with_depth(dims: int, inverse: bool) -> None:
    x = torch.randn(1, 6, *[10] * dims)
    kept = {
        depth: retained_bytes(small(spatial_dims=dims, depth=depth), x, inverse=inverse)
        for depth in (2, 16)
    }
    assert kept[2] == kept[16] > 0


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("tolerance", [None, 1e-6])
def test_a_core_of_continuous_depth(dims: int, tolerance: float | None) -> None:
    pytest.importorskip("torchdiffeq")
    torch.manual_seed(0)
    config = RevGANModel(
        spatial_dims=dims,
        width=4,
        depth=20,
        core="ode",
        ode_tolerance=tolerance,
        norm="none",
        zero_init=False,
        initialisation="kaiming",
    )
    net = build_translator(config, in_channels=2, out_channels=2, scale_factor=2)
    x = torch.randn(1, 2, *[6] * dims)
    y = net(x)
    assert y.shape == (1, 2, *[12] * dims)
    assert net.inverse(y).shape == x.shape
    h = net.lift_x(x)
    assert (net.core(h) - h).abs().max() > 0.1
    torch.testing.assert_close(net.core.inverse(net.core(h)), h, rtol=0, atol=1e-3)
    assert net.norm_depends_on_window == (tolerance is not None)
    if tolerance is None:
        assert net.receptive_field == 2 * (1 + 20 * 4 * 2) + 1
    (net.inverse(y) ** 2).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ode_tolerance": 0.1}, "ode_tolerance needs core 'ode', got 0.1"),
        ({"core": "ode", "coupling": "affine"}, "core 'ode' has no coupling"),
        ({"core": "ode", "depth": 0}, "depth must be 1 or more with core 'ode', got 0"),
        ({"core": "ode", "norm": "batch"}, r"got BatchNorm3d \(1\); use instance norm"),
    ],
)
def test_a_core_that_cannot_be_built_is_said(options: dict, message: str) -> None:
    pytest.importorskip("torchdiffeq")
    with pytest.raises(ConfigError, match=message):
        small(**options)


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_forward_goes_through_the_core_and_back_through_its_inverse(coupling: str) -> None:
    """F = Dec_Y ∘ C ∘ Enc_X and G = Dec_X ∘ C⁻¹ ∘ Enc_Y, with the one core C."""
    net = randomise(small(coupling=coupling, depth=3, norm="none", scale_factor=2), 0.2).double()
    x = torch.randn(1, 6, 4, 5, 6, dtype=torch.float64)
    y = torch.randn(1, 6, 8, 10, 12, dtype=torch.float64)

    def core(h: torch.Tensor, *, back: bool) -> torch.Tensor:
        streams = h.split([net.core.split, h.shape[1] - net.core.split], 1)
        for block in reversed(net.core.blocks) if back else net.core.blocks:
            streams = block.inverse(*streams) if back else block(*streams)
        return torch.cat(streams, 1)

    there = net.squeeze.inverse(net.project_y(core(net.lift_x(x), back=False)))
    back = net.project_x(core(net.lift_y(net.squeeze(y)), back=True))
    torch.testing.assert_close(net(x), there)
    torch.testing.assert_close(net.inverse(y), back)
    turned = net.project_x(core(net.lift_y(net.squeeze(y)), back=False))
    assert not torch.allclose(net.inverse(y), turned)
