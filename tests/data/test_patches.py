"""Positions: on the grid, inside the volume, with enough brain."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medrev.data.patches import all_positions, brain_share, cut, grid_positions
from medrev.errors import InputError

TWO = (2, 2, 2)


@given(
    shape=st.tuples(*[st.integers(6, 12)] * 3),
    size=st.integers(2, 6),
    factors=st.tuples(*[st.integers(1, 3)] * 3),
    seed=st.integers(0, 99),
)
def test_shares_are_those_of_counting(shape, size, factors, seed):
    mask = torch.as_tensor(np.random.default_rng(seed).random((1, *shape)) < 0.5)
    positions = all_positions(mask, size, factors, 0)
    share = brain_share(mask, size, positions)
    counted = [float(cut(mask.float(), p, size).mean()) for p in positions]
    np.testing.assert_allclose(share, counted, atol=1e-6)
    assert (positions % factors == 0).all()
    assert (positions + size <= np.array(shape)).all()
    assert len(positions) == np.prod(
        [(n - size) // factor + 1 for n, factor in zip(shape, factors, strict=True)]
    )


def test_the_grid_of_the_paper_has_125_patches():
    positions = grid_positions(torch.ones(1, 128, 128, 128), 24, TWO, 0.01)
    assert len(positions) == 125
    assert positions.min() == 4  # 8 voxels are left over: 4 at both ends
    assert positions.max() + 24 == 124


def test_stride_makes_patches_overlap():
    mask = torch.ones(1, 8, 8, 8)
    assert len(grid_positions(mask, 4, TWO, 0, stride=2)) == 27
    with pytest.raises(InputError, match=r"multiple of the factor \(2\), got 3"):
        grid_positions(mask, 4, TWO, 0, stride=3)


def test_patches_without_brain_are_dropped():
    mask = torch.zeros(1, 8, 8, 8)
    mask[0, :4, :4, :4] = 1
    np.testing.assert_array_equal(grid_positions(mask, 4, TWO, 0.5), [[0, 0, 0]])
    with pytest.raises(InputError, match=r"none of 8 patches .* \(at most 0.0%\)"):
        grid_positions(torch.zeros(1, 8, 8, 8), 4, TWO, 0.5)
    with pytest.raises(InputError, match="8×8×8 voxels is smaller than a patch of 10³"):
        all_positions(mask, 10, TWO, 0)


def test_grids_begin_at_whole_coarse_voxels():
    """Of 14 voxels a patch of 8 leaves 6: half of them, 3, is no multiple of the factor."""
    found = grid_positions(torch.ones(1, 14, 14, 14), 8, (2, 1, 3), 0.5, stride=6)
    firsts = [sorted(set(axis.tolist())) for axis in found.T]
    assert firsts == [[0, 6], [0, 6], [0, 6]]
    found = grid_positions(torch.ones(1, 14, 11, 13), 8, (2, 1, 3), 0.5, stride=24)
    assert found.tolist() == [[2, 1, 0]]
