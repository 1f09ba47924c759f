"""Positive-definite tensors, against eigenvalues; eigenvalues in closed form, against LAPACK."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra.numpy import arrays
from monai.data.meta_tensor import MetaTensor
from scipy.linalg import logm

from medrev.dti import (
    eigh,
    exp_euclidean,
    from_matrix,
    is_positive_definite,
    log_euclidean,
    rebuild,
    repair,
    rotate,
    to_matrix,
)
from medrev.errors import InputError

from .conftest import random_tensors

components = hnp.arrays(np.float64, (6, 2, 2, 2), elements=st.floats(-1, 1, width=32))


def eigenvalues(t):
    return np.linalg.eigvalsh(to_matrix(np.moveaxis(np.asarray(t, dtype=np.float64), 0, -1)))


@given(components, st.sampled_from([0.0, 0.1]))
def test_the_criterion_agrees_with_eigenvalues(values, floor):
    smallest = eigenvalues(values)[..., 0] - floor
    clear = np.abs(smallest) > 1e-6
    found = is_positive_definite(torch.as_tensor(values), floor).numpy()
    np.testing.assert_array_equal(found[clear], smallest[clear] > 0)


@given(components, st.sampled_from([torch.float32, torch.float64]))
def test_repair_clamps_and_leaves_good_tensors_as_they_are(values, dtype):
    t = torch.as_tensor(values).to(dtype) * 1e-3
    fixed, count = repair(t, 1e-5)
    background = (t == 0).all(dim=0)
    good = is_positive_definite(t, 1e-5)
    assert count == int((~good & ~background).sum())
    assert torch.equal(fixed[:, good], t[:, good])
    assert (fixed[:, background] == 0).all()
    assert is_positive_definite(fixed, 1e-5)[~background].all()
    expected = np.maximum(eigenvalues(t), 1e-5)
    inside = ~background.numpy()
    np.testing.assert_allclose(eigenvalues(fixed)[inside], expected[inside], atol=5e-8)
    assert repair(fixed, 1e-5)[1] == 0


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([(torch.float32, 1e-8), (torch.float64, 1e-15)]))
def test_log_euclidean_round_trip(seed, kind):
    dtype, tolerance = kind
    t = random_tensors(seed=seed, dtype=dtype)
    t[:, 0] = 0
    logarithm = log_euclidean(t)
    assert logarithm.dtype == dtype
    assert (logarithm[:, 0] == 0).all()
    torch.testing.assert_close(exp_euclidean(logarithm), t, atol=tolerance, rtol=0)


def test_it_is_the_matrix_logarithm_and_turns_with_the_tensor(tensors):
    logarithm = log_euclidean(tensors)
    one = to_matrix(tensors[:, 1, 2, 3].numpy())
    np.testing.assert_allclose(to_matrix(logarithm[:, 1, 2, 3].numpy()), logm(one), atol=1e-10)
    R, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    torch.testing.assert_close(log_euclidean(rotate(tensors, R)), rotate(logarithm, R))


def test_the_log_euclidean_mean_does_not_swell():
    """det of the mean is the geometric mean of the determinants (Arsigny et al. 2006)."""
    t = random_tensors((1, 1, 2), seed=4)
    mean = log_euclidean(t).mean(dim=3, keepdim=True)
    product = np.prod(eigenvalues(t), axis=-1)
    found = np.prod(eigenvalues(exp_euclidean(mean)), axis=-1)
    np.testing.assert_allclose(found.ravel(), np.sqrt(product.prod()), rtol=1e-9)


def test_affines_are_kept_and_chunks_do_not_show(tensors, monkeypatch):
    t = MetaTensor(tensors, affine=torch.eye(4) * 2)
    whole = log_euclidean(t)
    monkeypatch.setattr("medrev.dti.spd.CHUNK", 7)
    assert torch.equal(log_euclidean(t).as_tensor(), whole.as_tensor())
    for result in (whole, exp_euclidean(whole), repair(t)[0], is_positive_definite(t)):
        assert torch.equal(result.affine, t.affine)


def test_errors(tensors):
    tensors[:, 0, 0, 0] = torch.tensor([-1e-3, 0, 0, 1e-3, 0, 1e-3])
    with pytest.raises(InputError, match="1 tensor is not positive definite"):
        log_euclidean(tensors)
    with pytest.raises(InputError, match="floor"):
        repair(tensors, 0)
    with pytest.raises(InputError, match="6, I, J, K"):
        repair(tensors[:3])


ROUNDING = 1e-14  # times the largest component


def check(matrices: np.ndarray) -> None:
    components = from_matrix(matrices).T
    matrices = to_matrix(components.T)
    values, vectors = eigh(components)
    scale = np.abs(components).max(axis=0)
    scale[scale == 0] = 1
    lapack = np.linalg.eigvalsh(matrices)[:, ::-1].T
    assert (np.abs(values - lapack) <= ROUNDING * scale).all()
    assert (np.diff(values, axis=0) <= 0).all()
    columns = np.moveaxis(vectors, -1, 0)
    np.testing.assert_allclose(
        np.swapaxes(columns, 1, 2) @ columns, np.broadcast_to(np.eye(3), matrices.shape), atol=1e-14
    )
    residual = matrices @ columns - columns * values.T[:, None]
    assert (np.abs(residual).max(axis=(1, 2)) <= ROUNDING * scale).all()
    assert (np.abs(rebuild(values, vectors) - components) <= ROUNDING * scale).all()


def turned(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes, _ = np.linalg.qr(rng.standard_normal((len(values), 3, 3)))
    return (axes * values[:, None]) @ np.swapaxes(axes, 1, 2)


@pytest.mark.parametrize("gap", [0, 1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-3, 1])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 0.3), (1.7, 1, 1), (1, 1, -1)])
def test_nearly_equal_eigenvalues_are_exact(gap, shape):
    rng = np.random.default_rng(0)
    check(turned(1e-3 * (np.array(shape) + gap * rng.random((500, 3))), rng))


@pytest.mark.parametrize("scale", [1e-200, 1e-5, 1, 1e200])
def test_any_scale(scale):
    check(scale * np.random.default_rng(1).standard_normal((500, 3, 3)))


def test_zero_and_diagonal_matrices():
    check(np.stack([np.zeros((3, 3)), np.eye(3), np.diag([1.0, 3, 2]), np.diag([-1.0, 0, 0])]))


@given(arrays(np.float64, (4, 3, 3), elements=st.floats(-1, 1, width=16)))
def test_any_matrix(matrices):
    check(matrices)


def test_chunks_do_not_show(monkeypatch):
    components = np.random.default_rng(2).standard_normal((6, 50))
    whole = eigh(components)
    monkeypatch.setattr("medrev.dti.spd.MATRICES", 7)
    for a, b in zip(whole, eigh(components), strict=True):
        assert np.array_equal(a, b)


def test_no_matrices():
    values, vectors = eigh(np.zeros((6, 0)))
    assert values.shape == (3, 0)
    assert vectors.shape == (3, 3, 0)
