"""Signals of blocks, and the increments that give a measured fit back."""

import numpy as np
import pytest
import torch

from medrev.dti import Gradients, LinearFit, fit_signal, fit_tensor

from .conftest import random_tensors
from .test_fit import GRADIENTS, signal_of


def blocks(count=50, size=8, seed=0):
    """ln S0 and tensors of blocks of unlike voxels: θ (V, R, 7)."""
    t = random_tensors((count, size, 1), seed)[..., 0].movedim(0, -1)
    s0 = torch.as_tensor(np.random.default_rng(seed).uniform(5, 8, (count, size, 1)))
    return torch.cat([t, s0], dim=-1)


@pytest.mark.parametrize("weighted", [True, False])
def test_signals_of_one_tensor_give_it_back(weighted):
    fit, theta = LinearFit(GRADIENTS, weighted=weighted), blocks()[:, 0]
    torch.testing.assert_close(fit(theta @ fit.design.T), theta, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(fit.of_blocks(theta[:, None].repeat(1, 3, 1)), theta)


def test_s0_is_fitted_in_the_mask_and_measured_outside(tensors):
    mask = torch.zeros(1, 3, 4, 5)
    mask[0, 1] = 1
    signal = signal_of(tensors).as_tensor()
    signal[0] *= 1.5  # the first of two volumes with b = 0
    t, s0 = fit_signal(signal, GRADIENTS, mask)
    assert torch.equal(t, fit_tensor(signal, GRADIENTS, mask))
    assert s0.shape == (1, 3, 4, 5)
    assert (s0[0, 0] == 1000).all()  # the mean of 800 and 1200
    assert ((s0[0, 1] > 800) & (s0[0, 1] < 1200)).all()
    assert (s0[0, 1] != 1000).all()


@pytest.mark.parametrize("weighted", [True, False])
def test_increments_give_the_fit_of_the_scan_back(weighted):
    fit, theta = LinearFit(GRADIENTS, weighted=weighted), blocks()
    given = fit.of_blocks(blocks(seed=1))
    delta = fit.increments(theta, given)
    again = fit.of_blocks(theta + delta[:, None])
    assert ((again - given)[:, :6].abs().max() / given[:, :6].abs().max()) < 1e-9
    assert (again - given)[:, 6].abs().max() < 1e-6
    assert (fit.of_blocks(theta) - given)[:, :6].abs().max() > 1e-4


def test_ordinary_least_squares_move_by_the_increment_itself():
    """Their refit is linear in the logarithm of the signal: one step is all."""
    fit, theta = LinearFit(GRADIENTS, weighted=False), blocks()
    given = fit.of_blocks(blocks(seed=1))
    torch.testing.assert_close(
        fit.increments(theta, given), given - fit.of_blocks(theta), atol=1e-12, rtol=1e-6
    )


def test_a_block_of_the_scans_own_tensor_stays():
    fit, given = LinearFit(GRADIENTS), blocks()[:, 0]
    assert fit.increments(given[:, None].repeat(1, 8, 1), given).abs().max() < 1e-9


def test_increments_are_differentiable():
    """Weighted ones feel the details through the weights: compared with differences."""
    fit = LinearFit(GRADIENTS)
    theta, given = blocks(1, 3), fit.of_blocks(blocks(1, 3, seed=1))
    unit = torch.tensor([*[1e-3] * 6, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a: fit.increments(a * unit, given) / unit, (theta / unit).requires_grad_()
    )


def test_volumes_below_50_have_no_direction():
    """Their b-vectors count no more for the fit than for dipy's."""
    bvals = np.where(GRADIENTS.b0, 20.0, GRADIENTS.bvals)
    bvecs = np.where(GRADIENTS.b0[:, None], [1.0, 0, 0], GRADIENTS.bvecs)
    assert (LinearFit(Gradients(bvals, bvecs)).design[GRADIENTS.b0, :6] == 0).all()
