"""Translators made of one-way networks."""

import pytest
import torch

from medrev.config.schema import InvolutionModel, ResNetModel, SelfInverseUNetModel, UNetModel
from medrev.errors import ConfigError
from medrev.nets import Pair, ResNet, SelfInverse, UNet, build_translator


def unet(a: int, b: int, **options: object) -> UNet:
    model = UNetModel(**({"spatial_dims": 2, "width": 2, "levels": 2} | options))
    return UNet(model, in_channels=a, out_channels=b)


def resnet(**options: object) -> ResNet:
    return ResNet(ResNetModel(spatial_dims=2, width=2, **options), in_channels=1, out_channels=1)


def test_a_pair_shares_nothing_between_its_directions() -> None:
    pair = Pair(unet(1, 3), unet(3, 1))
    pair(torch.randn(1, 1, 8, 8)).square().sum().backward()
    assert all(p.grad is not None for p in pair.net_y.parameters())
    assert all(p.grad is None for p in pair.net_x.parameters())
    pair.inverse(torch.randn(1, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None for p in pair.net_x.parameters())


def test_a_pair_reaches_as_far_as_the_farther_of_its_networks() -> None:
    near = resnet(depth=0, norm="none")
    far = resnet(depth=3)
    for pair in (Pair(near, far), Pair(far, near)):
        assert pair.receptive_field == 2 * far.radius + 1
        assert pair.norm_depends_on_window
        assert pair.size_multiple == 4


def test_networks_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must have .* in common"):
        Pair(unet(1, 3), unet(1, 3))
    with pytest.raises(ConfigError, match=r"must have .* in common"):
        Pair(unet(1, 3), unet(3, 1, levels=3))


def test_both_directions_of_a_self_inverse_network_are_one_function() -> None:
    net = SelfInverse(unet(2, 2)).eval()
    x = torch.randn(1, 2, 8, 8)
    assert torch.equal(net(x), net.inverse(x))
    assert net.receptive_field == 2 * net.net.radius + 1


@pytest.mark.parametrize("config", [SelfInverseUNetModel(), InvolutionModel()])
def test_a_self_inverse_network_needs_equal_channels(config: object) -> None:
    with pytest.raises(ConfigError, match="as many input as output channels, got 1 and 3"):
        build_translator(config, in_channels=1, out_channels=3)
