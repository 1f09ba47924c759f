"""The fit: exact on noise-free signals, dipy's on real ones, and its guards."""

import numpy as np
import pytest
import torch
from dipy.core.gradients import gradient_table
from dipy.data import get_fnames
from dipy.reconst.dti import TensorModel
from monai.data.meta_tensor import MetaTensor
from scipy.spatial.transform import Rotation

from medrev.dti import (
    Gradients,
    fit_signal,
    fit_tensor,
    is_positive_definite,
    principal_direction,
    read_gradients,
    rotate,
    scalar_maps,
    to_matrix,
)
from medrev.errors import GradientError, InputError
from medrev.volumes import read_nifti, to_numpy

from .conftest import random_tensors

BVECS = np.vstack([np.zeros((2, 3)), Rotation.random(12, random_state=3).as_matrix()[:, 0]])
GRADIENTS = Gradients(np.array([0, 0, *[1000.0] * 12]), BVECS)


def signal_of(t, gradients=GRADIENTS, s0=800.0):
    """Noise-free signal (N, I, J, K)."""
    matrix = to_matrix(np.moveaxis(t.numpy(), 0, -1))
    exponent = np.einsum("na,ijkab,nb->nijk", gradients.bvecs, matrix, gradients.bvecs)
    signal = s0 * np.exp(-gradients.bvals[:, None, None, None] * exponent)
    return MetaTensor(torch.as_tensor(signal), affine=torch.eye(4) * 2)


@pytest.mark.parametrize("method", ["WLS", "OLS", "NLLS"])
def test_noise_free_signals_give_the_tensors_back(tensors, method):
    t = fit_tensor(signal_of(tensors), GRADIENTS, method=method)
    assert t.dtype == torch.float32
    torch.testing.assert_close(t.as_tensor().double(), tensors, atol=2e-9, rtol=0)
    assert torch.equal(t.affine, torch.eye(4, dtype=torch.float64) * 2)


@pytest.mark.parametrize("method", ["WLS", "OLS", "NLLS"])
def test_b_values_of_60_to_70_are_fitted_as_they_are(tensors, method):
    directions = BVECS[[2, 3, *range(2, 14)]]
    weak = Gradients(np.array([60, 70, *[1000.0] * 12]), directions)
    t = fit_tensor(signal_of(tensors, weak), weak, method=method)
    torch.testing.assert_close(t.as_tensor().double(), tensors, atol=2e-9, rtol=0)


def test_tensors_come_out_in_the_frame_of_the_gradients(tensors):
    R = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    turned = Gradients(GRADIENTS.bvals, GRADIENTS.bvecs @ R.T)
    t = fit_tensor(signal_of(tensors), turned)
    torch.testing.assert_close(t.as_tensor().double(), rotate(tensors, R), atol=2e-9, rtol=0)


def test_chunks_do_not_show(tensors, monkeypatch):
    whole = fit_tensor(signal_of(tensors), GRADIENTS)
    monkeypatch.setattr("medrev.dti.fit.CHUNK", 7)
    parts = fit_tensor(signal_of(tensors), GRADIENTS)
    torch.testing.assert_close(parts, whole, atol=1e-10, rtol=1e-6)


def test_outside_the_mask_all_is_zero(tensors):
    mask = torch.zeros(1, 3, 4, 5)
    mask[0, 1, 2] = 1
    t = fit_tensor(signal_of(tensors), GRADIENTS, mask)
    assert (t[:, mask[0] == 0] == 0).all()
    assert (t[0, mask[0] > 0] > 0).all()
    assert torch.equal(
        t.as_tensor(), fit_tensor(signal_of(tensors), GRADIENTS, mask[0]).as_tensor()
    )


def test_no_signal_without_weighting_is_no_tensor(tensors):
    """However bright the weighted volumes are there."""
    signal = signal_of(tensors)
    signal[:2, 1, 2, 3] = 0
    found, s0 = fit_signal(signal, GRADIENTS)
    assert (found[:, 1, 2, 3] == 0).all()
    assert s0[0, 1, 2, 3] == 0
    assert (found[:, 0, 0, 0] != 0).any()


@pytest.mark.parametrize("method", ["WLS", "OLS", "NLLS"])
def test_a_signal_of_zero_is_a_thousandth_of_that_without_weighting(tensors, method):
    signal = signal_of(tensors)
    signal[5, 1, 2, 3] = 0
    raised = signal.clone()
    raised[5, 1, 2, 3] = 0.8
    expected = fit_tensor(raised, GRADIENTS, method=method)
    found = fit_tensor(signal, GRADIENTS, method=method)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-6)


