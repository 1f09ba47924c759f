"""Masks: the interior, coarser grids, the brain, and the errors of bad masks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data.meta_tensor import MetaTensor

from medrev.errors import GeometryError, InputError
from medrev.volumes import block_mask, brain_mask, check_mask, interior


@settings(max_examples=25)
@given(hnp.arrays(bool, (6, 5, 7), elements=st.sampled_from([True] * 20 + [False])))
def test_the_interior_is_what_its_definition_says(mask):
    thin = interior(torch.tensor(mask), edge=3).numpy()
    padded = np.pad(mask, 1)
    for i, j, k in np.ndindex(mask.shape):
        assert thin[i, j, k] == padded[i : i + 3, j : j + 3, k : k + 3].all()


def test_interior_of_a_full_volume_drops_the_border():
    thin = interior(torch.ones(1, 9, 9, 9))
    assert thin.shape == (1, 9, 9, 9)
    assert thin.sum() == 5**3
    assert thin[0, 2, 2, 2]
    assert interior(torch.ones(3, 3, 3), edge=1).all()
    with pytest.raises(InputError, match="odd"):
        interior(torch.ones(3, 3, 3), edge=4)


def test_blocks():
    mask = torch.zeros(1, 4, 4, 6, dtype=torch.bool)
    mask[0, 0, 0, 0] = True  # 1 of 8
    mask[0, :2, :2, 2] = True  # 4 of 8
    mask[0, 2:, 2:, 4:] = True  # 8 of 8
    expected = {"any": 3, "half": 2, "all": 1}
    for rule, count in expected.items():
        assert block_mask(mask, 2, rule).sum() == count
    assert block_mask(mask, 2).shape == (1, 2, 2, 3)
    with pytest.raises(InputError, match="multiples of the factor 4"):
        block_mask(mask, 4)
    with pytest.raises(InputError, match="any, all or half"):
        block_mask(mask, 2, "most")


def head(n, edge):
    """A bright ball of 16 mm radius in noise."""
    axis = (np.arange(n) - (n - 1) / 2) * edge
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    ball = x**2 + y**2 + z**2 < 16**2
    noise = np.random.default_rng(0).normal(0, 20, (2, n, n, n))
    affine = torch.diag(torch.tensor([edge, edge, edge, 1.0], dtype=torch.float64))
    volume = MetaTensor(torch.tensor(500 * ball + noise, dtype=torch.float32), affine=affine)
    return volume, torch.tensor(ball)[None]


def test_blocks_may_have_a_width_for_each_axis() -> None:
    mask = torch.zeros(1, 2, 2, 8, dtype=torch.bool)
    mask[0, 0, 0, :3] = True
    assert block_mask(mask, (1, 1, 4), "any")[0, 0, 0].tolist() == [True, False]
    assert block_mask(mask, (1, 1, 4), "half")[0, 0, 0].tolist() == [True, False]
    assert not block_mask(mask, (1, 1, 4), "all").any()
    assert block_mask(mask, (2, 2, 1), "any").shape == (1, 1, 1, 8)


@pytest.mark.parametrize(("n", "edge"), [(24, 2.0), (51, 1.0)])
def test_a_ball_is_found_at_either_resolution(n, edge):
    volume, ball = head(n, edge)
    mask = brain_mask(volume, median_radius=2, passes=1)
    assert mask.dtype == torch.bool
    assert mask.shape == (1, n, n, n)
    assert torch.equal(mask.affine, volume.affine)
    both, either = (mask & ball).sum(), (mask.sum() + ball.sum()) / 2
    assert both / either > 0.93


def test_no_brain_in_a_constant_volume():
    with pytest.raises(InputError, match="every voxel is 3"):
        brain_mask(torch.full((1, 8, 8, 8), 3.0))


def test_check_mask_accepts_any_inside_value_and_gives_bool():
    volume = MetaTensor(torch.zeros(6, 3, 4, 5), affine=torch.eye(4, dtype=torch.float64))
    mask = torch.zeros(1, 3, 4, 5)
    mask[0, 1] = 255
    checked = check_mask(mask, volume)
    assert checked.dtype == torch.bool
    assert checked.sum() == 20
    mask[0, 1, 2] *= 1 - 1e-6  # of a reader that scales in float32
    assert torch.equal(check_mask(mask, volume), checked)


def test_check_mask_errors():
    affine = torch.eye(4, dtype=torch.float64)
    volume = MetaTensor(torch.zeros(6, 3, 4, 5), affine=affine)
    full = torch.ones(1, 3, 4, 5)
    moved = affine.clone()
    moved[0, 3] = 0.5
    labels = full.clone()
    labels[0, 0, 0] = torch.arange(5)
    cases = [
        (torch.zeros(1, 3, 4, 5), InputError, "empty"),
        (full[..., :4], InputError, "mask has 3×4×4 voxels, dwi.nii has 3×4×5"),
        (full.expand(2, 3, 4, 5), InputError, "3D mask is needed, got 2 volumes"),
        (labels, InputError, "threshold"),
        (full * torch.nan, InputError, "NaN"),
        (-full, InputError, "one positive value inside"),
        (MetaTensor(full, affine=moved), GeometryError, "elsewhere than dwi.nii"),
    ]
    for mask, error, message in cases:
        with pytest.raises(error, match=f"m.nii: .*{message}"):
            check_mask(mask, volume, name="m.nii", volume_name="dwi.nii")


@pytest.mark.parametrize(("count", "inside"), [(13, False), (14, True)])
def test_half_of_an_odd_block_is_the_larger_half(count, inside):
    mask = torch.zeros(27)
    mask[:count] = 1
    assert block_mask(mask.reshape(1, 3, 3, 3), 3, "half").item() is inside
