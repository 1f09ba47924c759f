"""The second evaluation of a sub-network sees what the first one saw."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize

from medrev.reversible import Conv, ReversibleSequence
from sequences import assert_equal_gradients, gradients, plain, sequence


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("extra", [nn.BatchNorm2d(5), nn.Dropout(0.5)])
def test_the_mode_may_be_switched_between_forward_and_backward(
    extra: nn.Module, training: bool
) -> None:
    seq = sequence(2, 2, extra=extra).double()
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    seq.train(training)
    twin = copy.deepcopy(seq)
    torch.manual_seed(1)
    expected = gradients(plain(twin, x), [x, *twin.parameters()])
    torch.manual_seed(1)
    y = seq(x)
    seq.train(not training)
    assert_equal_gradients(gradients(y, inputs), expected)
    assert all(m.training is not training for m in seq.modules())


def test_statistics_may_be_updated_between_forward_and_backward_in_evaluation() -> None:
    seq = sequence(2, 2, extra=nn.BatchNorm2d(5)).double()
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    expected = gradients(plain(seq.eval(), x), inputs)
    y = seq(x)
    seq.train()(3 * x)
    assert_equal_gradients(gradients(y, inputs), expected)


def test_cached_parametrisations_keep_their_gradients() -> None:
    seq = sequence(2).double()
    for module in list(seq.modules()):
        if isinstance(module, Conv):
            nn.utils.parametrizations.weight_norm(module)
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    inputs = list(seq.parameters())
    with parametrize.cached():
        ours = gradients(seq(x), inputs)
    assert_equal_gradients(ours, gradients(plain(seq, x), inputs))


def kept_tensors(seq: ReversibleSequence, where: str) -> list[tuple[Tensor, Tensor]]:
    """Tensors that hooks get in a step and keep, each with a copy made at once."""
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: object) -> None:
        if isinstance(module, nn.Sequential):
            kept.append((args[0], args[0].clone()))

    nets = [net for block in seq.blocks for net in (block.f, block.g)]
    if where == "global":
        handles = [register_module_forward_hook(keep)]
    elif where == "forward":
        handles = [net.register_forward_hook(keep) for net in nets]
    else:
        handles = [
            net.register_full_backward_hook(lambda module, inner, outer: keep(module, outer, None))
            for net in nets
        ]
    seq(torch.randn(1, 6, 5, 5, requires_grad=True)).square().sum().backward()
    for handle in handles:
        handle.remove()
    return kept


@pytest.mark.parametrize(("where", "count"), [("global", 16), ("forward", 16), ("backward", 8)])
def test_what_hooks_keep_is_not_overwritten(where: str, count: int) -> None:
    kept = kept_tensors(sequence(4), where)
    assert len(kept) == count
    for tensor, at_once in kept:
        assert torch.equal(tensor, at_once)


def test_check_lets_infinities_and_nan_pass() -> None:
    """They are a fault of another kind; evaluated again they are the same."""
    seq = sequence(1, check=True)
    assert seq(torch.full((1, 6, 5, 5), torch.nan)).isnan().all()
    assert not seq(torch.full((1, 6, 5, 5), torch.inf)).isfinite().any()


def test_replicas_of_data_parallel_are_refused_in_training() -> None:
    replica, x = sequence(1)._replicate_for_data_parallel(), torch.randn(1, 6, 5, 5)
    with pytest.raises(RuntimeError, match="use DistributedDataParallel"):
        replica(x)


def test_other_parameters_of_a_subclass_are_left_to_it() -> None:
    class WithHead(ReversibleSequence):
        def __init__(self, seq: ReversibleSequence) -> None:
            super().__init__(seq.blocks)
            self.head = nn.Conv2d(6, 1, 1)

    seq, x = WithHead(sequence(2)), torch.randn(1, 6, 5, 5)
    seq.head(seq(x)).sum().backward()
    assert all(p.grad is not None for p in seq.parameters())