def test_zeros_and_negative_signals_give_finite_tensors(tensors):
    signal = signal_of(tensors)
    signal[3, 0, 0, 0], signal[4, 0, 0, 1] = 0, -30
    signal[:, 0, 0, 2] = 0
    t = fit_tensor(signal, GRADIENTS).as_tensor()
    assert torch.isfinite(t).all()
    assert t[:, 0, 0, 2].abs().sum() == 0
    assert 0 < t[:, 0, 0, :2].abs().max() < 0.02
    torch.testing.assert_close(t[:, 1:].double(), tensors[:, 1:], atol=2e-9, rtol=0)


def test_the_scale_of_the_signal_does_not_matter(tensors):
    signal = signal_of(tensors)
    small = fit_tensor(signal * 1e-6, GRADIENTS)
    torch.testing.assert_close(small, fit_tensor(signal, GRADIENTS), atol=1e-9, rtol=1e-4)


def test_negative_eigenvalues_are_not_hidden():
    """A signal that grows with b along x: the least-squares tensor is not positive definite."""
    t = torch.tensor([-2e-4, 0, 0, 1e-3, 0, 1e-3]).double().reshape(6, 1, 1, 1)
    found = fit_tensor(signal_of(t), GRADIENTS)
    torch.testing.assert_close(found.as_tensor().double(), t, atol=2e-9, rtol=0)
    assert not is_positive_definite(found).any()


@pytest.mark.parametrize(
    ("name", "b_max", "fa", "md"),
    [
        ("small_64D", 1500, (0.3, 0.5), (0.9e-3, 1.6e-3)),
        ("small_101D", 1500, (0.3, 0.5), (5e-4, 8e-4)),
    ],
)
def test_real_scans_agree_with_dipys_own_fit(name, b_max, fa, md):
    """dipy's packaged crops (multi-shell for 101D); no network is needed."""
    image, bval, bvec = get_fnames(name=name)
    dwi = read_nifti(image)
    gradients = read_gradients(bval, bvec, dwi.shape[0])
    indices, shell = gradients.shell(b_max)
    t = fit_tensor(dwi[torch.as_tensor(indices)], shell)
    maps = scalar_maps(t)
    assert fa[0] < maps["fa"].mean() < fa[1]
    assert md[0] < maps["md"].mean() < md[1]

    signal = np.moveaxis(to_numpy(dwi)[indices], 0, -1)
    table = gradient_table(shell.bvals, bvecs=np.where(shell.b0[:, None], 0, shell.bvecs))
    fitted = TensorModel(table, fit_method="WLS").fit(signal)
    positive = (signal > 1e-3 * signal[..., shell.b0].mean(-1, keepdims=True)).all(axis=-1)
    assert positive.mean() > 0.9  # the others meet our floor of the signal
    np.testing.assert_allclose(maps["fa"].numpy()[positive], fitted.fa[positive], atol=1e-4)
    np.testing.assert_allclose(maps["md"].numpy()[positive], fitted.md[positive], atol=1e-7)
    cosine = np.einsum("aijk,ijka->ijk", principal_direction(t).numpy(), fitted.evecs[..., 0])
    assert np.abs(cosine)[positive & (fitted.fa > 0.2)].min() > 0.999


def test_errors(tensors):
    signal = signal_of(tensors)
    with pytest.raises(GradientError, match="14 gradients for a series of shape"):
        fit_tensor(signal[:-1], GRADIENTS)
    with pytest.raises(InputError, match="mask has the shape"):
        fit_tensor(signal, GRADIENTS, torch.ones(1, 3, 4, 4))
    with pytest.raises(InputError, match="WLS, OLS, NLLS, got 'RESTORE'"):
        fit_tensor(signal, GRADIENTS, method="RESTORE")
    assert random_tensors((1, 1, 1)).shape == (6, 1, 1, 1)


def test_the_floor_is_a_share_of_the_signal_at_b_0():
    """A signal of 1/500 of that at b = 0 is above the floor of 1/1000, and fitted as it is."""
    t = torch.tensor([6.2e-3, 0, 0, 6.2e-3, 0, 6.2e-3]).double().reshape(6, 1, 1, 1)
    signal = signal_of(t)
    assert signal[2:].max() < 800 / 490
    found = fit_tensor(signal, GRADIENTS)
    torch.testing.assert_close(found.as_tensor().double(), t, atol=2e-9, rtol=0)
    # Far below the floor the tensor is that of the floor: exp(−1000 D) = 1/1000.
    low = fit_tensor(signal_of(2 * t), GRADIENTS).as_tensor()
    torch.testing.assert_close(
        low[[0, 3, 5], 0, 0, 0], torch.full((3,), float(np.log(1000) / 1000)), rtol=1e-4, atol=0
    )
