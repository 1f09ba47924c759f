"""Conditioning networks and heads have the sizes that they are built for."""

import pytest
import torch

from medrev.errors import ConfigError
from medrev.nets import ConditioningNet, FeatureStage, zhang_features
from medrev.nets.conditioning import ConvHead, ResizeHead


def test_the_network_of_zhang_quarters_the_edge_and_gives_256_features() -> None:
    net = zhang_features().to("meta")
    x = torch.empty(2, 1, 256, 256, device="meta")
    assert net(x).shape == (2, 256, 64, 64)
    sizes = [tuple(m.weight.shape[:2]) for m in net if getattr(m, "weight", None) is not None
             and m.weight.dim() == 4]  # fmt: skip
    assert len(sizes) == 21
    assert sizes[0] == (64, 1)
    assert sizes[-2:] == [(512, 256), (256, 256)]  # a transposed convolution names its input first
    assert {m.dilation for m in net if hasattr(m, "dilation")} == {(1, 1), (2, 2)}


@pytest.mark.parametrize("dims", [2, 3])
def test_a_small_network_of_any_dimension(dims: int) -> None:
    stages = [
        FeatureStage(width=4, convolutions=1, stride=2),
        FeatureStage(width=6, dilation=2),
        FeatureStage(width=5, convolutions=1, upsample=True),
    ]
    net = ConditioningNet(dims, 2, stages, norm="instance")
    y = net(torch.randn(1, 2, *[8] * dims))
    assert y.shape == (1, 5, *[8] * dims)
    assert net.out_channels == 5
    y.sum().backward()
    with pytest.raises(ConfigError, match="at least one stage"):
        ConditioningNet(dims, 2, [])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_heads_halve_the_size_level_by_level(dims: int, levels: int) -> None:
    c = torch.randn(2, 3, *[8] * dims)
    head = ConvHead(dims, 3, 5, levels=levels)
    assert head(c).shape == (2, 5, *[8 // 2**levels] * dims)
    vector = ConvHead(dims, 3, 5, levels=levels, vector=True)
    assert vector(c).shape == (2, 5)


def test_a_head_without_parameters_leaves_vectors_alone() -> None:
    c = torch.randn(2, 3)
    assert torch.equal(ResizeHead((4, 4))(c), c)
