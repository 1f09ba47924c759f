"""Affines: field of view, world ramps, and the errors of bad ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from scipy.spatial.transform import Rotation

from medrev.errors import GeometryError
from medrev.volumes import (
    block_mean,
    check_affine,
    crop_to_multiple,
    read_nifti,
    rectify_affine,
    rescale_affine,
    same_grid,
    upsample,
    voxel_size,
    write_nifti,
)


@st.composite
def affines(draw):
    """Oblique, anisotropic, of either handedness."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    edges = draw(st.tuples(*[st.floats(0.5, 4)] * 3))
    signs = draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    origin = draw(st.tuples(*[st.floats(-150, 150)] * 3))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] *= np.array(edges) * signs
    affine[:3, 3] = origin
    return affine


def world(affine, shape):
    """World coordinates of every voxel centre, (3, I, J, K), float64."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")).reshape(3, -1)
    return torch.as_tensor((affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape))


@given(affines(), st.integers(1, 5))
def test_the_outer_corner_stays_and_edges_grow(affine, r):
    new = rescale_affine(affine, r)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(new @ corner, affine @ corner, atol=1e-9)
    np.testing.assert_allclose(voxel_size(new), np.array(voxel_size(affine)) * r)


@given(affines(), st.floats(0.1, 8), st.floats(0.1, 8))
def test_ratios_multiply_and_undo_each_other(affine, r, s):
    twice = rescale_affine(rescale_affine(affine, r), s)
    np.testing.assert_allclose(twice, rescale_affine(affine, r * s), atol=1e-9)
    np.testing.assert_allclose(rescale_affine(rescale_affine(affine, r), 1 / r), affine, atol=1e-9)


def test_a_tensor_gives_a_tensor_and_axes_may_differ():
    new = rescale_affine(torch.eye(4, dtype=torch.float64), (1, 2, 3))
    assert isinstance(new, torch.Tensor)
    assert new.diag().tolist() == [1, 2, 3, 1]
    assert new[:3, 3].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("ratio", [0, -1, np.nan])
def test_a_ratio_that_is_not_positive_is_an_error(ratio):
    with pytest.raises(GeometryError, match="must be positive"):
        rescale_affine(np.eye(4), ratio)


@settings(max_examples=20)
@given(
    affines(),
    st.tuples(*[st.integers(9, 15)] * 3),
    st.integers(2, 3),
)
def test_a_world_ramp_survives_block_mean_and_interpolation(affine, shape, r):
    fine, _ = crop_to_multiple(MetaTensor(world(affine, shape), affine=torch.tensor(affine)), r)
    coarse = block_mean(fine.as_tensor()[None], r)
    expected = world(rescale_affine(affine, r), coarse.shape[2:])
    torch.testing.assert_close(coarse[0], expected, atol=1e-9, rtol=0)

    again = upsample(coarse, r, "trilinear")[0]
    inner = (slice(None), *[slice(r, n - r) for n in again.shape[1:]])
    torch.testing.assert_close(again[inner], fine.as_tensor()[inner], atol=1e-9, rtol=0)
    back = rescale_affine(rescale_affine(affine, r), 1 / r)
    assert same_grid(back, affine, shape=shape, tolerance=1e-9)


@settings(max_examples=20)
@given(affines(), st.tuples(*[st.integers(1, 7)] * 3))
def test_a_world_ramp_survives_a_file(tmp_path_factory, affine, shape):
    path = tmp_path_factory.mktemp("ramp") / "ramp.nii"
    write_nifti(path, MetaTensor(world(affine, shape), affine=torch.tensor(affine)))
    read = read_nifti(path)
    torch.testing.assert_close(
        read.as_tensor().double(), world(read.affine.numpy(), shape), atol=1e-4, rtol=0
    )
    assert same_grid(read.affine, affine, shape=shape)


@given(affines())
def test_good_affines_pass(affine):
    np.testing.assert_array_equal(check_affine(affine), affine)


def _with(affine, row, column, value):
    affine = np.array(affine, dtype=float)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), "must be 4×4"),
        (_with(np.eye(4), 0, 3, np.nan), "must be finite"),
        (_with(np.eye(4), 1, 1, 0), "singular"),
        (np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]), "singular"),
        (_with(np.eye(4), 3, 0, 1), "last row"),
        (_with(np.eye(4), 0, 2, 0.01), "sheared.*axes i and k.*89.43°"),
    ],
)
def test_bad_affines_are_named(affine, message):
    with pytest.raises(GeometryError, match=f"scan.nii: .*{message}"):
        check_affine(affine, "scan.nii")


def test_a_shear_below_one_in_a_thousand_passes():
    check_affine(_with(np.eye(4), 0, 2, 9e-4))


def test_grids_are_compared_at_their_far_corner():
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("z", 1e-6).as_matrix()
    assert same_grid(np.eye(4), turned, shape=(50, 50, 50))
    assert not same_grid(np.eye(4), turned, shape=(200, 200, 200))


def test_a_shear_is_taken_out_around_the_middle_of_the_grid():
    sheared = np.diag([2.0, 2, 2, 1])
    sheared[0, 1] = 2e-3
    sheared[:3, 3] = 5, -7, 3
    mended, _ = rectify_affine(sheared, (41, 61, 81))
    middle = np.array([20, 30, 40, 1])
    np.testing.assert_allclose(mended @ middle, sheared @ middle, atol=1e-9)
    axes = mended[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-9)
