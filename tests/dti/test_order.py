"""Component orders: dipy's conversions, and matrices and back."""

import itertools

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.dti import COMPONENTS, convert_order, frobenius, from_matrix, to_matrix
from medrev.errors import InputError

from .conftest import random_tensors

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


def test_errors():
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
