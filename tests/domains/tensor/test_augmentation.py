"""Augmentation: tensors turn with the anatomy, stay positive, and noise spares the background."""

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medrev.data import Subject
from medrev.domains.tensor import load_subject
from medrev.domains.tensor.batches import add_noise, scale_microstructure, smallest_eigenvalue
from medrev.dti import apply_symmetry, fit_tensor, to_matrix


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flip_is_the_fit_of_the_flipped_series(phantom, config, tmp_path, axis):
    """Flip the DWI file (FSL's bvecs and affine with it), read and fit: the same tensors."""
    folder = phantom.save_bids(tmp_path, "sub-01")
    stem = folder / "sub-01_dwi"
    files = {name: stem.with_suffix(f".{name}") for name in ("nii.gz", "bval", "bvec")}
    files |= {"dwi": files.pop("nii.gz"), "mask": folder / "sub-01_desc-brain_mask.nii.gz"}
    subject = Subject("A", files)
    scan = load_subject(subject, config())

    flip = np.eye(4)
    flip[axis, axis], flip[axis, 3] = -1, phantom.mask.shape[axis] - 1
    for path in (subject.files["dwi"], subject.files["mask"]):
        image = nibabel.load(path)
        nibabel.save(
            nibabel.Nifti1Image(np.flip(image.get_fdata(), axis), image.affine @ flip), path
        )
    bvecs = np.loadtxt(subject.files["bvec"])
    if axis != 0:  # the handedness changes, so FSL's first axis turns as well
        bvecs[[0, axis]] *= -1
        np.savetxt(subject.files["bvec"], bvecs)
    flipped = load_subject(subject, config())

    first, second = (fit_tensor(s.dwi, s.gradients, s.mask) for s in (scan, flipped))
    turned = apply_symmetry(first, np.diag(np.where(np.arange(3) == axis, -1, 1)))
    torch.testing.assert_close(turned, second, atol=1e-9, rtol=0)


def spd(seed, count=50):
    matrix = torch.as_tensor(np.random.default_rng(seed).standard_normal((count, 3, 3)))
    matrix = matrix @ matrix.mT + 1e-6 * torch.eye(3)
    rows, columns = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
    return matrix[:, rows, columns].T.reshape(6, count, 1, 1)


def eigenvalues(tensor):
    return torch.linalg.eigvalsh(to_matrix(tensor.movedim(0, -1)))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 999),
    diffusivity=st.floats(0.5, 2),
    anisotropy=st.floats(0, 3),
)
def test_microstructure_keeps_tensors_positive(seed, diffusivity, anisotropy):
    tensor = spd(seed)
    before = eigenvalues(tensor)
    torch.testing.assert_close(smallest_eigenvalue(tensor), before[..., 0], atol=1e-6, rtol=1e-5)
    changed = scale_microstructure(tensor, diffusivity=diffusivity, anisotropy=anisotropy)
    after = eigenvalues(changed)
    assert after.min() > -1e-6
    torch.testing.assert_close(after.mean(-1), before.mean(-1) * diffusivity)
    if anisotropy < 1:
        spread = diffusivity * anisotropy * (before - before.mean(-1, keepdim=True))
        torch.testing.assert_close(after - after.mean(-1, keepdim=True), spread)


@pytest.mark.parametrize("repeat", [1, 2])
def test_noise_is_not_put_on_the_background(phantom, repeat):
    tensor = torch.as_tensor(phantom.tensor[:, :12]).float()
    noise = torch.full((6, *(n // repeat for n in tensor.shape[1:])), 1e-4)
    added = add_noise(tensor, noise) - tensor
    background = (tensor == 0).all(0)
    assert (added[:, background] == 0).all()
    torch.testing.assert_close(added[:, ~background], torch.full_like(added[:, ~background], 1e-4))
