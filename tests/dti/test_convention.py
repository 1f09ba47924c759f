"""Frames: rotation, round trips, FSL's reversed axis. Orders: dipy's conversions, matrices."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from scipy.spatial.transform import Rotation

from medrev.dti import (
    COMPONENTS,
    Gradients,
    convert_order,
    frame_matrix,
    frobenius,
    from_matrix,
    from_voxel_frame,
    rotate,
    scalar_maps,
    to_matrix,
    to_voxel_frame,
)
from medrev.errors import GeometryError, InputError

from .conftest import random_tensors

angles = st.tuples(*[st.floats(-180, 180)] * 3)
signs = st.tuples(*[st.sampled_from([-1, 1])] * 3)
frames = st.sampled_from(["fsl", "voxel", "ras"])


def affine_of(angles, signs, edges=(1.0, 2.0, 3.0)):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] *= np.array(edges) * signs
    return affine


def matrices(t):
    return to_matrix(np.moveaxis(np.asarray(t), 0, -1))


@given(angles)
def test_rotate_is_r_d_r_transposed(angles):
    R = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    t = random_tensors()
    expected = R @ matrices(t) @ R.T
    np.testing.assert_allclose(matrices(rotate(t, R)), expected, atol=1e-15)
    np.testing.assert_allclose(matrices(rotate(t.numpy(), R)), expected, atol=1e-15)
    batch = rotate(torch.stack([t, 2 * t]), torch.as_tensor(R))
    np.testing.assert_allclose(matrices(batch[1]), 2 * expected, atol=1e-15)


@given(angles, signs, frames)
def test_frames_round_trip_and_leave_invariants(angles, signs, frame):
    affine, t = affine_of(angles, signs), random_tensors()
    voxel = to_voxel_frame(t, affine, frame)
    torch.testing.assert_close(from_voxel_frame(voxel, affine, frame), t, atol=1e-15, rtol=0)
    fa = scalar_maps(t)["fa"]
    torch.testing.assert_close(scalar_maps(voxel)["fa"], fa, atol=1e-6, rtol=0)


@given(angles, signs)
def test_a_fibre_along_an_array_axis_is_that_axis_in_the_voxel_frame(angles, signs):
    affine = affine_of(angles, signs)
    for axis in range(3):
        fibre = affine[:3, axis] / np.linalg.norm(affine[:3, axis])  # in the world
        ras = torch.as_tensor(np.outer(fibre, fibre)[np.triu_indices(3)]).reshape(6, 1, 1, 1)
        expected = np.zeros((3, 3))
        expected[axis, axis] = 1
        found = matrices(to_voxel_frame(ras, affine, "ras"))[0, 0, 0]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_fsl_equals_the_voxel_frame_where_the_determinant_is_negative(tensors):
    negative, positive = np.diag([-2.0, 2, 2, 1]), np.diag([2.0, 2, 2, 1])
    assert torch.equal(to_voxel_frame(tensors, negative, "fsl"), tensors)
    flipped = to_voxel_frame(tensors, positive, "fsl")
    assert torch.equal(flipped, tensors * torch.tensor([1, -1, -1, 1, 1, 1]).reshape(6, 1, 1, 1))


@given(angles, signs)
def test_b_vectors_and_tensors_share_the_fsl_convention(angles, signs):
    affine = affine_of(angles, signs)
    bvecs = Rotation.random(8, random_state=0).as_matrix()[:, 0]
    gradients = Gradients(np.r_[0, np.full(8, 1000.0)], np.vstack([np.zeros(3), bvecs]))
    t = random_tensors((1, 1, 1))
    voxel, turned = to_voxel_frame(t, affine, "fsl"), gradients.in_voxel_frame(affine)
    before = np.einsum("na,ab,nb->n", gradients.bvecs, matrices(t)[0, 0, 0], gradients.bvecs)
    after = np.einsum("na,ab,nb->n", turned.bvecs, matrices(voxel)[0, 0, 0], turned.bvecs)
    np.testing.assert_allclose(after, before, atol=1e-15)


def test_frame_matrix_stays_orthogonal_for_a_slight_shear():
    affine = np.eye(4)
    affine[0, 1] = 9e-4
    U = frame_matrix(affine, "ras")
    np.testing.assert_allclose(U @ U.T, np.eye(3), atol=1e-14)


def test_affine_and_dtype_are_kept(tensors):
    t = MetaTensor(tensors.float(), affine=torch.eye(4) * 2)
    turned = rotate(t, Rotation.from_euler("x", 0.3).as_matrix())
    assert isinstance(turned, MetaTensor)
    assert turned.dtype == torch.float32
    assert torch.equal(turned.affine, t.affine)


def test_errors_of_frames(tensors):
    with pytest.raises(InputError, match="fsl, voxel or ras, got 'lps'"):
        to_voxel_frame(tensors, np.eye(4), "lps")
    with pytest.raises(GeometryError, match="singular"):
        to_voxel_frame(tensors, np.diag([1.0, 1, 0, 1]), "ras")
    with pytest.raises(GeometryError, match="orthogonal"):
        rotate(tensors, 2 * np.eye(3))
    with pytest.raises(InputError, match="6, I, J, K"):
        rotate(tensors[:5], np.eye(3))


NAMES = {
    "fsl": ("xx", "xy", "xz", "yy", "yz", "zz"),
    "dipy": ("xx", "xy", "yy", "xz", "yz", "zz"),
    "ants": ("xx", "xy", "yy", "xz", "yz", "zz"),
    "mrtrix": ("xx", "yy", "zz", "xy", "xz", "yz"),
}


def test_our_order_is_fsls():
    assert tuple(f"D{name}" for name in NAMES["fsl"]) == COMPONENTS


@pytest.mark.parametrize(("source", "target"), list(itertools.product(NAMES, NAMES)))
def test_every_component_arrives(source, target):
    value = {name: n for n, name in enumerate(NAMES["fsl"])}
    volume = torch.tensor([value[n] for n in NAMES[source]]).float().reshape(6, 1, 1, 1)
    t = MetaTensor(volume.expand(6, 2, 3, 1), affine=torch.eye(4) * 2)
    converted = convert_order(t, source, target)
    assert converted.shape == t.shape
    assert converted[:, 1, 2, 0].tolist() == [value[n] for n in NAMES[target]]
    assert torch.equal(converted.affine, t.affine)
    assert torch.equal(convert_order(converted, target, source).as_tensor(), t.as_tensor())


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_matrix_and_back(make):
    components = make(np.random.default_rng(0).normal(size=(4, 5, 6)))
    matrix = to_matrix(components)
    assert matrix.shape == (4, 5, 3, 3)
    assert (matrix == matrix.swapaxes(-1, -2)).all()
    assert (from_matrix(matrix) == components).all()
    for n, name in enumerate(COMPONENTS):
        row, column = ("xyz".index(letter) for letter in name[1:])
        assert (matrix[..., row, column] == components[..., n]).all()


def test_errors_of_orders():
    with pytest.raises(InputError, match="one of fsl, dipy, mrtrix, ants, got 'camino'"):
        convert_order(torch.zeros(6, 1, 1, 1), "camino", "fsl")
    with pytest.raises(InputError, match=r"\(6, I, J, K\)"):
        convert_order(torch.zeros(2, 6, 1, 1), "dipy", "fsl")
    with pytest.raises(InputError, match="six components"):
        to_matrix(np.zeros((6, 5)))
    with pytest.raises(InputError, match="3×3"):
        from_matrix(np.zeros((6, 3)))


def test_the_frobenius_norm_counts_components_off_the_diagonal_twice():
    tensors = random_tensors((2, 3, 4)).double()
    expected = torch.linalg.matrix_norm(to_matrix(tensors.movedim(0, -1))) ** 2
    torch.testing.assert_close(frobenius(tensors)[0], expected)
