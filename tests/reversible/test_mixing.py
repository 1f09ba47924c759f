"""Mixings and permutations of channels, and their division into streams."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medrev.reversible import OrthogonalMixing, Permutation, Split


@settings(max_examples=30)
@given(channels=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_mixing_is_orthogonal_and_its_own_to_a_seed(channels: int, seed: int) -> None:
    state = torch.get_rng_state()
    mixing = OrthogonalMixing(channels, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    q = mixing.weight.double() + mixing.remainder
    torch.testing.assert_close(q @ q.T, torch.eye(channels, dtype=q.dtype), rtol=0, atol=1e-13)
    assert torch.equal(OrthogonalMixing(channels, seed=seed).weight, mixing.weight)
    x = torch.randn(3, channels, 2, 5)
    torch.testing.assert_close(mixing(x), torch.einsum("ij,bj...->bi...", mixing.weight, x))
    torch.testing.assert_close(mixing(x)[..., 0, 0], mixing(x[..., 0, 0]))  # (B, C) is taken too


def test_mixing_is_spread_evenly_over_the_orthogonal_matrices() -> None:
    # E[trace] = 0 and E[trace²] = 1 for the uniform distribution; QR without its signs has neither.
    traces = torch.tensor([OrthogonalMixing(4, seed=s).weight.trace() for s in range(400)])
    assert traces.mean().abs() < 0.2
    assert (traces**2).mean().item() == pytest.approx(1, abs=0.25)


def test_mixing_keeps_its_precision_under_autocast_and_in_half() -> None:
    mixing, x = OrthogonalMixing(8, seed=0), torch.randn(2, 8, 4, 4)
    expected = mixing(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mixing(x), expected)
    torch.testing.assert_close(mixing(x.bfloat16()).float(), expected, rtol=0, atol=0.05)
    assert mixing(x.bfloat16()).dtype == torch.bfloat16


def test_permutations_are_what_was_asked_for() -> None:
    x = torch.arange(5.0).reshape(1, 5, 1)
    assert Permutation([1, 0, 4, 2, 3])(x).flatten().tolist() == [1, 0, 4, 2, 3]
    assert Permutation.reversal(5)(x).flatten().tolist() == [4, 3, 2, 1, 0]
    state = torch.get_rng_state()
    orders = {tuple(Permutation.random(5, seed=seed).order.tolist()) for seed in range(20)}
    assert torch.equal(torch.get_rng_state(), state)
    assert len(orders) > 10


@pytest.mark.parametrize("kind", [OrthogonalMixing, Permutation.random])
def test_a_state_dict_restores_what_was_drawn(kind: Callable[..., nn.Module]) -> None:
    source, target, x = kind(6, seed=1), kind(6, seed=2), torch.randn(2, 6, 3)
    assert not torch.equal(source(x), target(x))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(x), target(x))
    assert torch.equal(source.inverse(x), target.inverse(x))


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4), dims=st.integers(0, 3))
def test_split_divides_and_reunites(sizes: list[int], dims: int) -> None:
    split, x = Split(sizes), torch.randn(2, sum(sizes), *[2] * dims)
    parts = split(x)
    assert [part.shape[1] for part in parts] == sizes
    assert all(part._base is x for part in parts)  # nothing was copied
    assert torch.equal(split.inverse(parts), x)
    assert split.log_det(x).tolist() == [0.0, 0.0]


def test_split_without_sizes_halves() -> None:
    x = torch.randn(2, 6, 3)
    a, b = Split()(x)
    assert torch.equal(a, x[:, :3])
    assert torch.equal(b, x[:, 3:])
    assert torch.equal(Split().inverse((a, b)), x)
