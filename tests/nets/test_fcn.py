"""FCN-8s: published size, layers, interpolation; the label images made of its scores."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from medrev.config.schema import FCN8sModel
from medrev.errors import ConfigError, InputError
from medrev.nets import FCN8s, Segmenter, build_translator
from medrev.reversible import Conv
from medrev.volumes import CITYSCAPES, upsample

from .reached import randomise, reached


def small(classes: int = 3, dims: int = 2, **options) -> FCN8s:
    options = {"width": 2, "fc_width": 3, "norm": "none", "dropout": 0} | options
    return FCN8s(FCN8sModel(spatial_dims=dims, **options), in_channels=2, classes=classes)


@pytest.mark.parametrize("classes", [19, 21])
def test_it_has_the_published_size(classes: int) -> None:
    with torch.device("meta"):
        net = FCN8s(FCN8sModel(norm="none"), in_channels=3, classes=classes)
    # By hand: VGG-16 configuration D has 14,714,688 weights and biases in its convolutions (Table
    # 2 says 138 M with the fully connected layers, of which fc8 has 4,097,000).
    widths = [3, 64, 64, 128, 128, *[256] * 3, *[512] * 6]
    vgg = sum(9 * a * b + b for a, b in pairwise(widths))
    assert vgg == 14_714_688
    fc = 49 * 512 * 4096 + 4096 + 4096 * 4096 + 4096
    assert round((vgg + fc + 4096 * 1000 + 1000) / 1e6) == 138
    scores = (4096 + 512 + 256 + 3) * classes
    upsampling = 2 * 16 * classes**2
    count = sum(p.numel() for p in net.parameters())
    assert count == vgg + fc + scores + upsampling
    assert round(count / 1e6) == 134  # Long et al., Table 1


def test_it_equals_its_layers_written_one_by_one() -> None:
    torch.manual_seed(0)
    net = randomise(small()).double()
    *convs, fc6, fc7 = [m for m in net.modules() if isinstance(m, Conv)][:15]
    x = h = torch.randn(2, 2, 32, 64, dtype=torch.float64)
    pools = []
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            conv = convs.pop(0)
            h = F.conv2d(h, conv.weight, conv.bias, padding=1).relu()
        h = F.max_pool2d(h, 2)
        pools.append(h)
    h = F.conv2d(h, fc6.weight, fc6.bias, padding=3).relu()
    h = F.conv2d(h, fc7.weight, fc7.bias).relu()
    score = {
        name: F.conv2d(source, net.scores[name].weight, net.scores[name].bias)
        for name, source in (("fc7", h), ("pool4", pools[3]), ("pool3", pools[2]))
    }
    h = score["fc7"]
    for name, skip in (("fc7", "pool4"), ("pool4", "pool3")):
        h = F.conv_transpose2d(h, net.up[name].weight, stride=2, padding=1) + score[skip]
    expected = F.interpolate(h, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_transposed_convolutions_begin_as_linear_interpolation(dims: int) -> None:
    net = small(dims=dims)
    x = torch.randn(1, 3, *[6] * dims)
    inner = (..., *[slice(1, -1)] * dims)  # beyond the border there are zeros
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])  # half-way between samples, to a quarter
    kernel = line[:, None] * line if dims == 2 else line[:, None, None] * line[:, None] * line
    for layer in net.up.values():
        assert torch.equal(layer.weight, torch.eye(3)[(...,) + (None,) * dims] * kernel)
        torch.testing.assert_close(layer(x)[inner], upsample(x, 2, "trilinear")[inner])


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("dims", [2, 3])
def test_sizes_are_kept_and_all_weights_learn(dims: int, norm: str) -> None:
    torch.manual_seed(0)
    net = small(dims=dims, norm=norm, width=4, fc_width=8)
    randomise(net.scores)
    sizes = [64, 96] if dims == 2 else [32, 32, 64]
    scores = net(torch.randn(2, 2, *sizes))
    assert scores.shape == (2, 3, *sizes)
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.scores.parameters())
    assert all(p.grad is not None for p in net.parameters())


def test_at_the_start_all_classes_are_equally_likely_and_scores_learn() -> None:
    net = small(norm="batch")
    scores = net(torch.randn(1, 2, 64, 64))
    assert not scores.any()
    F.cross_entropy(scores, torch.ones(1, 64, 64, dtype=torch.long)).backward()
    assert all(layer.weight.grad.any() for layer in net.scores.values())


def test_the_reach_of_a_voxel_is_known() -> None:
    torch.manual_seed(0)
    model = FCN8sModel(width=1, fc_width=1, norm="none", dropout=0)
    net = randomise(FCN8s(model, in_channels=1, classes=2))
    for module in net.modules():  # ReLU and maxima would hide what a voxel depends on
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(2))
    assert net.radius == reached(net)


def test_it_is_part_of_a_pipeline() -> None:
    config = FCN8sModel(width=2, fc_width=4, colours=[[0, 0, 0], [255, 0, 0], [0, 255, 51]])
    net = build_translator(config, in_channels=1, out_channels=3).eval()
    assert isinstance(net, Segmenter)
    randomise(net.net)
    x = torch.randn(2, 1, 32, 64)
    scores, image = net.logits(x), net(x)
    assert image.shape == (2, 3, 32, 64)
    found = ((image + 1) * 127.5).round().movedim(1, -1)
    assert torch.equal(found, torch.tensor(config.colours).float()[scores.argmax(1)])
    assert not net.norm_depends_on_window
    assert "palette" not in net.state_dict()
    with torch.device("meta"):
        cityscapes = build_translator(FCN8sModel(), in_channels=3, out_channels=3)
    assert cityscapes.colours == tuple(CITYSCAPES.values())


def test_what_does_not_fit_is_named() -> None:
    net = build_translator(FCN8sModel(width=2, fc_width=2), in_channels=3, out_channels=3)
    with pytest.raises(InputError, match=r"multiples of 32, got \(48, 64\)"):
        net(torch.zeros(1, 3, 48, 64))
    with pytest.raises(InputError, match="it has no inverse direction"):
        net.inverse(torch.zeros(1, 3, 32, 32))
    assert not net.has_inverse
    with pytest.raises(ConfigError, match=r"3 channels \(red, green, blue\), the data has 1"):
        build_translator(FCN8sModel(), in_channels=3, out_channels=1)
    with pytest.raises(ConfigError, match="a colour for each class is needed, got 2 for 3"):
        Segmenter(small(), [(0, 0, 0), (1, 1, 1)])
    for options, message in (
        ({"colours": [[0, 0, 0]]}, "at least 2 items"),
        ({"dropout": 1.0}, "less than 1"),
        ({"dims": 1}, "2 or 3"),
    ):
        with pytest.raises(ValidationError, match=message):
            small(**options)
