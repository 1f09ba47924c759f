"""What may be given to a sequence, and in which forms: all give the gradients of plain autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible import AdditiveCoupling, Checkerboard, Coupling, ReversibleSequence
from sequences import assert_equal_gradients, block, gradients, plain, sequence, subnetwork


class Shifted(nn.Module):
    """Adds a parameter, and conditions, of the stream's own shape: their gradients are its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = subnetwork(1, inputs, outputs)
        self.shift = nn.Parameter(torch.randn(1, outputs, 4))

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        h = self.net(x) + self.shift
        for c in condition:
            h = h + (c if c.shape == h.shape else c.mean(1, keepdim=True))
        return h


def reference(
    seq: ReversibleSequence, streams: list[Tensor], condition: list[Tensor], inverse: bool
) -> tuple[list[Tensor], Tensor]:
    """The half-steps written out, under plain autograd."""
    total = streams[0].new_zeros(len(streams[0]))
    for b in reversed(seq.blocks) if inverse else seq.blocks:
        steps = b.half_steps()
        streams = streams[::-1] if b.swaps and inverse else streams
        for _, net, target in reversed(steps) if inverse else steps:
            before, h = streams[target], net(streams[1 - target], *condition)
            after = b.unmerge(before, h) if inverse else b.merge(before, h)
            change = -b.merge_log_det(after, h) if inverse else b.merge_log_det(before, h)
            streams = [after, streams[1]] if target == 0 else [streams[0], after]
            total = total + change
        streams = streams[::-1] if b.swaps and not inverse else streams
    return streams, total


