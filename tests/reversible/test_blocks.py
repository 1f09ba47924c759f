"""What may stand in a sequence beside bare couplings: layers between them, and heads of conditions.

Every gradient is compared with that of ordinary autograd, which `keep_graph` gives.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from medrev.reversible import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Coupling,
    InvertibleLayer,
    LearntMixing,
    OrthogonalMixing,
    Permutation,
    ReversibleSequence,
    SplineCoupling,
    SwappedAdditiveCoupling,
)
from sequences import assert_equal_gradients, gradients, plain, sequence

FACTORS = {AdditiveCoupling: 1, SwappedAdditiveCoupling: 1, AffineCoupling: 2, SplineCoupling: 23}
COUPLINGS = list(FACTORS)
LAYERS: dict[str, Callable[[int, int], InvertibleLayer]] = {
    "orthogonal": lambda c, seed: OrthogonalMixing(c, seed=seed),
    "permutation": lambda c, seed: Permutation.random(c, seed=seed),
    "actnorm": lambda c, seed: ActNorm(c),
    "plu": lambda c, seed: LearntMixing(c, seed=seed),
    "learnt_orthogonal": lambda c, seed: LearntMixing(c, seed=seed, form="orthogonal"),
}


class Net(nn.Module):
    """A small network of any dimension that may read a condition."""

    def __init__(self, dims: int, inputs: int, outputs: int, told: int = 0) -> None:
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
        if dims:
            self.first: nn.Module = conv[dims](inputs + told, 5, 3, padding=1)
            self.last: nn.Module = conv[dims](5, outputs, 1)
        else:
            self.first, self.last = nn.Linear(inputs + told, 5), nn.Linear(5, outputs)

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        x = torch.cat([x, *condition], 1) if condition else x
        return self.last(torch.tanh(self.first(x)))


class Head(nn.Sequential):
    """A head that cannot be evaluated twice without being replayed."""

    def __init__(self, told: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(told, outputs, 1), nn.BatchNorm2d(outputs), nn.Dropout(0.3))
        self.calls = 0

    def forward(self, condition: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(condition)


def mixed(
    dims: int,
    kind: type[Coupling],
    layer: str,
    channels: tuple[int, int] = (3, 2),
    depth: int = 3,
    **options: bool,
) -> ReversibleSequence:
    """Couplings with a layer in front of each, whose weights are not at their first values."""
    torch.manual_seed(0)
    blocks: list[Coupling | InvertibleLayer] = []
    c1, c2 = channels
    for seed in range(depth):
        blocks.append(LAYERS[layer](sum(channels), seed))
        if kind is SwappedAdditiveCoupling:
            blocks.append(kind(Net(dims, c1, c2), Net(dims, c2, c1)))
            c1, c2 = c2, c1
        else:
            factor = FACTORS[kind]
            blocks.append(kind(Net(dims, c2, factor * c1), Net(dims, c1, factor * c2)))
    seq = ReversibleSequence(blocks, split=channels[0], **options).double()
    for p in seq.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return seq


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    values = []
    for sample in x:
        matrix = torch.autograd.functional.jacobian(
            lambda t: function(t[None])[0].flatten(), sample
        )
        values.append(torch.linalg.slogdet(matrix.reshape(sample.numel(), -1)).logabsdet)
    return torch.stack(values)


def compare(seq: ReversibleSequence, inputs: list[Tensor], *, inverse: bool) -> None:
    """Values, log-determinants and gradients against ordinary autograd."""
    found = []
    for keep_graph in (False, True):
        seq.keep_graph = keep_graph
        torch.manual_seed(7)
        run = seq.inverse if inverse else seq
        y, log_det = run(*inputs, log_det=True)
        wanted = [t for t in (*inputs, *seq.parameters()) if t.requires_grad]
        weights = log_det.new_tensor([1.0, -2.0])[: len(log_det)]
        loss = y.sin().sum() + (log_det * weights).sum()
        grads = torch.autograd.grad(loss, wanted, allow_unused=True)
        found.append((y, log_det, [torch.zeros(1) if g is None else g for g in grads]))
    seq.keep_graph = False
    (y, log_det, ours), (expected_y, expected_log_det, expected) = found
    torch.testing.assert_close(y, expected_y, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, expected_log_det, rtol=1e-12, atol=1e-12)
    assert_equal_gradients(ours, expected, 1e-10)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", COUPLINGS)
def test_gradients_with_layers_between_equal_plain_autograd(
    kind: type[Coupling], layer: str, inverse: bool
) -> None:
    seq = mixed(2, kind, layer).eval()
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    compare(seq, [x], inverse=inverse)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("kind", COUPLINGS)
def test_gradients_of_a_single_sample(kind: type[Coupling], inverse: bool) -> None:
    """Its streams are parts of one tensor, which nothing may change behind autograd's back."""
    seq = mixed(2, kind, "orthogonal").eval()
    x = torch.randn(1, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    compare(seq, [x], inverse=inverse)


@pytest.mark.parametrize("dims", [0, 1, 2, 3])
@pytest.mark.parametrize("layer", LAYERS)
def test_log_det_equals_that_of_the_jacobian_and_the_inverse_undoes(layer: str, dims: int) -> None:
    for kind in COUPLINGS:
        seq = mixed(dims, kind, layer, depth=2).eval()
        x = torch.randn(2, 5, *[2] * dims, dtype=torch.float64)
        y, log_det = seq(x, log_det=True)
        expected = jacobian_log_det(seq, x)
        torch.testing.assert_close(log_det, expected, rtol=1e-10, atol=1e-12)
        restored, back = seq.inverse(y, log_det=True)
        torch.testing.assert_close(restored, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(back, -log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("frozen", ["x", "couplings", "layers", "all but the last layer"])
def test_parts_that_need_no_gradient(frozen: str) -> None:
    seq = mixed(1, AffineCoupling, "plu").eval()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=frozen != "x")
    for i, b in enumerate(seq.blocks):
        is_layer = isinstance(b, InvertibleLayer)
        if frozen == "layers":
            b.requires_grad_(not is_layer)
        elif frozen == "couplings":
            b.requires_grad_(is_layer)
        elif frozen == "all but the last layer":
            x.requires_grad_(False)
            b.requires_grad_(i == len(seq) - 2)
    compare(seq, [x], inverse=False)


def test_only_the_log_det_reaches_a_layer() -> None:
    seq = mixed(1, AdditiveCoupling, "actnorm").eval()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    _, log_det = seq(x, log_det=True)
    log_det.sum().backward()
    for b in seq.blocks[::2]:
        torch.testing.assert_close(b.log_scale.grad, torch.full((5,), 6.0, dtype=torch.float64))
        assert b.shift.grad is None or not b.shift.grad.any()


def test_actnorm_is_set_by_the_first_training_step_and_trained_by_it() -> None:
    seq = mixed(2, AffineCoupling, "actnorm").train()
    x = 3 + 2 * torch.randn(8, 5, 4, 4, dtype=torch.float64)
    seq(x).square().sum().backward()
    assert all(bool(b.initialised) for b in seq.blocks[::2])
    first = seq.blocks[0]
    y = first(x)
    torch.testing.assert_close(y.std((0, 2, 3), correction=0), torch.ones(5).double())
    assert first.log_scale.grad.abs().min() > 0


@pytest.mark.parametrize("depths", [(24, 96)])
@pytest.mark.parametrize("layer", ["orthogonal", "actnorm", "plu"])
def test_retained_bytes_do_not_grow_with_depth(layer: str, depths: tuple[int, int]) -> None:
    found = []
    for depth in depths:
        seq = mixed(2, AffineCoupling, layer, depth=depth).eval()
        x = torch.randn(2, 5, 6, 6, dtype=torch.float64, requires_grad=True)
        total = 0

        def pack(t: Tensor) -> Tensor:
            nonlocal total
            total += t.numel() * t.element_size()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            seq(x, log_det=True)
        found.append(total)
    assert found == [x.numel() * 8] * 2


def test_exact_mode_takes_permutations_and_is_undone_bit_for_bit() -> None:
    seq = mixed(2, SwappedAdditiveCoupling, "permutation", depth=5, exact=True).float()
    x = torch.randn(2, 5, 6, 6)
    assert torch.equal(seq.inverse(seq(x)), seq.grid.round(x))
    seq = mixed(2, AdditiveCoupling, "orthogonal", exact=True)
    with pytest.raises(ValueError, match=r"block 0: exact mode needs .* got OrthogonalMixing"):
        seq(x)


def test_hooks_on_a_layer_run() -> None:
    seq, seen = mixed(1, AffineCoupling, "orthogonal"), []
    seq.blocks[0].register_forward_hook(lambda module, inputs, y: seen.append((inputs[0], y)))
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    seq(x)
    torch.testing.assert_close(seen[0][0], x)
    torch.testing.assert_close(seen[0][1], seq.blocks[0](x))


def test_a_layer_that_changes_the_shape_or_the_channels_is_named() -> None:
    seq = mixed(1, AffineCoupling, "orthogonal")
    with pytest.raises(ValueError, match=r"block 0, OrthogonalMixing: .* 5 channels, got shape"):
        seq(torch.randn(2, 6, 3, dtype=torch.float64))

    class Wrong(OrthogonalMixing):
        def forward(self, x: Tensor) -> Tensor:
            return x.float()

    seq = ReversibleSequence([Wrong(4, seed=0)])
    with pytest.raises(ValueError, match="block 0, Wrong: it must keep shape and type"):
        seq(torch.randn(2, 4, 3, dtype=torch.float64))


# Heads


def headed(kind: type[Coupling], depth: int = 3) -> ReversibleSequence:
    torch.manual_seed(0)
    factor = FACTORS[kind]
    blocks: list[Coupling | InvertibleLayer] = []
    for seed in range(depth):
        blocks.append(OrthogonalMixing(4, seed=seed))
        f, g = (Net(2, 2, factor * 2, told=3) for _ in range(2))
        blocks.append(kind(f, g, head=Head(2, 3)))
    return ReversibleSequence(blocks).double()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("needed", ["all", "condition", "heads", "nets"])
@pytest.mark.parametrize("kind", [AdditiveCoupling, AffineCoupling])
def test_gradients_through_heads_equal_plain_autograd(
    kind: type[Coupling], needed: str, inverse: bool
) -> None:
    seq = headed(kind)
    if needed != "all":
        seq.requires_grad_(False)
    for b in seq.blocks[1::2]:
        if needed == "heads":
            b.head.requires_grad_(True)
        if needed == "nets":
            b.f.requires_grad_(True)
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    condition = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    condition.requires_grad_(needed in ("all", "condition"))
    compare(seq, [x, condition], inverse=inverse)


def test_a_head_is_evaluated_twice_in_a_step_and_its_statistics_are_updated_once() -> None:
    seq = headed(AffineCoupling)
    x, condition = (torch.randn(2, c, 3, 3, dtype=torch.float64) for c in (4, 2))
    before = [b.head[1].num_batches_tracked.item() for b in seq.blocks[1::2]]
    seq(x, condition).sum().backward()
    assert [b.head.calls for b in seq.blocks[1::2]] == [2, 2, 2]
    after = [b.head[1].num_batches_tracked.item() for b in seq.blocks[1::2]]
    assert after == [n + 1 for n in before]


def test_a_coupling_alone_reads_its_head() -> None:
    seq = headed(AffineCoupling, 1).eval()
    x, condition = (torch.randn(2, c, 3, 3, dtype=torch.float64) for c in (4, 2))
    y, log_det = seq(x, condition, log_det=True)
    streams = seq.blocks[0](x).chunk(2, 1)
    torch.testing.assert_close(torch.cat(seq.blocks[1](*streams, condition), 1), y)
    torch.testing.assert_close(seq.blocks[1].log_det(*streams, condition), log_det)
    back = seq.blocks[1].inverse(*y.chunk(2, 1), condition)
    torch.testing.assert_close(torch.cat(back, 1), torch.cat(streams, 1))


def test_a_head_must_return_a_tensor_and_be_replayable() -> None:
    x, condition = torch.randn(1, 4, 3, 3), torch.randn(1, 2, 3, 3)

    class Pair(nn.Module):
        def forward(self, c: Tensor) -> tuple[Tensor, Tensor]:
            return c, c

    f = Net(2, 2, 2, told=2)
    seq = ReversibleSequence([AdditiveCoupling(f, f, head=Pair())])
    with pytest.raises(ValueError, match="the head must return a tensor, got a tuple"):
        seq(x, condition)

    class Counting(nn.Module):
        calls = 0

        def forward(self, c: Tensor) -> Tensor:
            self.calls += 1
            return c + self.calls

    seq = ReversibleSequence([AdditiveCoupling(f, f, head=Counting())], check=True)
    with pytest.raises(RuntimeError, match="head: evaluated twice"):
        seq(x, condition)


# keep_graph


def test_the_graph_can_be_kept_for_second_derivatives() -> None:
    seq = sequence(2, 2, "affine", keep_graph=True).double()
    x = torch.randn(1, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]

    def penalty(y: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
        return (g.norm() - 1).square()

    ours = torch.autograd.grad(penalty(seq(x)), inputs, allow_unused=True)
    expected = torch.autograd.grad(penalty(plain(seq, x)), inputs, allow_unused=True)
    for a, e in zip(ours, expected, strict=True):
        assert (a is None) == (e is None)
        if a is not None:
            assert_equal_gradients([a], [e], 1e-10)
    assert "keep_graph=True" in repr(seq)


def test_keeping_the_graph_changes_no_number_and_costs_memory_that_grows() -> None:
    kept = []
    for depth in (2, 4):
        seq = sequence(depth, 2, "affine").double()
        x = torch.randn(1, 6, 3, 3, dtype=torch.float64, requires_grad=True)
        expected = gradients(seq(x), [x, *seq.parameters()])
        seq.keep_graph = True
        total = 0

        def pack(t: Tensor) -> Tensor:
            nonlocal total
            total += t.numel()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            y = seq(x)
        assert_equal_gradients(gradients(y, [x, *seq.parameters()]), expected)
        kept.append(total)
    assert kept[1] > 1.8 * kept[0]


def test_exact_mode_keeps_the_graph_too() -> None:
    seq = sequence(3, 2, exact=True)
    x = torch.randn(1, 6, 4, 4, requires_grad=True)
    expected, y = gradients(seq(x), [x]), seq(x)
    seq.keep_graph = True
    assert torch.equal(seq(x), y)
    assert torch.equal(seq.inverse(y), seq.grid.round(x))
    assert_equal_gradients(gradients(seq(x), [x]), expected, 1e-5)
