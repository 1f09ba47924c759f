"""RevGAN: published sizes, shapes of both directions, reach, and what normalisation does."""

import itertools

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from medrev.config.schema import Discriminator, RevGANModel
from medrev.errors import ConfigError, InputError
from medrev.nets import (
    PatchGAN,
    RevGAN,
    SubNetwork,
    Translator,
    build_translator,
    evaluating,
)
from medrev.reversible import AffineCoupling, stock_operations
from medrev.volumes.resample import Factor, block_mean, per_axis, upsample

PAPER_2D = {
    "spatial_dims": 2,
    "downsamplings": 2,
    "lift_kernel": 7,
    "project_kernel": 7,
    "final_activation": "tanh",
    "subnet_final_norm": True,
    "zero_init": False,
}


def small(
    *, in_channels: int = 6, out_channels: int = 6, scale_factor: Factor = 1, **options: object
) -> RevGAN:
    torch.manual_seed(0)
    model = RevGANModel(**({"width": 4, "depth": 2} | options))
    return RevGAN(
        model, in_channels=in_channels, out_channels=out_channels, scale_factor=scale_factor
    )


def in_2d(**options: object) -> RevGAN:
    return small(in_channels=3, out_channels=3, **PAPER_2D, **options)


def randomise(net: nn.Module, std: float = 0.3) -> nn.Module:
    """Leave the identity at which a zero-initialised core starts."""
    for p in net.parameters():
        nn.init.normal_(p, 0, std)
    return net


@pytest.mark.parametrize(
    ("width", "depth", "millions"),
    [(32, 6, "1.274"), (56, 6, "3.875"), (32, 9, "1.718"), (58, 9, "5.610"), (64, 9, "6.827")],
)
def test_the_2d_generator_has_the_published_number_of_parameters(
    width: int, depth: int, millions: str
) -> None:
    with torch.device("meta"):
        net = in_2d(width=width, depth=depth)
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f}" == millions


def test_the_3d_baseline_is_srcnn() -> None:
    net = small(width=32, depth=0)
    one_way = (6 * 27 * 32 + 32) + (32 * 6 + 6)
    assert sum(p.numel() for p in net.parameters()) == 2 * one_way
    assert [type(m).__name__ for m in net.lift_x] == ["Conv", "InstanceNorm", "ReLU"]


@pytest.mark.parametrize(
    ("dims", "downsamplings", "scale", "variant"),
    [
        (2, 2, 1, "additive instance reflect"),
        (2, 1, 2, "affine batch replicate"),
        (3, 0, 1, "additive instance reflect"),
        (3, 0, 2, "affine none zeros"),
        (3, 1, 3, "additive batch reflect"),
    ],
)
def test_both_directions_keep_their_grids_and_every_parameter_learns(
    dims: int, downsamplings: int, scale: int, variant: str
) -> None:
    coupling, norm, padding = variant.split()
    net = small(
        spatial_dims=dims,
        in_channels=2,
        out_channels=3,
        downsamplings=downsamplings,
        scale_factor=scale,
        coupling=coupling,
        norm=norm,
        padding=padding,
        zero_init=False,
    )
    coarse = [8, 12, 8][:dims]
    x, y = torch.randn(2, 2, *coarse), torch.randn(2, 3, *[scale * n for n in coarse])
    assert net(x).shape == y.shape
    assert net.inverse(y).shape == x.shape
    (net(x).square().sum() + net.inverse(y).square().sum()).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("factor", [(1, 1, 4), (2, 1, 3)])
def test_the_grids_may_differ_by_a_factor_for_each_axis(factor: tuple[int, ...]) -> None:
    options = {"scale_factor": factor, "norm": "none"}
    net, plain = small(global_residual="cubic", **options), small(**options)
    plain.load_state_dict(net.state_dict())
    x = torch.randn(1, 6, 5, 6, 4)
    y = torch.randn(1, 6, *[n * r for n, r in zip((5, 6, 4), factor, strict=True)])
    assert net(x).shape == y.shape
    torch.testing.assert_close(net(x) - plain(x), upsample(x, factor, "cubic"))
    torch.testing.assert_close(net.inverse(y) - plain.inverse(y), block_mean(y, factor))
    with pytest.raises(InputError, match="multiples of"):
        net.inverse(y[..., :-1])


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


