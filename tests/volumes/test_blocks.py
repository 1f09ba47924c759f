"""Blocks of fine voxels, and values whose block means are given."""

import pytest
import torch

from medrev.volumes import block_mean, blocks_of, from_blocks, onto_means, with_means


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 1, 5), (3, 1, 2), (2, 3)])
def test_blocks_hold_what_the_block_mean_averages(factors):
    values = torch.rand(2, *(3 * r for r in factors), dtype=torch.float64)
    blocks = blocks_of(values, factors)
    torch.testing.assert_close(blocks.mean(dim=-1), block_mean(values[None], factors)[0])
    assert torch.equal(from_blocks(blocks, factors), values)


def test_every_voxel_of_a_block_moves_by_as_much():
    y = torch.tensor([1.0, 3.0, 5.0, 5.0]).reshape(1, 1, 4, 1)
    moved = onto_means(y, torch.tensor([4.0, 0.0]).reshape(1, 1, 2, 1), (2, 1))
    assert moved.flatten().tolist() == [3, 5, 0, 0]


@pytest.mark.parametrize("count", [2, 8, 5, 64])
def test_means_of_what_is_positive_are_exact(count):
    """Rounded to float32, not one differs."""
    random = torch.Generator().manual_seed(count)
    blocks = torch.rand(4000, count, generator=random) * 1000
    means = torch.rand(4000, generator=random) * 1000 + 500
    found = with_means(blocks, means)
    assert found.dtype == torch.float32
    assert torch.equal(found.double().mean(dim=-1).float(), means)
    moved = found - blocks
    apart = (moved - moved.mean(dim=-1, keepdim=True)).abs().max()
    assert apart < count * 1e-4  # rounding alone


def test_means_near_zero_are_as_exact_as_their_voxels_allow():
    random = torch.Generator().manual_seed(0)
    blocks, means = torch.randn(4000, 8, generator=random), torch.randn(4000, generator=random)
    found = with_means(blocks, 1e-3 * means).double()
    unit = torch.finfo(torch.float32).eps * found.abs().amin(dim=-1)
    assert ((found.mean(dim=-1) - (1e-3 * means).double()).abs() <= unit / 8 + 1e-15).all()
