"""Batch normalisation in the core of RevGAN: each direction has the statistics of its own."""

import copy

import pytest
import torch
from torch import Tensor, nn

from medrev.nets import RevGAN, TwoWayBatchNorm, complete_statistics, evaluating

from .small import small

SETS = {"running_mean": "inverse_running_mean", "running_var": "inverse_running_var"}


def in_2d(**options: object) -> RevGAN:
    """The paper's network in 2D, with batch normalisation, small."""
    chosen = {"width": 8, "depth": 2, "subnet_final_norm": True, "zero_init": False}
    chosen |= {"spatial_dims": 2, "norm": "batch", "final_activation": "tanh"}
    return small(in_channels=1, out_channels=1, **(chosen | options))


def batch(number: int) -> tuple[Tensor, Tensor]:
    """Smooth x and rough y; every other batch is half as bright."""
    rng = torch.Generator().manual_seed(number)
    size = 0.5 if number % 2 else 1.0
    x = torch.randn(8, 1, 4, 4, generator=rng).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return size * x, size * torch.randn(8, 1, 16, 16, generator=rng)


def gap(net: RevGAN, *, inverse: bool) -> float:
    """How far results in use are from those with batch statistics, in deviations of these."""
    given = torch.cat([batch(1000 + number)[inverse] for number in range(100)])
    with evaluating(net, as_trained=True):
        wanted = net(given, inverse=inverse)
    with evaluating(net):
        return float((net(given, inverse=inverse) - wanted).std() / wanted.std())


def two_way_norms(net: nn.Module) -> list[TwoWayBatchNorm]:
    return [part for part in net.modules() if isinstance(part, TwoWayBatchNorm)]


def test_results_in_use_are_those_of_training_in_both_directions() -> None:
    """With one set of statistics for both directions, their mean, they are not."""
    net = in_2d()
    with torch.no_grad():
        for number in range(150):
            x, y = batch(number)
            net(x), net.inverse(y)
    assert max(gap(net, inverse=False), gap(net, inverse=True)) < 0.12
    for norm in two_way_norms(net):
        for one, other in SETS.items():
            of_both = (getattr(norm, one) + getattr(norm, other)) / 2
            getattr(norm, one).copy_(of_both)
            getattr(norm, other).copy_(of_both)
    assert min(gap(net, inverse=False), gap(net, inverse=True)) > 0.5


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_backward_replays_the_direction_of_its_run(
    coupling: str, training: bool, inverse: bool
) -> None:
    """The gradients are those of ordinary autograd, and statistics are gathered once."""
    net = in_2d(coupling=coupling).double()
    for norm in two_way_norms(net):
        norm.inverse_running_var.fill_(4.0)
        norm.inverse_running_mean.fill_(0.1)
    plain = copy.deepcopy(net)
    plain.core.keep_graph = True
    found = []
    for each in (net, plain):
        each.train(training)
        each(batch(0)[inverse].double(), inverse=inverse).square().sum().backward()
        grads = [p.grad for p in each.parameters() if p.grad is not None]
        found.append([*grads, *(b.double() for b in each.buffers())])
    assert len(found[0]) == len(found[1])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_run_gathers_for_its_direction_only() -> None:
    net = in_2d()
    for inverse, names in ((False, SETS.keys()), (True, SETS.values())):
        before = copy.deepcopy(net.core.state_dict())
        net(batch(0)[inverse], inverse=inverse).square().sum().backward()
        changed = {k for k, v in net.core.state_dict().items() if not torch.equal(v, before[k])}
        assert {key.rpartition(".")[2] for key in changed} == {*names, "num_batches_tracked"}


def test_weights_with_one_set_of_statistics_have_it_for_both_directions() -> None:
    net, other = in_2d(), in_2d()
    with torch.no_grad():
        net(batch(0)[0])
    state = {k: v for k, v in net.state_dict().items() if "inverse_running" not in k}
    completed = dict(state)
    complete_statistics(other, completed)
    assert completed.keys() == net.state_dict().keys()
    other.load_state_dict(state)
    for norm, loaded in zip(two_way_norms(net), two_way_norms(other), strict=True):
        assert torch.equal(loaded.inverse_running_mean, norm.running_mean)
        assert torch.equal(loaded.running_var, norm.running_var)
        assert torch.equal(loaded.inverse_running_var, norm.running_var)


def test_it_is_the_usual_layer_in_each_direction() -> None:
    norm, usual = TwoWayBatchNorm(3), [nn.BatchNorm2d(3), nn.BatchNorm2d(3)]
    for number in range(5):
        x = torch.randn(4, 3, 5, 5) * (number + 1)
        assert torch.equal(norm(x), usual[0](x))
        assert torch.equal(norm(x + 1, inverse=True), usual[1](x + 1))
    x = torch.randn(2, 3, 5, 5)
    norm.eval()
    for inverse, each in enumerate(usual):
        expected = each.eval()(x)
        assert torch.equal(norm(x, inverse=bool(inverse)), expected)
        assert torch.equal(norm.one_way(bool(inverse), 2)(x), expected)