@pytest.mark.parametrize("lift_norm", [True, False])
def test_noise_is_drawn_in_training_is_none_in_use_and_a_convolution_apart(lift_norm) -> None:
    """F(x, z): with z of 0 the network without noise; with z, its features plus those of z."""
    options = {"spatial_dims": 2, "zero_init": False, "lift_norm": lift_norm}
    net, plain = small(noise_channels=2, **options), small(**options)
    plain.load_state_dict(
        {
            name: value[:, :6] if name.startswith("lift") and value.dim() > 1 else value
            for name, value in net.state_dict().items()
        }
    )
    x = torch.randn(2, 6, 8, 8)
    for run, expected in ((net, plain), (net.inverse, plain.inverse)):
        assert not torch.allclose(run(x), run(x), atol=1e-6)
        net.eval()
        torch.testing.assert_close(run(x), expected(x))
        with evaluating(net, as_trained=True):
            assert not torch.allclose(run(x), run(x), atol=1e-6)
        net.train()
    first = net.lift_x[0]
    torch.manual_seed(3)
    with_noise = first(x)
    torch.manual_seed(3)
    z = torch.randn(2, 2, 8, 8)
    alone = torch.nn.functional.pad(z, [1] * 4, mode="reflect")
    added = torch.nn.functional.conv2d(alone, first.weight[:, 6:])
    torch.testing.assert_close(with_noise, plain.lift_x[0](x) + added)
    net(x).square().mean().backward()
    assert first.weight.grad[:, 6:].abs().max() > 0


def test_inverse_runs_through_call_so_that_hooks_see_it() -> None:
    net, seen = small(), []
    net.register_forward_hook(lambda *_: seen.append(1))
    x = torch.randn(1, 6, 4, 4, 4)
    net.inverse(net(x))
    assert len(seen) == 2
    assert torch.equal(net(x, inverse=True), net.inverse(x))


def test_a_zero_initialised_core_starts_as_the_identity_and_weights_are_small() -> None:
    net = small(depth=3)
    h = torch.randn(1, 4, 5, 5, 5)
    assert torch.equal(net.core(h), h)
    subnet = net.core.blocks[0].f
    assert not subnet.last_conv.weight.any()
    assert 0.01 < subnet[0].weight.std() < 0.03
    assert not subnet[0].bias.any()
    assert small(zero_init=False).core.blocks[0].f.last_conv.weight.any()


@pytest.mark.parametrize("mode", ["nearest", "trilinear", "cubic"])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_global_residual_is_the_interpolation_and_the_block_mean(scale: int, mode: str) -> None:
    net, plain = small(scale_factor=scale, global_residual=mode), small(scale_factor=scale)
    plain.load_state_dict(net.state_dict())
    x = torch.randn(1, 6, 5, 6, 4)
    y = torch.randn(1, 6, *[scale * n for n in (5, 6, 4)])
    torch.testing.assert_close(net(x) - plain(x), upsample(x, scale, mode))
    torch.testing.assert_close(net.inverse(y) - plain.inverse(y), block_mean(y, scale))


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 0},
        {"depth": 2, "lift_kernel": 5, "project_kernel": 3},
        {"depth": 1, "scale_factor": 2, "global_residual": "cubic"},
        {"depth": 0, "lift_kernel": 1, "scale_factor": 2, "global_residual": "cubic"},
        {"depth": 1, "downsamplings": 1},
        {"depth": 1, "downsamplings": 2, "lift_kernel": 7, "project_kernel": 7},
    ],
)
@pytest.mark.parametrize("inverse", [False, True])
def test_a_voxel_depends_on_nothing_outside_the_receptive_field(
    options: dict, inverse: bool
) -> None:
    """The gradient of one output voxel vanishes further away than half the receptive field."""
    net = randomise(small(spatial_dims=2, norm="none", padding="zeros", **options)).double()
    scale = net.scale_factor
    radius, cell = net.receptive_field // 2, net.size_multiple
    length = cell * -(-(2 * radius + 2 * cell) // cell)
    start = cell * (length // cell // 2)
    reach = 0
    for voxel in range(start, start + cell):
        size = length * scale if inverse else length
        x = torch.randn(1, 6, size, size, dtype=torch.float64, requires_grad=True)
        out = net.inverse(x) if inverse else net(x)
        ratio = out.shape[-1] / length
        at = int(voxel * ratio)
        out[..., at, at].sum().backward()
        touched = x.grad.abs().sum((0, 1, 2)).nonzero()[:, 0]
        if inverse:
            touched = touched // scale
        reach = max(reach, voxel - int(touched.min()), int(touched.max()) - voxel)
    assert reach <= radius
    limited_by_residual = inverse and options == {
        "depth": 0,
        "lift_kernel": 1,
        "scale_factor": 2,
        "global_residual": "cubic",
    }
    if "downsamplings" not in options and not limited_by_residual:
        assert reach == radius


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_only_instance_norm_depends_on_the_window_in_eval(norm: str) -> None:
    net = randomise(small(spatial_dims=2, norm=norm, padding="zeros", depth=1))
    net(torch.randn(4, 6, 16, 16))  # gathers statistics
    net.eval()
    halo = net.receptive_field // 2
    x = torch.randn(1, 6, 40, 40)
    with torch.no_grad():
        whole = net(x)[..., 12:28, 12:28]
        tile = net(x[..., 12 - halo : 28 + halo, 12 - halo : 28 + halo])
    tile = tile[..., halo:-halo, halo:-halo]
    assert torch.allclose(whole, tile, atol=1e-4) != net.norm_depends_on_window


def test_fast_and_stock_operations_agree_through_the_whole_net() -> None:
    net = randomise(small(scale_factor=2, global_residual="cubic", depth=2), 0.1)
    x = torch.randn(1, 6, 6, 7, 8)
    y = net(x)
    y.square().sum().backward()
    ours = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    net.zero_grad()
    with stock_operations():
        reference = net(x)
        reference.square().sum().backward()
    theirs = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(y, reference, rtol=1e-4, atol=1e-4)
    assert (ours - theirs).norm() < 1e-3 * theirs.norm()


def test_kaiming_keeps_the_variance_and_starts_projections_small() -> None:
    net = small(width=64, depth=1, initialisation="kaiming")
    assert net.core.blocks[0].f[0].weight.std().item() == pytest.approx((2 / 864) ** 0.5, rel=0.05)
    for project in (net.project_y, net.project_x):
        assert project[-1].weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not net.core.blocks[0].f.last_conv.weight.any()


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


def test_the_public_codes_variants_can_be_built() -> None:
    net = small(padding="replicate", lift_norm=False, norm="batch")
    assert len(net.lift_x) == 1
    net = in_2d(width=4, depth=1, downsampling_padding="zeros")
    assert [c.padding_mode for c in net.lift_x if hasattr(c, "padding_mode")] == [
        "reflect",
        "zeros",
        "zeros",
    ]
    assert net(torch.randn(1, 3, 16, 16)).abs().max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_channels": 3, "global_residual": "cubic"}, "as many input as output channels"),
        ({"subnet_final_norm": True}, "zero_init and subnet_final_norm exclude each other"),
    ],
)
def test_contradictions_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 4}, "2 or 3"),
        ({"coupling": "other"}, "'additive' or 'affine'"),
        ({"norm": "layer"}, "'instance', 'batch' or 'none'"),
        ({"padding": "wrap"}, "'reflect', 'replicate' or 'zeros'"),
        ({"initialisation": "zeros"}, "'normal' or 'kaiming'"),
        ({"lift_kernel": 4}, "1, 3, 5 or 7"),
        ({"core": "other"}, "'reversible' or 'ode'"),
        ({"consistency": "nearly"}, "'none', 'exact' or 'learnt'"),
    ],
)
def test_values_that_are_not_listed_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        small(**options)


