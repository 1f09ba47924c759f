"""The low-resolution twin is what the definition says; artefacts act on the signal, seeded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medrev.config.schema import Artefacts
from medrev.domains.tensor import TensorScan, prepare_scan
from medrev.domains.tensor.degradation import DIRECTIONS, corrupt, crop_scan, simulate_signal
from medrev.dti import fit_tensor
from medrev.errors import InputError
from medrev.volumes import block_mean, rescale_affine


def dwi_scan(phantom):
    return TensorScan(
        id="A",
        mask=torch.as_tensor(phantom.mask[None]),
        affine=phantom.affine,
        dwi=torch.as_tensor(phantom.dwi[:13]).float(),
        gradients=phantom.gradients.shell(1500)[1],
    )


def tensor_scan(phantom, mask=None):
    mask = phantom.mask if mask is None else mask
    return TensorScan(
        id="A",
        mask=torch.as_tensor(mask[None]),
        affine=phantom.affine,
        tensor=torch.as_tensor(phantom.tensor * mask).float(),
    )


def block(values, i, j, k, r=2):
    """The mean of a block, by hand."""
    total = sum(
        values[:, r * i + a, r * j + b, r * k + c]
        for a in range(r)
        for b in range(r)
        for c in range(r)
    )
    return total / r**3


@pytest.mark.parametrize("factor", [2, 3])
def test_dwi_twin_is_the_fit_of_block_means(phantom, config, factor):
    data = config(degradation={"factor": factor}, patches={"size": 6})
    prepared = prepare_scan(dwi_scan(phantom), data)
    assert prepared.facts["degradation"] == "dwi"
    assert prepared.y.shape == (6, *(n // factor * factor for n in (13, 14, 12)))
    i, j, k = 6 // factor, 4 // factor, 6 // factor
    mean = block(torch.as_tensor(phantom.dwi[:13]), i, j, k, factor)
    expected = fit_tensor(mean.reshape(13, 1, 1, 1), phantom.gradients.shell(1500)[1])
    torch.testing.assert_close(prepared.x[:, i, j, k], expected[:, 0, 0, 0], atol=1e-9, rtol=0)


def test_tensor_twin_is_the_block_mean_with_zeros_outside(phantom, config):
    prepared = prepare_scan(tensor_scan(phantom), config())
    assert prepared.facts["degradation"] == "tensor"
    for place in ((3, 3, 3), (0, 3, 3), (5, 4, 2)):
        expected = block(torch.as_tensor(phantom.tensor * phantom.mask), *place).float()
        torch.testing.assert_close(prepared.x[(slice(None), *place)], expected)


def test_mixed_gives_both_and_is_tensor_without_dwi(phantom, config):
    data = config(degradation={"kind": "mixed"})
    prepared = prepare_scan(dwi_scan(phantom), data)
    averaged = prepare_scan(dwi_scan(phantom), config(degradation={"kind": "tensor"}))
    assert prepared.facts["degradation"] == "mixed"
    torch.testing.assert_close(prepared.averaged, averaged.x, atol=0, rtol=1e-6)
    assert not torch.equal(prepared.x, prepared.averaged)
    without = prepare_scan(tensor_scan(phantom), data)
    assert without.facts["degradation"] == "tensor"
    assert without.averaged is None


def test_the_rim_of_the_brain_is_kept(phantom, config):
    prepared = prepare_scan(dwi_scan(phantom), config())
    repeated = prepared.x
    for axis in (1, 2, 3):
        repeated = repeated.repeat_interleave(2, axis)
    covered = (repeated != 0).any(0)
    assert covered[prepared.mask[0] > 0].all()
    assert (prepared.y[:, prepared.mask[0] == 0] == 0).all()


@pytest.mark.parametrize("left_handed", [False, True])
def test_a_world_ramp_survives(make_phantom, config, left_handed):
    """Mean diffusivity at every low voxel is the ramp at that voxel's place in the world."""
    phantom = make_phantom((13, 15, 11), left_handed=left_handed)
    everywhere = np.ones((13, 15, 11), bool)
    grid = np.stack(np.meshgrid(*map(np.arange, (13, 15, 11)), indexing="ij")).reshape(3, -1)

    def ramp(affine, grid):
        world = affine[:3, :3] @ grid + affine[:3, 3:]
        return 3e-3 + world[0] * 1e-5 + world[1] * 2e-5 - world[2] * 3e-5

    tensor = np.zeros((6, 13, 15, 11))
    tensor[[0, 3, 5]] = ramp(phantom.affine, grid).reshape(13, 15, 11)
    phantom.tensor = tensor
    prepared = prepare_scan(tensor_scan(phantom, everywhere), config())
    low_affine = rescale_affine(prepared.affine, 2).numpy()
    low_grid = np.stack(np.meshgrid(*map(np.arange, (6, 7, 5)), indexing="ij")).reshape(3, -1)
    found = prepared.x[[0, 3, 5]].mean(0).numpy().ravel()
    np.testing.assert_allclose(found, ramp(low_affine, low_grid), atol=1e-5 * 1e-4)  # 1e-4 mm


def test_what_lies_outside_the_mask_is_no_part_of_a_block(phantom, config):
    scan = replace(tensor_scan(phantom), tensor=torch.as_tensor(phantom.tensor).float() + 1e-3)
    twin = prepare_scan(scan, config(degradation={"kind": "tensor"}))
    inside = crop_scan(scan, 2).mask
    assert not inside.all()
    assert (twin.y[:, ~inside[0]] == 0).all()
    torch.testing.assert_close(twin.x, block_mean(twin.y[None], 2)[0])


def test_every_copy_has_artefacts_of_its_own(phantom, config):
    data = config(augmentation={"artefacts": {"noise": 1, "copies": 2}})
    scan = replace(dwi_scan(phantom), split="train")
    first, second = prepare_scan(scan, data, key="00000003").copies
    assert not torch.equal(first, second)
    assert torch.equal(prepare_scan(scan, data, key="00000004").copies[0], second)


def test_too_small_or_empty_after_cropping(phantom, config):
    scan = tensor_scan(phantom)
    with pytest.raises(InputError, match="at least 30 voxels"):
        crop_scan(scan, 30)
    last = np.zeros_like(phantom.mask)
    last[12] = True
    with pytest.raises(InputError, match="no brain voxel is left"):
        crop_scan(tensor_scan(phantom, last), 2)


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
