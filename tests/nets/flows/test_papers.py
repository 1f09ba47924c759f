"""The papers' networks have the papers' sizes."""

from pathlib import Path

import pytest
import torch
from torch import nn

from medrev.config import load_pipeline
from medrev.nets import Flow, Generator, translator_of
from medrev.nets.conditioning import ConvHead
from medrev.reversible import (
    AffineCoupling,
    Checkerboard,
    Coupling,
    Haar,
    OrthogonalMixing,
    ReversibleSequence,
)

PAPER = Path(__file__).parents[3] / "pipelines" / "paper"


def flow_of(name: str, *changes: str) -> Flow:
    """The flow of a shipped pipeline."""
    net = translator_of(load_pipeline(PAPER / f"{name}.yaml", changes))
    assert isinstance(net, Generator)
    return net.flow


def number_of_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def couplings(flow: Flow) -> list[int]:
    """Couplings of every sequence."""
    return [
        sum(isinstance(b, Coupling) for b in layer.blocks)
        for layer in flow.layers
        if isinstance(layer, ReversibleSequence)
    ]


@pytest.fixture(scope="module")
def celeba() -> Flow:
    torch.manual_seed(0)
    return flow_of("generative_celeba")


def test_the_celeba_network_has_60_41_million_parameters(celeba: Flow) -> None:
    expected = sum(
        4 * (9 * c * n + n + c // 2)
        for c, n in ((12, 25), (48, 50), (192, 100), (768, 200), (3072, 400))
    ) + 2 * (12288 * 400 + 400 + 6144)
    assert number_of_parameters(celeba) == expected == 60_409_572
    assert couplings(celeba) == [2, 2, 2, 2, 2, 1]
    boards = [layer for layer in celeba.layers if isinstance(layer, Checkerboard)]
    assert [b.streams for b in boards] == [1, 2, 2, 2, 2, 2]
    assert celeba.latent_shapes == [(12288, 1, 1)]


def test_its_inverse_error_is_below_one_millionth(celeba: Flow) -> None:
    y = 2 * torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 1
    with torch.no_grad():
        z = celeba.encode(y)
        assert (celeba.decode(z) - y).abs().mean() <= 1e-6
        for layer in celeba.layers:
            if isinstance(layer, ReversibleSequence):
                layer.exact = True
        on_grid = (y * 2**16).round() / 2**16
        assert torch.equal(celeba.decode(celeba.encode(on_grid)), on_grid)


def test_the_block_is_that_of_the_paper(celeba: Flow) -> None:
    block = celeba.layers[1].blocks[0]
    x1, x2 = torch.randn(2, 1, 6, 8, 8)
    y1, y2 = block(x1, x2)
    torch.testing.assert_close(y1, block.f(x1) + x2)
    torch.testing.assert_close(y2, block.g(y1) + x1)
    conv, _, relu, last = block.f
    assert (conv.kernel_size, conv.padding_mode, last.kernel_size) == ((3, 3), "zeros", (3, 3))
    assert isinstance(relu, nn.ReLU)
    assert celeba.layers[-1].blocks[0].f[0].kernel_size == (1, 1)


def test_the_sub_sampling_takes_the_positions_of_the_authors_code_in_each_half(
    celeba: Flow,
) -> None:
    """(0,0), (1,1) | (0,1), (1,0), and later the same order for each half by itself."""
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert celeba.layers[0](x.expand(1, 3, 2, 2))[0, ::3].flatten().tolist() == [0, 3, 1, 2]
    halves = torch.cat([x, x + 4], 1)
    assert celeba.layers[2](halves).flatten().tolist() == [0, 3, 1, 2, 4, 7, 5, 6]


def test_the_mnist_network_of_optimal_transport_has_2_11_million_parameters() -> None:
    flow = flow_of("generative_mnist_ot")
    assert number_of_parameters(flow) == 2_108_180
    assert (flow.dimensions, flow.latent_shapes) == (1024, [(256, 2, 2)])
    assert couplings(flow) == [2, 2, 2, 2]


def test_the_cinn_of_mnist_is_24_fully_connected_couplings_told_the_class() -> None:
    # the rotations have no parameters, but take time
    flow = flow_of("cinn_mnist", "model.mixing=permutation")
    half, told, hidden = 784 // 2, 10, 512
    net = (half + told) * hidden + hidden + hidden * 2 * half + 2 * half
    assert number_of_parameters(flow) == 24 * 2 * net == 29_209_344
    assert couplings(flow) == [24]
    assert flow.condition_shape == (10,)
    block = flow.layers[1].blocks[1]
    assert isinstance(block, AffineCoupling)
    assert (block.clamp, block.clamp_form) == (1.9, "cinn")
    stages = "model.stages=[{squeeze: flatten, couplings: 2, hidden: 8}]"
    small = flow_of("cinn_mnist", "data.crop_size=8", "data.classes=3", stages)
    assert isinstance(small.layers[1].blocks[0], OrthogonalMixing)
    y = torch.randn(2, 1, 8, 8)
    assert small.log_prob(y, torch.eye(3)[:2]).shape == (2,)


def test_the_cinn_of_imagenet_has_the_stages_and_heads_of_figure_8() -> None:
    flow = flow_of("cinn_imagenet_colour")
    assert couplings(flow) == [4, 6, 6, 6, 8]
    assert flow.latent_shapes == [(16, 16, 16), (32, 8, 8), (96, 4, 4), (512,)]
    assert flow.condition_shape == (1, 256, 256)
    assert sum(isinstance(layer, Haar) for layer in flow.layers) == 4
    heads = [b.head for s in flow.layers for b in getattr(s, "blocks", ()) if hasattr(b, "head")]
    assert len(set(heads)) == 30
    strided = [sum(layer.stride == (2, 2) for layer in head if hasattr(layer, "stride"))
               for head in heads]  # fmt: skip
    assert strided == [0] * 4 + [1] * 6 + [2] * 6 + [3] * 6 + [5] * 8  # "up to five"
    shape = flow.conditioner.to("meta")(torch.empty(2, 1, 256, 256, device="meta")).shape
    assert tuple(shape) == (2, 256, 64, 64)


@pytest.mark.parametrize(
    ("ablation", "count"), [("", 18), ("_no_conditioner", 0), ("_no_haar", 18)]
)
def test_the_smaller_cinn_of_lsun_trains_and_samples(ablation: str, count: int) -> None:
    """Without h, with another squeeze: the ablations of figures 10 and 16."""
    torch.manual_seed(0)
    flow = flow_of(f"cinn_lsun_colour{ablation}", "data.crop_size=32")
    heads = [m for m in flow.modules() if isinstance(m, ConvHead)]
    assert len(heads) == count
    y, condition = torch.randn(2, 2, 32, 32), torch.randn(2, 1, 32, 32)
    (-flow.log_prob(y, condition).mean()).backward()
    assert all(p.grad.isfinite().all() for p in flow.parameters() if p.grad is not None)
    assert flow.sample(3, condition).shape == (2, 3, 2, 32, 32)


def test_the_ablation_of_the_clamp_has_none() -> None:
    block = flow_of("cinn_lsun_colour_no_clamp", "data.crop_size=16").layers[0].blocks[1]
    assert isinstance(block, AffineCoupling)
    assert block.clamp is None