def test_inputs_that_do_not_fit_are_named() -> None:
    net = small(downsamplings=1, scale_factor=2)
    with pytest.raises(InputError, match=r"takes \(B, 6, I, J, K\), got shape \(1, 5, 4, 4, 4\)"):
        net(torch.zeros(1, 5, 4, 4, 4))
    with pytest.raises(InputError, match=r"multiples of 2, got \(4, 5, 4\)"):
        net(torch.zeros(1, 6, 4, 5, 4))
    with pytest.raises(InputError, match=r"multiples of 4, got \(8, 6, 8\)"):
        net.inverse(torch.zeros(1, 6, 8, 6, 8))


def test_a_pipeline_section_builds_its_translator() -> None:
    config = RevGANModel(width=4, depth=1, coupling="affine", norm="none", hidden=3)
    net = build_translator(config, in_channels=6, out_channels=6, scale_factor=2)
    assert isinstance(net, Translator)
    assert isinstance(net.core.blocks[0], AffineCoupling)
    assert net.core.blocks[0].f[0].out_channels == 3
    assert net.scale_factor == 2


@pytest.mark.parametrize("kind", ["additive", "affine"])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_every_model_section_can_be_built(kind: str, norm: str) -> None:
    for dims, padding, residual in itertools.product(
        (2, 3), ("reflect", "replicate", "zeros"), ("none", "nearest")
    ):
        config = RevGANModel(
            spatial_dims=dims,
            width=4,
            depth=1,
            coupling=kind,
            norm=norm,
            padding=padding,
            global_residual=residual,
        )
        net = build_translator(config, in_channels=2, out_channels=2, scale_factor=1)
        x = torch.randn(1, 2, *[4] * dims)
        assert net.inverse(net(x)).shape == x.shape


def test_a_subnetwork_maps_between_streams_of_any_width() -> None:
    net = SubNetwork(3, 2, 5, hidden=3, final_norm=True, norm="batch", zero_init=False)
    assert net(torch.randn(1, 2, 4, 5, 6)).shape == (1, 5, 4, 5, 6)
    assert net.last_conv.bias is None


def test_a_pipeline_section_builds_its_discriminator() -> None:
    critic = PatchGAN(Discriminator(width=4, strided_layers=1), in_channels=12)
    assert critic(torch.randn(1, 12, 8, 8, 8)).shape == (1, 1, 2, 2, 2)


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
