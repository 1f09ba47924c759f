"""Models among the transforms of MONAI and torchio: their own objects, composed."""

import nibabel
import numpy as np
import pytest
import torch
import torchio
from monai.data.meta_tensor import MetaTensor
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    ScaleIntensityd,
)

import medrev
from medrev.errors import InputError
from medrev.transforms import ApplyModel, ApplyModeld

#: Axes that point left, forward and up, 2 mm, somewhere.
AFFINE = np.array([[-2.0, 0, 0, 20], [0, 2, 0, -30], [0, 0, 2, 5], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def model():
    return medrev.load_model("t1-x2")


@pytest.fixture(scope="module")
def volume():
    """A smooth blob, so that flips and shifts show."""
    i, j, k = np.indices((14, 12, 10)) / 10
    return (np.exp(-((i - 0.4) ** 2) - (j - 0.7) ** 2 - (k - 0.5) ** 2) * 100).astype(np.float32)


@pytest.fixture
def scan(volume):
    return nibabel.Nifti1Image(volume, AFFINE)


def test_monai_reads_translates_and_saves_on_the_results_grid(model, scan, tmp_path):
    nibabel.save(scan, tmp_path / "head.nii.gz")
    steps = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            ApplyModeld("image", model),
            SaveImaged("image", output_dir=tmp_path, output_postfix="fine", separate_folder=False),
        ]
    )
    result = steps({"image": tmp_path / "head.nii.gz", "name": "one"})
    expected = model.predict(scan)
    assert result["name"] == "one"
    assert isinstance(result["image"], MetaTensor)
    np.testing.assert_allclose(result["image"].affine, expected.affine, atol=1e-5)
    saved = nibabel.load(tmp_path / "head_fine.nii.gz")
    np.testing.assert_allclose(saved.affine, expected.affine, atol=1e-5)
    np.testing.assert_allclose(saved.get_fdata(), expected.get_fdata(), rtol=1e-5, atol=1e-4)


def test_monai_transforms_before_and_after_agree_about_space(model, scan):
    """Turned before, or turned after: the same voxels at the same places."""
    given = {"image": MetaTensor(torch.from_numpy(scan.get_fdata(dtype=np.float32))[None], AFFINE)}
    turn, apply = Orientationd("image", "RAS", labels=None), ApplyModeld("image", model)
    before, after = (Compose(steps)(given)["image"] for steps in ([turn, apply], [apply, turn]))
    np.testing.assert_allclose(before.affine, after.affine, atol=1e-5)
    assert np.linalg.det(before.affine) > 0 > np.linalg.det(AFFINE)
    # the network is not symmetric, so that turned grids agree roughly
    assert (before - after).abs().max() < 0.1 * after.std()
    assert given["image"].shape == (1, 14, 12, 10)


def test_monai_takes_a_mask_options_and_missing_keys(model, volume):
    mask = np.zeros_like(volume)
    mask[4:10, 3:9, 2:8] = 1
    given = {
        "t1": MetaTensor(torch.from_numpy(volume)[None], AFFINE),
        "brain": MetaTensor(torch.from_numpy(mask)[None], AFFINE),
    }
    apply = ApplyModeld(
        ["t1", "t2"], "t1-x2", mask_key="brain", allow_missing_keys=True, ensemble=2
    )
    result = Compose([apply, ScaleIntensityd("t1")])(given)
    fine = torch.from_numpy(mask).repeat_interleave(2, 0).repeat_interleave(2, 1)
    fine = fine.repeat_interleave(2, 2)
    expected = model.predict(given["t1"], mask=given["brain"], ensemble=2)
    assert (expected[0][fine == 0] == 0).all()
    torch.testing.assert_close(
        result["t1"].as_tensor(), (expected / expected.max()).as_tensor(), atol=1e-5, rtol=1e-4
    )
    with pytest.raises(KeyError, match="t2"):
        ApplyModeld("t2", model)(given)


def test_torchio_translates_the_images_that_are_included(model, scan, volume):
    subject = torchio.Subject(
        t1=torchio.ScalarImage(tensor=volume[None], affine=AFFINE),
        other=torchio.ScalarImage(tensor=volume[None], affine=AFFINE),
        labels=torchio.LabelMap(tensor=(volume[None] > 50).astype(np.uint8), affine=AFFINE),
        age=40,
    )
    steps = torchio.Compose(
        [ApplyModel(model, include=["t1"]), torchio.Resample("t1"), torchio.ToCanonical()]
    )
    result = steps(subject)
    expected = nibabel.as_closest_canonical(model.predict(scan))
    for name in ("t1", "other", "labels"):
        np.testing.assert_allclose(result[name].affine, expected.affine, atol=1e-5)
        assert result[name].spatial_shape == (28, 24, 20)
    np.testing.assert_allclose(result["t1"].numpy()[0], expected.get_fdata(), rtol=1e-5, atol=1e-4)
    assert set(np.unique(result["labels"].numpy())) == {0, 1}
    assert result["age"] == 40
    assert subject["t1"].spatial_shape == (14, 12, 10)


def test_torchio_applies_it_again_from_a_subjects_history(volume):
    image = torchio.ScalarImage(tensor=volume[None], affine=AFFINE)
    brain = torchio.LabelMap(tensor=(volume[None] > 30).astype(np.uint8), affine=AFFINE)
    subject = torchio.Subject(t1=image, brain=brain)
    result = ApplyModel("t1-x2", mask="brain", options={"ensemble": 2})(subject)
    again = result.get_composed_history()(subject)
    assert torch.equal(again["t1"].data, result["t1"].data)
    masked = medrev.load_model("t1-x2").predict(image, mask=brain, ensemble=2)
    assert torch.equal(masked.data, result["t1"].data)


@pytest.mark.parametrize("kind", [torch.from_numpy, np.asarray, lambda v: {"t1": v}])
def test_torchio_refuses_arrays_whose_affine_it_would_invent(model, volume, kind):
    with pytest.raises(InputError, match=r"has no affine in torchio: give torchio\.ScalarImage"):
        ApplyModel(model, include=["t1"])(kind(volume[None]))


def test_arrays_are_refused_in_monai_too(model, volume):
    with pytest.raises(InputError, match="has no affine"):
        ApplyModeld("image", model)({"image": torch.from_numpy(volume[None])})
