"""RevGAN: published sizes, shapes of both directions, reach, and what normalisation does."""

import itertools

import pytest
import torch
from pydantic import ValidationError

from medrev.config.schema import Discriminator, RevGANModel
from medrev.errors import ConfigError, InputError
from medrev.nets import PatchGAN, RevGAN, SubNetwork, Translator, build_translator, evaluating
from medrev.reversible import AffineCoupling, stock_operations
from medrev.volumes.resample import block_mean, upsample

from .reached import randomise
from .small import small

PAPER_2D = {
    "spatial_dims": 2,
    "downsamplings": 2,
    "lift_kernel": 7,
    "project_kernel": 7,
    "final_activation": "tanh",
    "subnet_final_norm": True,
    "zero_init": False,
}


def in_2d(**options: object) -> RevGAN:
    return small(in_channels=3, out_channels=3, **PAPER_2D, **options)


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
