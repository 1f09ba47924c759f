"""Exchanges of space for channels: their order, and what they see."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medrev.reversible import Checkerboard, Haar, SpaceToDepth


def test_space_to_depth_in_2d_is_pixel_unshuffle() -> None:
    x = torch.randn(1, 3, 6, 9)
    assert torch.equal(SpaceToDepth(3, 2)(x), F.pixel_unshuffle(x, 3))
    assert torch.equal(SpaceToDepth(3, 2).inverse(F.pixel_unshuffle(x, 3)), x)


@settings(max_examples=25)
@given(
    factor=st.integers(1, 3),
    channels=st.integers(1, 3),
    blocks=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_space_to_depth_of_any_factor_and_number_of_axes(
    factor: int, channels: int, blocks: list[int]
) -> None:
    squeeze = SpaceToDepth(factor, len(blocks))
    x = torch.randn(2, channels, *[factor * n for n in blocks])
    y = squeeze(x)
    assert y.shape == (2, channels * factor ** len(blocks), *blocks)
    assert torch.equal(squeeze.inverse(y), x)
    offsets = list(product(range(factor), repeat=len(blocks)))
    for index, offset in enumerate(offsets):
        slices = (slice(None), channels - 1, *[slice(o, None, factor) for o in offset])
        assert torch.equal(y[:, (channels - 1) * len(offsets) + index], x[slices])


def test_space_to_depth_with_a_factor_for_each_axis() -> None:
    squeeze = SpaceToDepth((1, 1, 4), 3)
    x = torch.randn(2, 3, 5, 2, 8)
    y = squeeze(x)
    assert y.shape == (2, 12, 5, 2, 2)
    assert torch.equal(squeeze.inverse(y), x)
    assert all(torch.equal(y[:, 4 + k], x[:, 1, :, :, k::4]) for k in range(4))
    square = torch.randn(1, 2, 4, 6)
    assert torch.equal(SpaceToDepth((2, 2), 2)(square), SpaceToDepth(2, 2)(square))


def test_the_checkerboards_order_is_that_of_the_paper() -> None:
    x = torch.randn(2, 6, 4, 6)
    order = [(0, 0), (1, 1), (0, 1), (1, 0)]

    def positions(t: Tensor) -> list[Tensor]:
        return [t[:, :, i::2, j::2] for i, j in order]

    assert torch.equal(Checkerboard(2)(x), torch.cat(positions(x), 1))
    streams = [*positions(x[:, :3]), *positions(x[:, 3:])]
    assert torch.equal(Checkerboard(2, streams=2)(x), torch.cat(streams, 1))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("levels", [1, 2])
def test_each_stream_sees_a_checkerboard_of_the_whole_image(dims: int, levels: int) -> None:
    size = 4
    index = torch.stack(torch.meshgrid(*[torch.arange(size)] * dims, indexing="ij"))
    parity = (index.sum(0) % 2).float()[
        None, None
    ]  # 0 on the even fields of the board, 1 on the odd
    y = Checkerboard(dims)(parity)
    for _ in range(levels - 1):
        y = Checkerboard(dims, streams=2)(y)
    first, second = y.chunk(2, 1)
    assert not first.any()
    assert second.all()


def test_the_checkerboard_in_1d_divides_even_from_odd() -> None:
    assert Checkerboard(1)(torch.arange(6.0).reshape(1, 1, 6)).tolist() == [[[0, 2, 4], [1, 3, 5]]]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("low_pass_first", [True, False])
def test_haar_is_the_matrix_of_the_textbook(dims: int, low_pass_first: bool) -> None:
    one = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
    matrix = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(dims):
        matrix = torch.kron(matrix, one)
    x = torch.randn(2, 4, *[4 + 2 * axis for axis in range(dims)], dtype=torch.float64)
    blocks = SpaceToDepth(2, dims)(x).unflatten(1, (4, 2**dims))
    expected = torch.einsum("st,bct...->bcs...", matrix, blocks)
    if low_pass_first:
        expected = expected.transpose(1, 2)
    actual = Haar(dims, low_pass_first=low_pass_first)(x)
    torch.testing.assert_close(actual, expected.flatten(1, 2), rtol=0, atol=1e-14)


@pytest.mark.parametrize("low_pass_first", [True, False])
def test_haar_in_2d_is_freias(low_pass_first: bool) -> None:
    freia = pytest.importorskip("FrEIA.modules")
    oracle = freia.HaarDownsampling([(4, 4, 6)], order_by_wavelet=low_pass_first)
    haar, x = Haar(2, low_pass_first=low_pass_first), torch.randn(2, 4, 4, 6)
    (y,), log_det = oracle([x])
    torch.testing.assert_close(haar(x), y)
    assert log_det == pytest.approx(0)
    torch.testing.assert_close(haar.inverse(y), x)


def test_a_constant_image_has_no_detail_and_a_ramp_only_slopes() -> None:
    haar = Haar(3, low_pass_first=True)
    y = haar(torch.full((1, 1, 4, 4, 4), 2.0))
    torch.testing.assert_close(y[:, 0], torch.full((1, 2, 2, 2), 2 * 8**0.5))
    assert not y[:, 1:].any()
    ramp = (
        torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand(1, 1, 4, 4, 4)
    )  # rises along the first axis
    y = haar(ramp)
    assert [s for s in range(1, 8) if y[:, s].any()] == [4]
