"""The sequence equals plain autograd in every respect but memory."""

import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medrev.reversible import AdditiveCoupling, Conv, ReversibleSequence
from sequences import COUPLINGS, assert_equal_gradients, gradients, plain, sequence, subnetwork


@pytest.mark.parametrize("mode", ["forward", "inverse", "cycle"])
@pytest.mark.parametrize("coupling", ["additive", "affine", "swapped", "half"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gradients_equal_plain_autograd(dims: int, coupling: str, mode: str) -> None:
    torch.manual_seed(0)
    seq = sequence(4, dims, coupling).double()
    x = torch.randn(2, 6, *[5] * dims, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    if mode == "cycle":
        ours = seq.inverse(torch.tanh(seq(x)))
        reference = plain(seq, torch.tanh(plain(seq, x)), inverse=True)
    else:
        back = mode == "inverse"
        ours = seq.inverse(x) if back else seq(x)
        reference = plain(seq, x, inverse=back)
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)
    assert_equal_gradients(gradients(ours, inputs), gradients(reference, inputs))


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_gradients_at_depth_32(coupling: str) -> None:
    torch.manual_seed(0)
    seq = sequence(32, 3, coupling).double()
    for p in seq.parameters():  # streams of a trained network stay of order one
        p.data.mul_(0.3)
    x = torch.randn(1, 6, 5, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    ours, reference = gradients(seq(x), inputs), gradients(plain(seq, x), inputs)
    flat, expected = (torch.cat([g.flatten() for g in gs]) for gs in (ours, reference))
    assert (flat - expected).norm() <= 1e-12 * expected.norm()


@settings(max_examples=15)
@given(
    dims=st.sampled_from([1, 2, 3]),
    depth=st.integers(1, 4),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.integers(3, 6),
    coupling=st.sampled_from(["additive", "affine", "swapped"]),
    batch=st.integers(1, 2),
    channels_last=st.booleans(),
)
def test_gradients_equal_for_any_shape_and_split(
    dims: int,
    depth: int,
    channels: tuple[int, int],
    size: int,
    coupling: str,
    batch: int,
    channels_last: bool,
) -> None:
    seq = sequence(depth, dims, coupling, channels).double()
    x = torch.randn(batch, sum(channels), *[size] * dims, dtype=torch.float64)
    if channels_last and dims > 1:
        x = x.to(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d)
    x.requires_grad_()
    inputs = [x, *seq.parameters()]
    assert_equal_gradients(gradients(seq(x), inputs), gradients(plain(seq, x), inputs), 1e-11)


@settings(max_examples=15)
@given(
    dims=st.sampled_from([1, 2, 3]),
    depth=st.sampled_from([0, 1, 5, 16]),
    coupling=st.sampled_from(["additive", "affine"]),
    seed=st.integers(0, 1000),
)
def test_inverse_undoes_forward_in_float32(dims: int, depth: int, coupling: str, seed: int) -> None:
    torch.manual_seed(seed)
    seq = sequence(depth, dims, coupling)
    if coupling == "affine":  # unit-scale affine blocks amplify; a trained net starts near identity
        for block in seq.blocks:
            for net in (block.f, block.g):
                nn.init.normal_(net[-1].weight, std=0.02)
    x = torch.randn(2, 6, *[6] * dims)
    with torch.no_grad():
        assert (seq.inverse(seq(x)) - x).abs().max() <= 1e-5
        assert (seq(seq.inverse(x)) - x).abs().max() <= 1e-5


def retained_bytes(depth: int, form: str) -> int:
    seq = sequence(depth, 3)
    x = torch.randn(1, 6, 8, 8, 8, requires_grad=True)
    total = 0

    def pack(t: Tensor) -> Tensor:
        nonlocal total
        total += t.numel() * t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _ = seq(x) if form == "tensor" else seq((x[:, :3], x[:, 3:]))
    return total


@pytest.mark.parametrize("form", ["tensor", "pair"])
def test_retained_bytes_do_not_grow_with_depth(form: str) -> None:
    stream_bytes = 6 * 8**3 * 4
    assert [retained_bytes(depth, form) for depth in (1, 2, 16)] == [stream_bytes] * 3


def test_each_subnetwork_is_evaluated_twice_in_a_step_and_once_without_gradients() -> None:
    seq, calls = sequence(3), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    for block in seq.blocks:
        block.f.register_forward_hook(count)
        block.g.register_forward_hook(count)
    x = torch.randn(1, 6, 5, 5)
    with torch.no_grad():
        seq(x)
    assert calls == 6
    seq(x).sum().backward()
    assert calls == 6 + 12


def test_a_pair_gives_a_pair_and_a_tensor_a_tensor() -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5)
    y1, y2 = seq((x[:, :3], x[:, 3:]))
    assert torch.equal(torch.cat([y1, y2], 1), seq(x))
    x1, x2 = seq.inverse((y1, y2))
    torch.testing.assert_close(torch.cat([x1, x2], 1), x)


def test_the_callers_tensors_are_not_modified_and_may_be_modified_afterwards() -> None:
    seq = sequence().double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    before = x.clone()
    y = seq(x)
    assert torch.equal(x, before)
    expected = gradients(plain(seq, before), list(seq.parameters()))
    x.zero_()  # the inputs are rebuilt, not kept
    assert_equal_gradients(gradients(y, list(seq.parameters())), expected)


def test_modifying_an_output_before_backward_is_an_error() -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5)
    y1, y2 = seq((x[:, :3], x[:, 3:]))
    loss = (y1**2).sum() + y2.sum()
    with torch.no_grad():
        y2.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("frozen", ["f0", "all", "none"])
@pytest.mark.parametrize("leaves", ["both", "first", "second", "neither"])
def test_frozen_parameters_and_inputs_without_gradient(frozen: str, leaves: str) -> None:
    seq = sequence().double()
    for name, p in seq.named_parameters():
        p.requires_grad_(frozen == "none" or (frozen == "f0" and not name.startswith("blocks.0.f")))
    x1, x2 = torch.randn(2, 1, 3, 5, 5, dtype=torch.float64)
    x1.requires_grad_(leaves in ("both", "first"))
    x2.requires_grad_(leaves in ("both", "second"))
    inputs = [t for t in (x1, x2, *seq.parameters()) if t.requires_grad]
    y = torch.cat(seq((x1, x2)), 1)
    assert y.requires_grad == bool(inputs)
    if inputs:
        reference = plain(seq, torch.cat([x1, x2], 1))
        assert_equal_gradients(gradients(y, inputs), gradients(reference, inputs))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("frozen", [0, 1, 3, 5, 8])
def test_the_walk_back_ends_where_no_gradient_is_needed(
    coupling: str, frozen: int, inverse: bool
) -> None:
    """Sub-networks of the first blocks that are frozen are not evaluated again."""
    seq = sequence(4, coupling=coupling).double()
    names = [name for name, net, _ in seq.blocks[0].half_steps()]
    nets = [getattr(block, name) for block in seq.blocks for name in names]
    nets = nets[::-1] if inverse else nets  # in the order of the run
    calls = [0] * len(nets)

    def count(index: int, *_: object) -> None:
        calls[index] += 1

    for index, net in enumerate(nets):
        net.requires_grad_(index >= frozen)
        net.register_forward_hook(partial(count, index))
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    run = seq.inverse if inverse else seq
    inputs = [p for p in seq.parameters() if p.requires_grad]
    y = run(x)
    if inputs:
        found = gradients(y, inputs)
        # An affine coupling's own parameters belong to both of its half-steps.
        once = frozen - frozen % 2 if coupling == "affine" else frozen
        assert calls == [1] * once + [2] * (len(nets) - once)
        assert_equal_gradients(found, gradients(plain(seq, x, inverse=inverse), inputs))
    calls[:] = [0] * len(nets)
    x.requires_grad_()
    ours = gradients(run(x), [x, *inputs])
    assert calls == [2] * len(nets)
    assert_equal_gradients(ours, gradients(plain(seq, x, inverse=inverse), [x, *inputs]))


def test_one_output_alone_gives_the_right_gradients() -> None:
    seq = sequence().double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    for i, part in enumerate((slice(0, 3), slice(3, 6))):
        y = seq((x[:, :3], x[:, 3:]))[i]
        ours = torch.autograd.grad(y.sum(), inputs, allow_unused=True)
        expected = torch.autograd.grad(plain(seq, x)[:, part].sum(), inputs, allow_unused=True)
        for a, e in zip(ours, expected, strict=True):
            if a is None:  # the last sub-network does not reach the first stream
                assert not e.any()
            else:
                torch.testing.assert_close(a, e)


def test_gradients_accumulate_and_backward_can_be_repeated() -> None:
    seq, x = sequence().double(), torch.randn(1, 6, 5, 5, dtype=torch.float64)
    y = seq(x).square().sum()
    y.backward(retain_graph=True)
    once = [p.grad.clone() for p in seq.parameters()]
    y.backward()
    for p, g in zip(seq.parameters(), once, strict=True):
        assert torch.equal(p.grad, 2 * g)


def test_hooks_on_parameters_and_backward_hooks_of_subnetworks_run() -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5)
    seen = []
    seq.blocks[0].f[0].weight.register_post_accumulate_grad_hook(lambda p: seen.append("parameter"))
    seq.blocks[0].g.register_full_backward_hook(lambda *_: seen.append("module"))
    seq.inverse(seq(x)).sum().backward()
    assert seen.count("parameter") == 1
    assert seen.count("module") == 2


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_dropout_uses_the_same_mask_and_leaves_the_random_state_alone(coupling: str) -> None:
    seq = sequence(3, 2, coupling, extra=nn.Dropout(0.5)).double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    torch.manual_seed(7)
    reference = gradients(plain(seq, x), inputs)
    state = torch.get_rng_state()
    torch.manual_seed(7)
    ours = gradients(seq(x), inputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_gradients(ours, reference)


def test_batch_norm_statistics_are_updated_once_a_step() -> None:
    seq = sequence(2, 2, extra=nn.BatchNorm2d(5)).double()
    twin = copy.deepcopy(seq)
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    seq(x).sum().backward()
    plain(twin, x).sum().backward()
    for (name, ours), reference in zip(seq.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, reference, msg=name)
    assert_equal_gradients([p.grad for p in seq.parameters()], [p.grad for p in twin.parameters()])


def test_spectral_norm_is_replayed_exactly() -> None:
    seq = sequence(2, 2).double()
    for module in list(seq.modules()):
        if isinstance(module, Conv):
            nn.utils.parametrizations.spectral_norm(module)
    twin = copy.deepcopy(seq)
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    seq(x).square().sum().backward()
    plain(twin, x).square().sum().backward()
    assert_equal_gradients([p.grad for p in seq.parameters()], [p.grad for p in twin.parameters()])
    for ours, reference in zip(seq.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("backward_inside", [False, True])
def test_autocast_keeps_float32_streams_and_is_restored_in_backward(backward_inside: bool) -> None:
    torch.manual_seed(0)
    seq, x = sequence(3, 3), torch.randn(1, 6, 6, 6, 6)
    types = []
    seq.blocks[1].g.register_forward_hook(lambda module, args, out: types.append(out.dtype))
    plain(seq, x).square().sum().backward()
    expected = torch.cat([p.grad.flatten() for p in seq.parameters()])
    seq.zero_grad()
    types.clear()
    with torch.autocast("cpu", torch.bfloat16):
        y = seq(x)
        if backward_inside:
            y.square().sum().backward()
    if not backward_inside:
        y.square().sum().backward()
    assert y.dtype == torch.float32
    assert types == [torch.bfloat16] * 2
    ours = torch.cat([p.grad.flatten() for p in seq.parameters()])
    assert (ours - expected).norm() / expected.norm() < 0.05


def test_autocast_cache_is_not_poisoned_for_later_plain_use() -> None:
    seq, x = sequence(1), torch.randn(1, 6, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        seq(x)
        plain(seq, x).sum().backward()
    assert all(p.grad is not None for p in seq.parameters())


def test_nested_in_a_checkpoint_and_holding_one() -> None:
    class Checkpointed(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.net, x, use_reentrant=False)

    seq = ReversibleSequence(
        [AdditiveCoupling(Checkpointed(subnetwork(2, 3, 3)), subnetwork(2, 3, 3))], split=3
    ).double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    ours = checkpoint(seq, x, use_reentrant=False)
    assert_equal_gradients(gradients(ours, inputs), gradients(plain(seq, x), inputs))


def test_shared_subnetworks_add_their_gradients() -> None:
    net = subnetwork(2, 3, 3)
    seq = ReversibleSequence([AdditiveCoupling(net, net) for _ in range(2)], split=3).double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    inputs = list(seq.parameters())
    assert_equal_gradients(gradients(seq(x), inputs), gradients(plain(seq, x), inputs))


def test_state_dict_round_trip_and_inference_mode() -> None:
    seq, other, x = sequence(), sequence(), torch.randn(1, 6, 5, 5)
    other.load_state_dict(seq.state_dict())
    with torch.inference_mode():
        assert torch.equal(seq(x), other(x))
        torch.testing.assert_close(seq.inverse(seq(x)), x)
        with torch.enable_grad():
            assert torch.equal(seq(x), other(x))


def test_a_parameter_changed_between_forward_and_backward_is_refused() -> None:
    seq = sequence()
    y = seq(torch.randn(1, 6, 5, 5))
    with torch.no_grad():
        next(seq.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified between forward and backward"):
        y.sum().backward()


def test_misuse_is_named() -> None:
    odd = ReversibleSequence([AdditiveCoupling(nn.Identity(), nn.Identity())])
    with pytest.raises(ValueError, match="even number of channels, got 5"):
        odd(torch.zeros(1, 5, 4, 4))
    grows = [
        AdditiveCoupling(nn.Identity(), nn.Identity()),
        AdditiveCoupling(nn.Identity(), nn.Conv2d(2, 3, 1)),
    ]
    with pytest.raises(ValueError, match=r"block 1, sub-network g: its output must have shape"):
        ReversibleSequence(grows)(torch.zeros(1, 4, 4, 4))
    in_place = AdditiveCoupling(nn.Identity(), nn.ReLU(inplace=True))
    for grad in (True, False):
        with (
            torch.set_grad_enabled(grad),
            pytest.raises(ValueError, match="block 0, sub-network g: it must not modify"),
        ):
            ReversibleSequence([in_place])(torch.zeros(1, 4, 4, 4, requires_grad=True))


def test_an_identity_subnetwork_and_an_empty_sequence() -> None:
    seq = ReversibleSequence([AdditiveCoupling(nn.Identity(), nn.Identity())] * 2, split=2)
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert_equal_gradients(gradients(seq(x), [x]), gradients(plain(seq, x), [x]))
    assert ReversibleSequence([])(x) is x
