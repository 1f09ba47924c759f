"""CycleGAN's generator: published sizes, both dimensions, reach."""

import pytest
import torch
from pydantic import ValidationError

from medrev.config.schema import ResNetModel
from medrev.errors import ConfigError, InputError
from medrev.nets import Pair, ResNet, build_translator

from .reached import randomise, reached

IMAGES = {"final_activation": "tanh"}


def resnet(inputs: int = 1, outputs: int = 1, **options: object) -> ResNet:
    model = ResNetModel(**({"spatial_dims": 2} | options))
    return ResNet(model, in_channels=inputs, out_channels=outputs)


@pytest.mark.parametrize(("depth", "millions"), [(6, "3.9"), (9, "5.7")])
def test_the_pair_has_the_published_number_of_parameters(depth: int, millions: str) -> None:
    """RevGAN's Tables 2 and 4: both directions of the CycleGAN and Pix2pix baselines."""
    config = ResNetModel(spatial_dims=2, depth=depth, final_activation="tanh")
    with torch.device("meta"):
        net = build_translator(config, in_channels=3, out_channels=3)
    assert isinstance(net, Pair)
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f}" == millions


def test_the_generator_of_cyclegan_has_11_378_million_parameters() -> None:
    """As the authors' code prints it: width 64, nine blocks."""
    with torch.device("meta"):
        net = resnet(3, 3, width=64, depth=9, **IMAGES)
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f}" == "11.378"


def test_it_equals_cyclegans_layers_written_with_pytorchs_own() -> None:
    nn = torch.nn
    torch.manual_seed(0)
    net = resnet(3, 3, width=2, depth=1, downsamplings=1, downsampling_padding="zeros", **IMAGES)
    first, strided, a, b, up, last = [m for m in net.modules() if hasattr(m, "weight")]

    def norm(x: torch.Tensor) -> torch.Tensor:
        return nn.functional.instance_norm(x)

    def reflected(x: torch.Tensor, amount: int) -> torch.Tensor:
        return nn.functional.pad(x, [amount] * 4, mode="reflect")

    conv = nn.functional.conv2d
    x = torch.randn(1, 3, 12, 12)
    h = norm(conv(reflected(x, 3), first.weight, first.bias)).relu()
    h = norm(conv(h, strided.weight, strided.bias, stride=2, padding=1)).relu()
    inner = norm(conv(reflected(h, 1), a.weight, a.bias)).relu()
    h = h + norm(conv(reflected(inner, 1), b.weight, b.bias))
    h = nn.functional.conv_transpose2d(h, up.weight, up.bias, stride=2, padding=1, output_padding=1)
    h = conv(reflected(norm(h).relu(), 3), last.weight, last.bias).tanh()
    torch.testing.assert_close(net(x), h)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("upsampling", ["transposed", "subpixel", "nearest", "trilinear"])
@pytest.mark.parametrize("downsampling", ["strided", "subpixel"])
def test_every_way_of_resampling_keeps_the_grid_and_learns(
    dims: int, downsampling: str, upsampling: str
) -> None:
    net = resnet(
        1,
        2,
        spatial_dims=dims,
        width=2,
        depth=1,
        downsamplings=1,
        downsampling=downsampling,
        upsampling=upsampling,
        norm="batch",
    )
    sizes = [6, 8, 10][:dims]
    y = net(torch.randn(2, 1, *sizes))
    assert y.shape == (2, 2, *sizes)
    y.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("upsampling", ["transposed", "subpixel", "nearest", "trilinear"])
@pytest.mark.parametrize("downsampling", ["strided", "subpixel"])
def test_the_radius_is_how_far_gradients_reach(downsampling: str, upsampling: str) -> None:
    net = resnet(
        width=2,
        depth=1,
        downsamplings=2,
        lift_kernel=3,
        project_kernel=3,
        norm="none",
        padding="zeros",
        downsampling=downsampling,
        upsampling=upsampling,
    )
    for layer in net.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.forward = torch.nn.functional.softplus  # closes no path
    assert reached(randomise(net)) == net.radius


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValidationError, match="'transposed', 'subpixel', 'nearest' or 'trilinear'"):
        resnet(upsampling="cubic")
    with pytest.raises(ValidationError, match="'strided' or 'subpixel'"):
        resnet(downsampling="max")
    net = resnet(width=2)
    with pytest.raises(InputError, match=r"multiples of 4, got \(8, 10\)"):
        net(torch.zeros(1, 1, 8, 10))
    with pytest.raises(InputError, match=r"takes \(B, 1, I, J\), got shape \(1, 3, 8, 8\)"):
        net(torch.zeros(1, 3, 8, 8))


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'resnet' needs input and output on one grid.*target"):
        build_translator(ResNetModel(), in_channels=6, out_channels=6, scale_factor=2)
