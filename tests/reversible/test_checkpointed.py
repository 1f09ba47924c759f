"""Checkpointing changes the memory of a module and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible import AdditiveCoupling, Checkpointed, ReversibleSequence


def block(channels: int = 4, *, extra: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), extra or nn.Identity(), nn.Tanh()
    )


def chain(length: int, **options: object) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[block(**options) for _ in range(length)]).double()


def image(channels: int = 4) -> Tensor:
    return torch.linspace(-1, 1, 2 * channels * 36).reshape(2, channels, 6, 6).double()


def gradients(module: nn.Module, x: Tensor, *, seed: int = 1) -> list[Tensor]:
    x = x.detach().requires_grad_()
    torch.manual_seed(seed)
    return list(torch.autograd.grad((module(x) ** 2).sum(), [x, *module.parameters()]))


def assert_same(actual: list[Tensor], expected: list[Tensor]) -> None:
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a, e)


@pytest.mark.parametrize("segments", [None, 1, 2, 7])
def test_gradients_are_those_of_the_module(segments: int | None) -> None:
    layers = chain(7)
    module = Checkpointed(layers, segments=segments)
    assert torch.equal(module(image()), layers(image()))
    assert_same(gradients(module, image()), gradients(layers, image()))


@pytest.mark.parametrize(
    ("length", "segments", "lengths"),
    [(9, None, [3, 3, 3]), (10, None, [2, 3, 2, 3]), (1, None, [1]), (5, 5, [1] * 5), (5, 1, [5])],
)
def test_a_chain_is_cut_into_about_equal_segments(
    length: int, segments: int | None, lengths: list[int]
) -> None:
    assert Checkpointed(chain(length), segments=segments).lengths == lengths


def retained(module: nn.Module) -> int:
    """Bytes saved for backward, parameters apart."""
    own = {p.data_ptr() for p in module.parameters()}
    total = 0

    def pack(t: Tensor) -> Tensor:
        nonlocal total
        total += t.numel() * t.element_size() * (t.data_ptr() not in own)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _ = module(image().requires_grad_())
    return total


def test_memory_grows_with_the_square_root_of_the_depth() -> None:
    stream = image().numel() * image().element_size()
    for depth, segments in ((4, 2), (16, 4), (64, 8)):
        assert retained(Checkpointed(chain(depth))) == segments * stream
    assert retained(chain(64)) >= 64 * stream


def test_backward_makes_the_activations_of_one_segment_at_a_time() -> None:
    layers, order = chain(4), []
    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda *_, i=index: order.append(i))
    y = Checkpointed(layers, segments=2)(image())
    assert order == [0, 1, 2, 3]
    y.sum().backward()
    assert order == [0, 1, 2, 3, 2, 3, 0, 1]


def test_without_gradients_every_layer_is_evaluated_once() -> None:
    layers, calls = chain(3), []
    layers[1].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        Checkpointed(layers)(image())
    assert len(calls) == 1


def test_dropout_uses_the_same_mask_and_leaves_the_random_state_alone() -> None:
    layers = chain(4, extra=nn.Dropout(0.5))
    module = Checkpointed(layers)
    assert_same(gradients(module, image()), gradients(layers, image()))
    y = module(image()).sum()
    state = torch.get_rng_state()
    y.backward()
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_norm_statistics_are_updated_once_a_step() -> None:
    layers = chain(4, extra=nn.BatchNorm2d(4))
    plain = copy.deepcopy(layers)
    module = Checkpointed(layers)
    for _ in range(2):
        assert_same(gradients(module, image()), gradients(plain, image()))
    for ours, theirs in zip(layers.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_spectral_norm_is_replayed_exactly() -> None:
    layers = chain(4)
    for layer in layers:
        nn.utils.parametrizations.spectral_norm(layer[0])
    plain = copy.deepcopy(layers)
    module = Checkpointed(layers)
    for _ in range(2):
        assert_same(gradients(module, image()), gradients(plain, image()))
    for ours, theirs in zip(layers.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_one_graph_can_be_walked_twice() -> None:
    layers = chain(4, extra=nn.BatchNorm2d(4))
    x = image().requires_grad_()
    y = (Checkpointed(layers)(x) ** 2).sum()
    first = torch.autograd.grad(y, x, retain_graph=True)
    second = torch.autograd.grad(y, x)
    assert_same(list(first), list(second))


def test_autocast_is_that_of_the_forward_pass() -> None:
    layers = chain(3).float()
    module, x = Checkpointed(layers), image().float()

    def run(net: nn.Module) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = net(x)
        return list(torch.autograd.grad(y.float().sum(), net.parameters()))

    assert_same(run(module), run(layers))


def test_second_derivatives_are_right() -> None:
    module = Checkpointed(nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).double())
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, x)


class Pairwise(nn.Module):
    """Takes and gives a tuple, and changes the shapes."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        a, b = pair
        return torch.cat([a, b], 1).sin(), a * b


def test_tuples_and_other_shapes_are_handed_on() -> None:
    layers = nn.Sequential(Pairwise(), PairwiseSum())
    a, b = image().requires_grad_(), (2 * image()).requires_grad_()
    actual = torch.autograd.grad(Checkpointed(layers, segments=2)((a, b)).sum(), [a, b])
    expected = torch.autograd.grad(layers((a, b)).sum(), [a, b])
    assert_same(list(actual), list(expected))


class PairwiseSum(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0].sum() * pair[1].cos()


class Odd(nn.Sequential):
    """A chain that runs its layers in another order."""

    def forward(self, x: Tensor) -> Tensor:
        return self[0](self[1](x)) + x


def test_a_chain_of_another_kind_is_not_cut() -> None:
    layers = Odd(*chain(2))
    module = Checkpointed(layers)
    assert module.lengths == [1]
    assert torch.equal(module(image()), layers(image()))
    assert_same(gradients(module, image()), gradients(layers, image()))


def test_blocks_without_inverse_stand_beside_and_inside_of_reversible_ones() -> None:
    def sub() -> Checkpointed:
        return Checkpointed(nn.Sequential(block(2), block(2, extra=nn.Dropout(0.3))))

    torch.manual_seed(0)
    core = ReversibleSequence([AdditiveCoupling(sub(), sub()) for _ in range(3)])
    net = nn.Sequential(Checkpointed(chain(4)), core, Checkpointed(chain(3))).double()

    def plain(x: Tensor) -> Tensor:
        y1, y2 = net[0].module(x).chunk(2, 1)
        for coupling in core.blocks:
            y1 = y1 + coupling.f.module(y2)
            y2 = y2 + coupling.g.module(y1)
        return net[2].module(torch.cat([y1, y2], 1))

    actual = gradients(net, image())
    x = image().requires_grad_()
    torch.manual_seed(1)
    expected = torch.autograd.grad((plain(x) ** 2).sum(), [x, *net.parameters()])
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-10, atol=1e-12)


def test_it_is_exported_as_the_module() -> None:
    module = Checkpointed(chain(3))
    exported = torch.export.export(module, (image(),)).module()
    torch.testing.assert_close(exported(image()), module(image()))


@pytest.mark.parametrize("segments", [0, 4])
def test_segments_out_of_range_are_named(segments: int) -> None:
    with pytest.raises(ConfigError, match=f"from 1 to 3, the number of layers, got {segments}"):
        Checkpointed(chain(3), segments=segments)


def test_an_empty_chain_is_the_identity() -> None:
    x = image().requires_grad_()
    assert torch.equal(Checkpointed(nn.Sequential())(x), x)
