"""Positive-definite tensors: the test against eigenvalues, repair, log-Euclidean round trip."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data.meta_tensor import MetaTensor
from scipy.linalg import logm

from medrev.dti import exp_euclidean, is_positive_definite, log_euclidean, repair, rotate, to_matrix
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
