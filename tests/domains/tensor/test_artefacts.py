"""Artefacts act on the signal, seeded, and leave the global generator alone."""

import numpy as np
import pytest
import torch

from medrev.config.schema import Artefacts
from medrev.domains.tensor.degradation import DIRECTIONS, corrupt, simulate_signal
from medrev.dti import fit_tensor


@pytest.fixture
def signal(phantom):
    tensor = torch.as_tensor(phantom.tensor).float()
    mask = torch.as_tensor(phantom.mask[None])
    values, gradients = simulate_signal(tensor, mask)
    return values, mask, phantom.affine, gradients


def test_simulated_signal_fits_back_to_the_tensor(phantom, signal):
    values, mask, _, gradients = signal
    assert np.allclose(np.linalg.norm(DIRECTIONS, axis=1), 1)
    np.testing.assert_allclose(fit_tensor(values, gradients, mask), phantom.tensor, atol=2e-9)


@pytest.mark.parametrize("name", ["anisotropy", "motion", "bias_field", "noise"])
def test_each_artefact_changes_the_signal_reproducibly(signal, name):
    values, mask, affine, gradients = signal
    state = torch.get_rng_state()
    first, again, other = (
        corrupt(
            values, mask, affine, gradients, artefacts=Artefacts(**{name: 1}, copies=1), seed=seed
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.allclose(first, values)
    assert first.shape == values.shape
    assert (first >= 0).all()
    assert torch.equal(state, torch.get_rng_state())


def test_without_artefacts_the_signal_stays(signal):
    values, mask, affine, gradients = signal
    unchanged = corrupt(values, mask, affine, gradients, artefacts=Artefacts(), seed=0)
    assert torch.equal(unchanged, values)


def test_a_bias_field_alone_leaves_the_fit_unchanged(signal):
    values, mask, affine, gradients = signal
    biased = corrupt(
        values, mask, affine, gradients, artefacts=Artefacts(bias_field=1, copies=1), seed=3
    )
    before, after = (fit_tensor(v, gradients, mask) for v in (values, biased))
    torch.testing.assert_close(after, before, atol=2e-8, rtol=0)


def test_noise_is_as_strong_beside_any_signal(signal):
    """Its deviation is a share of the signal without weighting."""
    values, mask, affine, gradients = signal
    noise = Artefacts(noise=1, copies=1)
    weak, strong = (
        corrupt(scale * values, mask, affine, gradients, artefacts=noise, seed=1)
        for scale in (1, 1000)
    )
    torch.testing.assert_close(strong / 1000, weak, atol=1e-5, rtol=1e-4)