@settings(max_examples=30)
@given(
    kinds=st.lists(st.sampled_from(["additive", "affine", "swapped"]), min_size=1, max_size=4),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    batch=st.integers(1, 2),
    conditions=st.integers(0, 2),
    as_pair=st.booleans(),
    inverse=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_gradients_equal_for_every_form_of_input(
    kinds: list[str],
    channels: tuple[int, int],
    batch: int,
    conditions: int,
    as_pair: bool,
    inverse: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    blocks, ends = [], channels
    for kind in kinds:
        blocks.append(block(kind, Shifted, ends))
        ends = ends[::-1] if kind == "swapped" else ends
    seq = ReversibleSequence(blocks, split=channels[0]).double()
    for p in seq.parameters():
        p.requires_grad_(bool(torch.rand(()) < 0.8))
    widths = ends if inverse else channels
    streams = [torch.randn(batch, c, 4, dtype=torch.float64, requires_grad=True) for c in widths]
    condition = [
        torch.randn(batch, c, 4, dtype=torch.float64, requires_grad=True)
        for c in channels[:conditions]
    ]
    x = tuple(streams) if as_pair else torch.cat(streams, 1)
    y, log_det = (seq.inverse if inverse else seq)(x, *condition, log_det=True)
    expected, total = reference(seq, streams, condition, inverse)
    ours = torch.cat([*(y if as_pair else [y]), log_det[:, None, None].expand(-1, 1, 4)], 1)
    theirs = torch.cat([*expected, total[:, None, None].expand(-1, 1, 4)], 1)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    inputs = [t for t in (*streams, *condition, *seq.parameters()) if t.requires_grad]
    # Four affine blocks may amplify the rounding of a rebuilt stream a millionfold.
    assert_equal_gradients(gradients(ours, inputs), gradients(theirs, inputs), 1e-7)


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_parameters_and_conditions_of_the_streams_shape_get_their_own_gradients(
    coupling: str,
) -> None:
    """Autograd hands the gradient of a sum to both summands as one and the same tensor."""
    torch.manual_seed(0)
    seq = ReversibleSequence([block(coupling, Shifted, (3, 3)) for _ in range(4)]).double()
    factor = 2 if coupling == "affine" else 1
    x = torch.randn(1, 6, 4, dtype=torch.float64, requires_grad=True)
    c = torch.randn(1, 3 * factor, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, c, *seq.parameters()]
    expected, _ = reference(seq, list(x.split(3, 1)), [c, c], inverse=False)
    theirs = gradients(torch.cat(expected, 1), inputs)
    assert_equal_gradients(gradients(seq(x, c, c), inputs), theirs, 1e-10)


def test_both_streams_may_be_the_same_tensor_and_a_condition_too() -> None:
    seq = ReversibleSequence([block("additive", Shifted, (3, 3)) for _ in range(3)]).double()
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    expected, _ = reference(seq, [x, x], [x], inverse=False)
    ours = torch.cat(seq((x, x), x), 1)
    assert_equal_gradients(gradients(ours, inputs), gradients(torch.cat(expected, 1), inputs))


def test_streams_may_differ_in_size_too() -> None:
    blocks = [
        AdditiveCoupling(nn.ConvTranspose2d(2, 3, 2, 2), nn.Conv2d(3, 2, 2, 2)) for _ in range(3)
    ]
    seq = ReversibleSequence(blocks).double()
    a = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    inputs = [a, b, *seq.parameters()]
    expected, _ = reference(seq, [a, b], [], inverse=False)
    ours, theirs = (torch.cat([t.flatten() for t in pair]) for pair in (seq((a, b)), expected))
    assert_equal_gradients(gradients(ours, inputs), gradients(theirs, inputs))


def test_a_sequence_inside_a_sequence() -> None:
    class Plain(nn.Module):
        def __init__(self, seq: ReversibleSequence) -> None:
            super().__init__()
            self.seq = seq

        def forward(self, x: Tensor) -> Tensor:
            return plain(self.seq, x)

    inner = [sequence(2, 2, channels=(2, 1), extra=nn.Dropout(0.3)) for _ in range(4)]
    pairs = list(zip(inner[::2], inner[1::2], strict=True))
    seq = ReversibleSequence([AdditiveCoupling(f, g) for f, g in pairs], split=3).double()
    flat = ReversibleSequence([AdditiveCoupling(Plain(f), Plain(g)) for f, g in pairs], split=3)
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *seq.parameters()]
    torch.manual_seed(1)
    ours = gradients(seq(x), inputs)
    torch.manual_seed(1)
    assert_equal_gradients(ours, gradients(plain(flat, x), inputs))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_batch_of_no_samples(dims: int, exact: bool) -> None:
    seq = sequence(2, dims, exact=exact)
    x = torch.randn(0, 6, *[5] * dims, requires_grad=True)
    y, log_det = seq(x, log_det=True)
    assert y.shape == x.shape
    assert log_det.shape == (0,)
    y.sum().backward()
    assert not any(p.grad.any() for p in seq.parameters())
    assert seq.inverse(y).shape == x.shape


def test_float64_stays_float64_under_autocast() -> None:
    seq, x = sequence().double(), torch.randn(1, 6, 5, 5, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        y = seq(x)
    assert y.dtype == torch.float64
    torch.testing.assert_close(y, plain(seq, x))


def test_shapes_without_data() -> None:
    seq, x = sequence().to("meta"), torch.empty(2, 6, 5, 5, device="meta")
    with torch.no_grad():
        assert seq(x).shape == x.shape
    y = seq(x)
    y.sum().backward()
    assert all(p.grad.shape == p.shape for p in seq.parameters())


@pytest.mark.parametrize("batch", [1, 2])
def test_a_tensor_that_carries_an_affine_keeps_it(batch: int) -> None:
    seq, x = sequence(2, 3).double(), torch.randn(batch, 6, 5, 5, 5, dtype=torch.float64)
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    carrying = MetaTensor(x, affine=affine)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            y, log_det = seq(carrying, log_det=True)
            assert torch.equal(y.as_tensor(), seq(x))
            assert torch.equal(y.affine, affine)
            assert not log_det.any()
    expected = gradients(plain(seq, x), list(seq.parameters()))
    assert_equal_gradients(gradients(seq(carrying), list(seq.parameters())), expected)


def test_what_is_neither_a_tensor_nor_a_pair_is_refused() -> None:
    seq, x = sequence(), torch.randn(1, 3, 5, 5)
    with pytest.raises(ValueError, match="or a pair of tensors, got a tuple of 3"):
        seq((x, x, x))
    with pytest.raises(ValueError, match="or a pair of tensors, got a ndarray"):
        seq.inverse(x.numpy())
    with pytest.raises(ValueError, match="a condition must be a tensor, got NoneType"):
        seq((x, x), None)
    first, second = seq([x, x])
    assert first.shape == second.shape == x.shape


def test_a_subnetwork_must_return_a_tensor() -> None:
    seq = ReversibleSequence([AdditiveCoupling(nn.Identity(), nn.LSTM(4, 4))])
    with pytest.raises(
        ValueError, match="block 0, sub-network g: it must return a tensor, got a t"
    ):
        seq(torch.zeros(2, 6, 4))


def test_blocks_must_be_couplings() -> None:
    with pytest.raises(ConfigError, match=r"block 1: it must be a coupling, .* got Checkerboard"):
        ReversibleSequence([*sequence(1).blocks, Checkerboard(2)])
    compiled: list[Coupling] = [torch.compile(b, backend="eager") for b in sequence(1).blocks]
    x = torch.randn(1, 6, 5, 5)
    assert ReversibleSequence(compiled)(x).shape == x.shape
