import math

import numpy as np
import pytest
import torch

from medrev.dti import from_matrix, to_matrix
from medrev.errors import InputError
from medrev.evaluation import (
    direction_error,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
)

SHAPE = (5, 6, 7)


def random_tensors(seed: int) -> np.ndarray:
    """Positive-definite tensors (6, I, J, K), float64, of the size of brain's."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((*SHAPE, 3, 3))
    return np.moveaxis(from_matrix(4e-4 * a @ np.swapaxes(a, -1, -2) + 2e-4 * np.eye(3)), -1, 0)


def volume(matrix: np.ndarray) -> torch.Tensor:
    """One matrix in every voxel."""
    components = torch.from_numpy(from_matrix(matrix))
    return components[:, None, None, None].expand(6, *SHAPE).contiguous()


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(9).random(SHAPE) < 0.4


def test_rmse_is_the_papers_formula_voxel_by_voxel(mask):
    prediction, reference = random_tensors(0), random_tensors(1)
    total, count = 0.0, 0
    for i, j, k in zip(*np.nonzero(mask), strict=True):
        count += 1
        for c in range(6):
            total += (prediction[c, i, j, k] - reference[c, i, j, k]) ** 2
    expected = math.sqrt(total / (6 * count)) / 1e-5
    assert tensor_rmse(prediction, reference, mask) == pytest.approx(expected, rel=1e-12)
    in_torch = tensor_rmse(
        torch.from_numpy(prediction), torch.from_numpy(reference), torch.from_numpy(mask)[None]
    )
    assert in_torch == pytest.approx(expected, rel=1e-12)


def test_what_lies_outside_the_mask_never_counts(mask):
    reference = random_tensors(1)
    other = np.where(mask, reference, np.nan)
    assert tensor_rmse(other, reference, mask) == 0
    assert scalar_error(other, reference, mask)["fa"] == 0
    assert direction_error(other, reference, mask) == pytest.approx(0, abs=1e-6)


def test_scalar_errors_are_mean_absolute_differences_of_the_eigenvalue_formulas(mask):
    tensors = [random_tensors(seed) for seed in (0, 1)]
    maps = []
    for t in tensors:
        values = np.linalg.eigvalsh(to_matrix(np.moveaxis(t, 0, -1)))
        md = values.mean(-1)
        spread = ((values - md[..., None]) ** 2).sum(-1)
        fa = np.sqrt(1.5 * spread / (values**2).sum(-1))
        maps.append({"fa": fa, "md": md, "ad": values[..., 2], "rd": values[..., :2].mean(-1)})
    errors = scalar_error(tensors[0], tensors[1], mask)
    for name in ("fa", "md", "ad", "rd"):
        expected = np.abs(maps[0][name] - maps[1][name])[mask].mean()
        assert errors[name] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 0.01, 10.0, 60.0, 90.0, 150.0])
def test_direction_error_is_the_angle_of_rotation(degrees):
    angle = math.radians(degrees)
    rotation = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    fibre = np.diag([1.7e-3, 3e-4, 3e-4])
    error = direction_error(volume(rotation @ fibre @ rotation.T), volume(fibre), np.ones(SHAPE))
    assert error == pytest.approx(min(degrees, 180 - degrees), abs=1e-4)


def test_directions_of_isotropic_tensors_are_left_out(mask):
    fibre, ball = np.diag([1.7e-3, 3e-4, 3e-4]), np.diag([8e-4, 8e-4, 8e-4])
    reference = torch.where(torch.from_numpy(mask), volume(fibre), volume(ball))
    assert direction_error(volume(fibre), reference, np.ones(SHAPE)) == pytest.approx(0, abs=1e-4)
    with pytest.raises(InputError, match=r"FA > 0\.2"):
        direction_error(volume(fibre), volume(ball), mask)


def test_share_of_tensors_with_a_negative_eigenvalue():
    bad = volume(np.diag([1e-3, 1e-3, 1e-3])).clone()
    bad[5, 0] = -1e-4
    assert not_positive_definite(bad, np.ones(SHAPE)) == pytest.approx(1 / SHAPE[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, r, m: (p[:, :4], r, m), "same shape"),
        (lambda p, r, m: (p[:5], r[:5], m), "6 channels"),
        (lambda p, r, m: (p, r, m[:3]), "mask must have the volume's shape"),
        (lambda p, r, m: (p, r, m * 0), "empty mask"),
        (lambda p, r, m: (p * np.nan, r, m), "prediction must be finite"),
    ],
)
def test_what_cannot_be_compared_is_said(mask, change, message):
    arguments = change(random_tensors(0), random_tensors(1), mask)
    with pytest.raises(InputError, match=message):
        tensor_rmse(*arguments)
