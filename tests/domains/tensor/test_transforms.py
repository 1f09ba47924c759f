"""Transforms in a user's own MONAI Compose: tensors turn with the anatomy."""

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose

from medrev.data import Subject
from medrev.domains.tensor import (
    BlockMeand,
    FitTensord,
    RandMicrostructured,
    RandTensorNoised,
    RandTensorSymmetryd,
    ScaleTensord,
    load_subject,
)
from medrev.domains.tensor.augmentation import scale_microstructure, smallest_eigenvalue
from medrev.dti import from_voxel_frame, principal_direction, scalar_maps, to_matrix
from medrev.volumes import block_mean


def item_of(phantom):
    affine = torch.as_tensor(phantom.affine)
    high = MetaTensor(torch.as_tensor(phantom.tensor[:, :12]).float(), affine=affine)
    mask = MetaTensor(torch.as_tensor(phantom.mask[None, :12]).float(), affine=affine)
    item = BlockMeand("y", 2, suffix="_low")({"y": high, "mask": mask})
    return {"x": item["y_low"], "y": high, "mask": mask}


def turning(seed=0, **options):
    transform = RandTensorSymmetryd(("x", "y", "mask"), **options)
    return transform.set_random_state(seed=seed)


def world_samples(volume):
    """Tensors in the RAS frame by their place in the world, in an order of their own."""
    affine = volume.affine.numpy()
    values = from_voxel_frame(volume.as_tensor().double(), affine, "ras").reshape(6, -1)
    grid = np.stack(np.meshgrid(*map(np.arange, volume.shape[1:]), indexing="ij")).reshape(3, -1)
    places = np.round(affine[:3, :3] @ grid + affine[:3, 3:], 3)
    order = np.lexsort(places)
    return places[:, order], values.numpy()[:, order]


@pytest.mark.parametrize("seed", range(12))
def test_a_symmetry_changes_nothing_in_the_world(phantom, seed):
    """Array, affine and tensors turn together: the same tensors at the same places."""
    item = item_of(phantom)
    turned = turning(seed)(item)
    for key in ("x", "y"):
        for before, after in zip(world_samples(item[key]), world_samples(turned[key]), strict=True):
            np.testing.assert_allclose(after, before, atol=2e-3 if before.shape[0] == 3 else 2e-9)
    assert ((turned["y"] != 0).any(0) <= (turned["mask"][0] > 0)).all()
    torch.testing.assert_close(
        turned["x"].as_tensor(), block_mean(turned["y"].as_tensor()[None], 2)[0]
    )


@pytest.mark.parametrize("seed", range(6))
def test_fa_and_md_move_and_directions_turn(phantom, seed):
    item = item_of(phantom)
    transform = turning(seed)
    turned = transform(item)
    S = torch.tensor(transform.symmetry)
    axes = [int(a) for a in S.abs().argmax(1)]
    flips = [n for n in range(3) if S[n, axes[n]] < 0]

    def moved(values):
        return values.permute(axes).flip(flips)

    inside = turned["mask"][0] > 0
    before, after = (scalar_maps(i["y"].as_tensor()) for i in (item, turned))
    for name in ("fa", "md"):
        torch.testing.assert_close(after[name][inside], moved(before[name])[inside])
    old, new = (principal_direction(i["y"].as_tensor()) for i in (item, turned))
    expected = torch.einsum("ab,bijk->aijk", S.to(old.dtype), torch.stack([moved(o) for o in old]))
    cosine = (expected * new).sum(0).abs()[inside]
    assert cosine.min() > 0.9999


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

    fit = Compose([FitTensord("dwi")])
    first, second = (
        fit({"dwi": s.dwi, "gradients": s.gradients, "mask": s.mask})["dwi"]
        for s in (scan, flipped)
    )
    transform = RandTensorSymmetryd("t")
    transform.choices = (np.diag(np.where(np.arange(3) == axis, -1, 1)),)
    turned = transform({"t": first})["t"]
    torch.testing.assert_close(turned, second, atol=1e-9, rtol=0)


@pytest.mark.parametrize("options", [{}, {"rotations": False}, {"flips": False}, {"prob": 0.0}])
def test_inverses_restore_everything(phantom, options):
    item = item_of(phantom)
    chain = Compose([ScaleTensord(("x", "y"), scale=1e-3), turning(4, **options)])
    back = chain.inverse(chain(dict(item)))
    for key in item:
        torch.testing.assert_close(back[key].as_tensor(), item[key].as_tensor())
        torch.testing.assert_close(back[key].affine, item[key].affine)


def test_plain_tensors_are_taken_too(phantom):
    item = {key: value.as_tensor() for key, value in item_of(phantom).items()}
    transform = turning(1)
    turned = transform(dict(item))
    back = transform.inverse(turned)
    assert all(torch.equal(back[key], item[key]) for key in item)


def test_choices_are_subgroups():
    counts = [len(turning(flips=f, rotations=r).choices) for f in (0, 1) for r in (0, 1)]
    assert counts == [1, 24, 8, 48]


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


def test_microstructure_and_noise_in_a_compose(phantom):
    item = item_of(phantom)
    chain = Compose(
        [
            RandMicrostructured(("x", "y"), diffusivity=0.2, anisotropy=0.2),
            RandTensorNoised("x", std=1e-4),
        ]
    ).set_random_state(seed=5)
    changed = chain(dict(item))
    again = chain.set_random_state(seed=5)(dict(item))
    assert torch.equal(changed["x"], again["x"])
    torch.testing.assert_close(changed["x"].affine, item["x"].affine)
    background = (item["x"] == 0).all(0)
    assert (changed["x"][:, background] == 0).all()
    noise = changed["x"] - BlockMeand("y", 2)(dict(changed))["y"]
    assert 1e-6 < float(noise[:, ~background].std()) < 2e-4


def test_block_means_keep_the_field_of_view(phantom):
    item = item_of(phantom)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    for key in ("x", "y"):
        np.testing.assert_allclose(
            item[key].affine.numpy() @ corner, phantom.affine @ corner, atol=1e-9
        )
