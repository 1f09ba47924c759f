import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import logm

from medrev.dti import from_matrix, to_matrix
from medrev.errors import InputError

from .measured import measured

tensor_rmse = partial(measured, "rmse")
direction_error = partial(measured, "direction_error")
weighted_direction_error = partial(measured, "weighted_direction_error")
frobenius_distance = partial(measured, "frobenius")
log_euclidean_distance = partial(measured, "log_euclidean")

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
    assert measured("mae", other, reference, mask, "FA") == 0
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
    for name in ("fa", "md", "ad", "rd"):
        expected = np.abs(maps[0][name] - maps[1][name])[mask].mean()
        found = measured("mae", *tensors, mask, name.upper())
        assert found == pytest.approx(expected if name == "fa" else 1e5 * expected, rel=1e-5)


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
    found = measured("not_positive_definite", bad, bad, np.ones(SHAPE))
    assert found == pytest.approx(100 / SHAPE[0])


def test_components_make_up_the_rmse(mask):
    prediction, reference = random_tensors(0), random_tensors(1)
    names = ("Dxx", "Dxy", "Dxz", "Dyy", "Dyz", "Dzz")
    parts = {name: tensor_rmse(prediction, reference, mask, name) for name in names}
    difference = (prediction[3] - reference[3])[mask]
    assert parts["Dyy"] == pytest.approx(1e5 * np.sqrt(np.mean(difference**2)), rel=1e-12)
    whole = tensor_rmse(prediction, reference, mask)
    assert math.sqrt(np.mean(np.square(list(parts.values())))) == pytest.approx(whole, rel=1e-12)


def test_bias_and_rmse_of_the_mean_diffusivity_are_those_of_the_trace(mask):
    prediction, reference = random_tensors(0), random_tensors(1)
    trace = (prediction - reference)[[0, 3, 5]].sum(axis=0)[mask] / 3
    bias, rmse = (measured(m, prediction, reference, mask, "MD") for m in ("bias", "rmse"))
    assert bias == pytest.approx(1e5 * trace.mean(), rel=1e-9)
    assert rmse == pytest.approx(1e5 * np.sqrt((trace**2).mean()), rel=1e-9)


def test_distances_are_those_of_the_matrices_voxel_by_voxel(mask):
    pair = random_tensors(0), random_tensors(1)
    one, two = (to_matrix(np.moveaxis(t, 0, -1)[mask]) for t in pair)
    expected = np.mean([np.linalg.norm(a - b) for a, b in zip(one, two, strict=True)])
    assert frobenius_distance(*pair, mask) == pytest.approx(1e5 * expected, rel=1e-12)
    logarithms = [logm(1e3 * a) - logm(1e3 * b) for a, b in zip(one, two, strict=True)]
    expected = np.mean([np.linalg.norm(difference) for difference in logarithms])
    assert log_euclidean_distance(*pair, mask) == pytest.approx(expected, rel=1e-9)


def test_log_euclidean_distance_counts_ratios_and_every_voxel():
    fibre = np.diag([1.7e-3, 3e-4, 3e-4])
    everywhere = np.ones(SHAPE)
    doubled = log_euclidean_distance(volume(2 * fibre), volume(fibre), everywhere)
    assert doubled == pytest.approx(math.sqrt(3) * math.log(2), rel=1e-9)
    broken = np.diag([1.7e-3, 3e-4, -3e-4])  # its last eigenvalue counts as 1e-6 mm²/s
    found = log_euclidean_distance(volume(broken), volume(fibre), everywhere)
    assert found == pytest.approx(math.log(300), rel=1e-9)


def test_the_weighted_angle_is_the_mean_over_voxels_times_their_fa(mask):
    pair = random_tensors(0), random_tensors(1)
    total = weights = 0.0
    for voxel in zip(*np.nonzero(mask), strict=True):
        one, two = (to_matrix(t[(slice(None), *voxel)]) for t in pair)
        values, vectors = np.linalg.eigh(two)
        fa = math.sqrt(1.5 * ((values - values.mean()) ** 2).sum() / (values**2).sum())
        cosine = abs(np.linalg.eigh(one)[1][:, 2] @ vectors[:, 2])
        total += fa * math.degrees(math.acos(min(1.0, cosine)))
        weights += fa
    assert weighted_direction_error(*pair, mask) == pytest.approx(total / weights, rel=1e-9)


def test_a_prediction_of_zeros_has_no_direction():
    fibre = volume(np.diag([1.7e-3, 3e-4, 3e-4]))
    for error in (direction_error, weighted_direction_error):
        assert error(0 * fibre, fibre, np.ones(SHAPE)) == pytest.approx(90)
    with pytest.raises(InputError, match="FA above 0"):
        weighted_direction_error(fibre, 0 * fibre, np.ones(SHAPE))


@given(st.integers(0, 99), st.floats(0.1, 10), st.permutations(range(4)))
def test_metrics_turn_and_scale_with_the_tensors_and_ignore_the_order_of_voxels(seed, scale, order):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((2, 4, 3, 3))
    matrices = 4e-4 * a @ np.swapaxes(a, -1, -2) + 1e-4 * np.eye(3)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    changed = scale * turn @ matrices[:, order] @ turn.T
    one, two, turned_one, turned_two = (
        from_matrix(m).T.reshape(6, 4, 1, 1) for m in (*matrices, *changed)
    )
    everywhere = np.ones((4, 1, 1))
    before, after = (one, two, everywhere), (turned_one, turned_two, everywhere)
    for metric in (weighted_direction_error, log_euclidean_distance):
        assert metric(*after) == pytest.approx(metric(*before), rel=1e-6, abs=1e-9)
    expected = scale * frobenius_distance(*before)
    assert frobenius_distance(*after) == pytest.approx(expected, rel=1e-9)
    swapped = frobenius_distance(turned_two, turned_one, everywhere)
    assert swapped == pytest.approx(expected, rel=1e-9)
    for name in ("FA", "MD", "AD", "RD"):
        expected = measured("mae", *before, name) * (1 if name == "FA" else scale)
        assert measured("mae", *after, name) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, r, m: (p[:, :4], r, m), "same shape"),
        (lambda p, r, m: (p, r, m[:3]), "mask must have the volume's shape"),
        (lambda p, r, m: (p, r, m * 0), "empty mask"),
        (lambda p, r, m: (p * np.nan, r, m), "prediction must be finite"),
    ],
)
def test_what_cannot_be_compared_is_said(mask, change, message):
    arguments = change(random_tensors(0), random_tensors(1), mask)
    with pytest.raises(InputError, match=message):
        tensor_rmse(*arguments)
