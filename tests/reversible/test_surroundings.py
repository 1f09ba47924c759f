"""The sequence among PyTorch's other machinery: hooks, scaling, copies, replaced parameters."""

import copy
import random

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medrev.reversible import AdditiveCoupling, ReversibleSequence
from sequences import assert_equal_gradients, gradients, plain, sequence, subnetwork


class Unreliable(nn.Module):
    """Depends on a random state that is not PyTorch's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = subnetwork(2, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * random.random()


@pytest.mark.parametrize("grad", [True, False])
def test_check_names_a_subnetwork_that_cannot_be_replayed(grad: bool) -> None:
    blocks = [AdditiveCoupling(subnetwork(2, 3, 3), subnetwork(2, 3, 3)) for _ in range(2)]
    blocks[1].g = Unreliable()
    x = torch.randn(1, 6, 5, 5)
    with torch.set_grad_enabled(grad):
        ReversibleSequence(blocks)(x)  # nothing is noticed
        with pytest.raises(RuntimeError, match="block 1, sub-network g: evaluated twice"):
            ReversibleSequence(blocks, check=True)(x)


class Wavering(Unreliable):
    """Every other result is off by the last bit."""

    def __init__(self) -> None:
        super().__init__()
        self.off = False

    def forward(self, x: Tensor) -> Tensor:
        self.off = not self.off
        h = self.net(x)
        return torch.nextafter(h, torch.full_like(h, torch.inf)) if self.off else h


def test_check_lets_rounding_pass_but_not_in_exact_mode() -> None:
    blocks = [AdditiveCoupling(subnetwork(2, 3, 3), Wavering())]
    x = torch.randn(1, 6, 5, 5)
    ReversibleSequence(blocks, check=True)(x)
    with pytest.raises(RuntimeError, match=r"sub-network g: .*exact mode needs equal bits"):
        ReversibleSequence(blocks, check=True, exact=True)(x)


def test_check_accepts_dropout_and_batch_norm_and_changes_nothing() -> None:
    for extra in (nn.Dropout(0.5), nn.BatchNorm2d(5)):
        seq = sequence(2, 2, extra=extra, check=True).double()
        twin = copy.deepcopy(seq)
        twin.check = False
        x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
        results = []
        for s in (seq, twin):
            torch.manual_seed(3)
            s(x).square().sum().backward()
            results.append([*(p.grad for p in s.parameters()), *(b.double() for b in s.buffers())])
        assert_equal_gradients(*results)


def test_hooks_on_a_block_see_its_inputs_and_outputs() -> None:
    seq = sequence(3, 2, "swapped", (2, 3)).double()
    x = torch.randn(1, 5, 4, 4, dtype=torch.float64)
    seen: list[tuple] = []
    block = seq.blocks[1]
    block.register_forward_pre_hook(lambda module, args: seen.append(args))
    block.register_forward_hook(lambda module, args, output: seen.append((*args, *output)))
    block.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs,)), with_kwargs=True
    )
    seq(x)
    before, around, (keywords,) = seen
    with torch.no_grad():
        expected = seq.blocks[0](*x.split([seq.split, 5 - seq.split], 1))
        torch.testing.assert_close(before, expected)
        torch.testing.assert_close(
            around,
            (*expected, *copy_without_hooks(block)(*expected)),
        )
    assert keywords == {}


def copy_without_hooks(block: nn.Module) -> nn.Module:
    bare = copy.deepcopy(block)
    bare._forward_hooks.clear()
    bare._forward_pre_hooks.clear()
    return bare


def test_hooks_on_a_block_may_not_change_anything() -> None:
    seq, x = sequence(1), torch.randn(1, 6, 5, 5)
    handle = seq.blocks[0].register_forward_hook(lambda *_: 1)
    with pytest.raises(RuntimeError, match=r"block 0, .* may look only"):
        seq(x)
    handle.remove()
    seq.blocks[0].register_full_backward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="backward hook on a block"):
        seq(x)


@pytest.mark.parametrize("grad", [True, False])
def test_what_a_hook_keeps_is_not_overwritten(grad: bool) -> None:
    """In-place sums are given up where somebody may hold a stream."""
    seq, x = sequence(4).double(), torch.randn(1, 6, 5, 5, dtype=torch.float64)
    kept: list[Tensor] = []
    copies: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        kept.append(args[0])
        copies.append(args[0].clone())

    for block in seq.blocks:
        block.g.register_forward_hook(keep)
    with torch.set_grad_enabled(grad):
        y = seq(x)
        if grad:
            y.sum().backward()
    assert len(kept) == (8 if grad else 4)
    for a, b in zip(kept, copies, strict=True):
        assert torch.equal(a, b)


def test_outputs_of_two_runs_do_not_share_memory() -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5)
    with torch.no_grad():
        y = seq(x)
        before = y.clone()
        seq(x + 1)
        seq.inverse(y)
    assert torch.equal(y, before)


def test_float16_with_gradient_scaling() -> None:
    torch.manual_seed(0)
    seq, x = sequence(3, 2), torch.randn(2, 6, 8, 8)
    plain(seq, x).square().mean().backward()
    expected = torch.cat([p.grad.flatten() for p in seq.parameters()])
    seq.zero_grad()
    optimiser = torch.optim.SGD(seq.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with torch.autocast("cpu", torch.float16):
        y = seq(x)
    scaler.scale(y.square().mean()).backward()
    scaler.unscale_(optimiser)
    ours = torch.cat([p.grad.flatten() for p in seq.parameters()])
    assert y.dtype == torch.float32
    assert (ours - expected).norm() / expected.norm() < 0.01
    before = [p.clone() for p in seq.parameters()]
    scaler.step(optimiser)
    scaler.update()
    assert any(not torch.equal(a, b) for a, b in zip(before, seq.parameters(), strict=True))


def test_an_overflow_in_float16_skips_the_step() -> None:
    seq, x = sequence(2, 2), torch.randn(1, 6, 6, 6)
    optimiser = torch.optim.SGD(seq.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    with torch.autocast("cpu", torch.float16):
        y = seq(x)
    before = [p.clone() for p in seq.parameters()]
    scaler.scale(y.square().sum()).backward()
    scaler.step(optimiser)
    scaler.update()
    assert scaler.get_scale() < 2.0**60
    for a, b in zip(before, seq.parameters(), strict=True):
        assert torch.equal(a, b)


def test_copies_and_moving_averages_run_on_their_own() -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5)
    seq(x).sum().backward()
    twin = copy.deepcopy(seq)
    average = AveragedModel(seq, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average.update_parameters(seq)
    with torch.no_grad():
        next(seq.parameters()).add_(1)
    average.update_parameters(seq)
    with torch.no_grad():
        assert torch.equal(average.module.inverse(twin(x)), average.module.inverse(twin(x)))
        assert not torch.equal(seq(x), twin(x))
        first = next(average.module.parameters())
        torch.testing.assert_close(first, next(twin.parameters()) + 0.1)


def test_parameters_frozen_after_forward_get_no_gradient_as_with_plain_autograd() -> None:
    seq, x = sequence().double(), torch.randn(1, 6, 5, 5, dtype=torch.float64)
    x.requires_grad_()
    (expected,) = gradients(plain(seq, x), [x])
    y = seq(x)
    seq.requires_grad_(False)
    (ours,) = gradients(y, [x])
    torch.testing.assert_close(ours, expected)
    assert all(p.grad is None for p in seq.parameters())


def test_replaced_parameters_are_refused() -> None:
    seq, x = sequence(1), torch.randn(1, 6, 5, 5)
    parameters = {name: p.detach().clone().requires_grad_() for name, p in seq.named_parameters()}
    y = torch.func.functional_call(seq, parameters, (x,))
    with pytest.raises(RuntimeError, match="replaced between forward and backward"):
        y.sum().backward()


@pytest.mark.parametrize("loss", [torch.sum, lambda y: y.square().sum()])
def test_a_gradient_penalty_is_refused(loss) -> None:
    seq, x = sequence(), torch.randn(1, 6, 5, 5, requires_grad=True)
    (g,) = torch.autograd.grad(loss(seq(x)), x, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives through a ReversibleSequence"):
        (g.norm() - 1).square().backward()


def test_a_trainable_coupling_gets_gradients_for_its_own_parameters() -> None:
    class Gated(AdditiveCoupling):
        is_additive = False

        def __init__(self, f: nn.Module, g: nn.Module) -> None:
            super().__init__(f, g)
            self.gate = nn.Parameter(torch.tensor(0.3))

        def merge(self, stream: Tensor, h: Tensor) -> Tensor:
            return stream + self.gate * h

        def unmerge(self, stream: Tensor, h: Tensor) -> Tensor:
            return stream - self.gate * h

    blocks = [Gated(subnetwork(2, 3, 3), subnetwork(2, 3, 3)) for _ in range(2)]
    seq = ReversibleSequence(blocks, split=3).double()
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    inputs = list(seq.parameters())
    assert_equal_gradients(gradients(seq(x), inputs), gradients(plain(seq, x), inputs))


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="split must leave channels for both streams, got split=6"):
        ReversibleSequence(sequence(1).blocks, split=6)(torch.zeros(1, 6, 4, 4))


def test_compiled_it_gives_the_same_gradients() -> None:
    seq, x = sequence(2).double(), torch.randn(2, 6, 5, 5, dtype=torch.float64)
    seq.check = True  # cannot be done there
    compiled = torch.compile(seq, backend="aot_eager", fullgraph=True)
    inputs = list(seq.parameters())
    assert_equal_gradients(gradients(compiled(x), inputs), gradients(plain(seq, x), inputs))


@pytest.mark.parametrize("exact", [False, True])
def test_under_the_transforms_of_torch_func_it_is_an_ordinary_module(exact: bool) -> None:
    seq = sequence(2, exact=exact, check=True).double()
    samples = torch.randn(3, 1, 6, 5, 5, dtype=torch.float64)
    parameters = {name: p.detach() for name, p in seq.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(seq, parameters, (x,)).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, samples)
    for i, x in enumerate(samples):
        ours = [g[i] for g in found.values()]
        expected = torch.autograd.grad(seq(x).square().sum(), list(seq.parameters()))
        assert_equal_gradients(ours, list(expected), 1e-3 if exact else 1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_export_gives_the_same_numbers(dims: int, direction: str) -> None:
    class Direction(nn.Module):
        def __init__(self, seq: ReversibleSequence) -> None:
            super().__init__()
            self.seq = seq

        def forward(self, x: Tensor) -> Tensor:
            return self.seq.inverse(x) if direction == "inverse" else self.seq(x)

    module = Direction(sequence(3, dims)).eval()
    x = torch.randn(1, 6, *[6] * dims)
    exported = torch.export.export(module, (x,)).module()
    traced = torch.jit.trace(module, x, check_trace=False)
    with torch.no_grad():
        torch.testing.assert_close(exported(x), module(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(traced(x), module(x), rtol=1e-4, atol=1e-5)


def test_onnx_gives_the_same_numbers(tmp_path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    seq, x = sequence(3, 3).eval(), torch.randn(1, 6, 6, 6, 6)
    torch.onnx.export(seq, (x,), tmp_path / "core.onnx", dynamo=True, verbose=False)
    session = runtime.InferenceSession(str(tmp_path / "core.onnx"))
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(y), seq(x), rtol=1e-4, atol=1e-5)
