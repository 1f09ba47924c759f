"""The closed form against LAPACK, also where eigenvalues are equal or matrices out of range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medrev.dti import eigh, from_matrix, rebuild, to_matrix

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
