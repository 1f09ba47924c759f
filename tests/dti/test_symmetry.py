"""The 48 symmetries: a group, exact, and consistent between arrays and tensors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor

from medrev.dti import (
    SYMMETRIES,
    apply_symmetry,
    apply_symmetry_scalar,
    ensemble_symmetries,
    from_matrix,
    principal_direction,
    rotate,
    symmetries,
)
from medrev.errors import InputError

from .conftest import random_tensors

members = st.sampled_from(SYMMETRIES)


def test_there_are_48_that_form_a_group():
    keys = {s.tobytes() for s in SYMMETRIES}
    assert len(keys) == 48
    assert np.array_equal(SYMMETRIES[0], np.eye(3))
    assert all((a @ b).tobytes() in keys for a, b in itertools.product(SYMMETRIES, SYMMETRIES))
    assert {round(np.linalg.det(s)) for s in symmetries(flips=False)} == {1}


@given(members, members)
def test_they_compose_and_undo(a, b):
    t = random_tensors((3, 4, 5))
    both = apply_symmetry(apply_symmetry(t, a), b)
    assert torch.equal(both, apply_symmetry(t, b @ a))
    assert torch.equal(apply_symmetry(apply_symmetry(t, a), a.T), t)
    mask = t[0] > 1e-3
    assert torch.equal(apply_symmetry_scalar(apply_symmetry_scalar(mask, a), a.T), mask)


@given(members)
def test_tensors_turn_as_rotate_says_and_voxels_go_where_s_says(s):
    t = random_tensors((3, 4, 5))
    turned = apply_symmetry(t, s)
    torch.testing.assert_close(
        turned, apply_symmetry_scalar(rotate(t, s), s), atol=1e-18, rtol=1e-15
    )
    middle = (np.array([3, 4, 5]) - 1) / 2
    new_middle = (np.array(turned.shape[1:]) - 1) / 2
    for x in ([0, 0, 0], [2, 1, 3], [1, 3, 4]):
        i, j, k = np.rint(s @ (np.array(x) - middle) + new_middle).astype(int)
        here = rotate(t, s)[:, x[0], x[1], x[2]]
        torch.testing.assert_close(turned[:, i, j, k], here, atol=1e-18, rtol=1e-15)


@given(members)
def test_a_fibre_bundle_stays_a_fibre_bundle(s):
    """Tensors point along a bent line of bright voxels, before and after."""
    path = np.array([[1, 1, 1], [2, 1, 1], [3, 2, 1], [4, 3, 2], [4, 4, 3]])
    t, label = torch.zeros(6, 6, 6, 6), torch.zeros(6, 6, 6)
    for n, (voxel, step) in enumerate(zip(path[:-1], np.diff(path, axis=0), strict=True)):
        direction = step / np.linalg.norm(step)
        t[:, voxel[0], voxel[1], voxel[2]] = torch.as_tensor(
            from_matrix(np.outer(direction, direction) + 0.1 * np.eye(3))
        ).float()
        label[tuple(voxel)] = n + 1
    label[tuple(path[-1])] = len(path)
    direction = principal_direction(apply_symmetry(t, s)).numpy()
    moved = apply_symmetry_scalar(label, s)
    places = [np.argwhere(moved.numpy() == n + 1)[0] for n in range(len(path))]
    for here, there in itertools.pairwise(places):
        step = (there - here) / np.linalg.norm(there - here)
        assert abs(float(direction[:, here[0], here[1], here[2]] @ step)) > 0.999


@pytest.mark.parametrize("axis", range(3))
def test_a_mirror_image_negates_two_off_diagonals(axis):
    t, mirror = random_tensors(), np.eye(3, dtype=int)
    mirror[axis, axis] = -1
    sign = [[1, -1, -1, 1, 1, 1], [1, -1, 1, 1, -1, 1], [1, 1, -1, 1, -1, 1]][axis]
    expected = t.flip(axis + 1) * torch.tensor(sign).reshape(6, 1, 1, 1)
    assert torch.equal(apply_symmetry(t, mirror), expected)


def test_a_quarter_turn_moves_voxels_as_torch():
    volume, turn = torch.rand(3, 4, 5), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert torch.equal(apply_symmetry_scalar(volume, turn), torch.rot90(volume, 1, (0, 1)))


def test_batches_and_meta_tensors_give_plain_contiguous_tensors():
    t = random_tensors()
    batch = torch.stack([t, -t])
    turned = apply_symmetry(batch, SYMMETRIES[-1])
    assert torch.equal(turned[1], -apply_symmetry(t, SYMMETRIES[-1]))
    assert turned.is_contiguous()
    plain = apply_symmetry(MetaTensor(t, affine=torch.eye(4)), SYMMETRIES[9])
    assert type(plain) is torch.Tensor


def test_errors():
    for matrix in (2 * np.eye(3), np.ones((3, 3)), np.eye(2), np.diag([1, 1, 0])):
        with pytest.raises(InputError, match="signed 3×3 permutation"):
            apply_symmetry_scalar(torch.zeros(2, 2, 2), matrix)
    with pytest.raises(InputError, match="6, I, J, K"):
        apply_symmetry(torch.zeros(5, 2, 2, 2), np.eye(3))


def test_small_ensembles_are_the_groups_that_leave_tensors_or_handedness():
    groups = {count: {tuple(np.diag(s)) for s in ensemble_symmetries(count)} for count in (2, 4, 8)}
    assert groups[2] == {(1, 1, 1), (-1, -1, -1)}
    assert groups[4] == {(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)}
    assert groups[8] == set(itertools.product((1, -1), repeat=3))
