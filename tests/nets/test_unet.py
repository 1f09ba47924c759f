"""pix2pix's U-Net: published sizes, layers, skips."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from medrev.config.schema import SelfInverseUNetModel, UNetModel
from medrev.errors import InputError
from medrev.nets import Pair, SelfInverse, UNet, build_translator

from .reached import randomise, reached


def unet(inputs: int = 1, outputs: int = 1, **options: object) -> UNet:
    model = UNetModel(**({"spatial_dims": 2} | options))
    return UNet(model, in_channels=inputs, out_channels=outputs)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("levels", "millions"), [(8, "54.41"), (7, "41.83")])
def test_it_has_the_size_that_pix2pixs_code_prints(levels: int, millions: str) -> None:
    with torch.device("meta"):
        net = unet(3, 3, levels=levels)
    assert f"{count(net) / 1e6:.2f}" == millions


def test_one_self_inverse_network_has_half_the_parameters_of_a_pair() -> None:
    options = {"spatial_dims": 2, "levels": 8, "final_activation": "tanh"}
    with torch.device("meta"):
        one = build_translator(SelfInverseUNetModel(**options), in_channels=1, out_channels=1)
        two = build_translator(UNetModel(**options), in_channels=1, out_channels=1)
    assert isinstance(one, SelfInverse)
    assert isinstance(two, Pair)
    # By hand: 4 × 4 kernels of the widths in section 3 of the paper, a scale and a shift for each
    # normalised channel, a bias where nothing is normalised.
    down = [1, 64, 128, 256, 512, 512, 512, 512, 512]
    up = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 1)]
    kernels = sum(16 * a * b for a, b in pairwise(down))
    kernels += sum(16 * a * b for a, b in up)
    normalised = 2 * (sum(down[2:8]) + sum(b for _, b in up[:7]))
    biases = 64 + 512 + 1
    assert count(one) == kernels + normalised + biases
    assert count(two) == 2 * count(one)


def test_it_equals_its_layers_written_one_by_one() -> None:
    torch.manual_seed(0)
    net = unet(2, width=2, levels=3, norm="instance")
    d0, d1, d2, u2, u1, u0 = [m for m in net.modules() if hasattr(m, "weight")]

    def down(x: torch.Tensor, m: nn.Module) -> torch.Tensor:
        return F.conv2d(x, m.weight, m.bias, stride=2, padding=1)

    def up(x: torch.Tensor, m: nn.Module) -> torch.Tensor:
        return F.conv_transpose2d(x.relu(), m.weight, m.bias, stride=2, padding=1)

    x = torch.randn(2, 2, 16, 24)
    a = down(x, d0)
    b = F.instance_norm(down(F.leaky_relu(a, 0.2), d1))
    c = down(F.leaky_relu(b, 0.2), d2)
    y = F.instance_norm(up(c, u2))
    y = F.instance_norm(up(torch.cat([b, y], 1), u1))
    torch.testing.assert_close(net(x), up(torch.cat([a, y], 1), u0))


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("dims", "levels"), [(2, 1), (2, 4), (3, 3)])
def test_both_dimensions_keep_the_grid_down_to_one_voxel(dims: int, levels: int, norm: str) -> None:
    net = unet(1, 2, spatial_dims=dims, width=2, levels=levels, norm=norm)
    sizes = [2**levels] * dims
    y = net(torch.randn(1, 1, *sizes))
    assert y.shape == (1, 2, *sizes)
    y.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_radius_is_how_far_gradients_reach(levels: int) -> None:
    net = unet(width=2, levels=levels, norm="none")
    for layer in net.modules():
        if isinstance(layer, nn.ReLU):
            layer.forward = F.softplus  # closes no path
    assert reached(randomise(net)) == net.radius


def test_dropout_is_in_the_three_coarsest_decoder_layers_and_off_in_eval() -> None:
    net = unet(width=4, levels=5, dropout=0.5)
    assert [any(isinstance(m, nn.Dropout) for m in layer) for layer in net.up] == [
        True,
        True,
        True,
        False,
        False,
    ]
    randomise(net)
    x = torch.randn(1, 1, 64, 64)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_only_instance_norm_depends_on_the_window() -> None:
    kinds = {
        norm: unet(width=2, norm=norm).norm_depends_on_window
        for norm in ("batch", "instance", "none")
    }
    assert kinds == {"batch": False, "instance": True, "none": False}


def test_what_does_not_fit_is_named() -> None:
    net = unet(width=2, levels=8)
    with pytest.raises(InputError, match=r"multiples of 256, got \(240, 240\)"):
        net(torch.zeros(1, 1, 240, 240))
    for options, message in (
        ({"levels": 0}, "greater than or equal to 1"),
        ({"dropout": 1.0}, "less than 1"),
        ({"final_activation": "relu"}, "'none' or 'tanh'"),
        ({"spatial_dims": 1}, "2 or 3"),
    ):
        with pytest.raises(ValidationError, match=message):
            unet(**options)
