"""Scans are checked and come in the voxel frame."""

import itertools

import nibabel
import numpy as np
import pytest
import torch

from medrev.data import Subject
from medrev.domains.tensor import load_subject
from medrev.domains.tensor.preparation import content_key
from medrev.dti import convert_order, fit_tensor, from_voxel_frame
from medrev.errors import GeometryError, GradientError, InputError


def dwi_subject(phantom, folder):
    place = phantom.save_bids(folder, "sub-01")
    stem = place / "sub-01"
    return Subject(
        "sub-01",
        {
            "dwi": stem.with_name("sub-01_dwi.nii.gz"),
            "bval": stem.with_name("sub-01_dwi.bval"),
            "bvec": stem.with_name("sub-01_dwi.bvec"),
            "mask": stem.with_name("sub-01_desc-brain_mask.nii.gz"),
        },
    )


@pytest.mark.parametrize("left_handed", [False, True])
def test_dwi_comes_in_the_voxel_frame(make_phantom, config, tmp_path, left_handed):
    phantom = make_phantom(left_handed=left_handed)
    scan = load_subject(dwi_subject(phantom, tmp_path), config())
    tensor = fit_tensor(scan.dwi, scan.gradients, scan.mask)
    np.testing.assert_allclose(tensor.numpy(), phantom.tensor, atol=2e-9)


@pytest.mark.parametrize(
    "convention", list(itertools.product(("fsl", "voxel", "ras"), ("fsl", "dipy", "mrtrix")))
)
@pytest.mark.parametrize("left_handed", [False, True])
def test_ready_tensors(make_phantom, config, tmp_path, convention, left_handed):
    frame, order = convention
    phantom = make_phantom(left_handed=left_handed)
    values = torch.as_tensor(from_voxel_frame(phantom.tensor, phantom.affine, frame))
    path = phantom.save(tmp_path / "t.nii.gz", convert_order(values, "fsl", order).numpy())
    data = config(tensor_order=order, tensor_frame=frame)
    scan = load_subject(Subject("A", {"tensor": path}), data)
    np.testing.assert_allclose(scan.tensor.numpy(), phantom.tensor, atol=2e-9)
    assert scan.mask_source == "nonzero"
    assert (scan.mask[0].numpy() == phantom.mask).all()


def test_the_json_file_beside_tensors_goes_before_the_pipeline(make_phantom, config, tmp_path):
    phantom = make_phantom(left_handed=False)
    values = torch.as_tensor(from_voxel_frame(phantom.tensor, phantom.affine, "ras"))
    path = phantom.save(tmp_path / "t.nii.gz", convert_order(values, "fsl", "mrtrix").numpy())
    subject, beside = Subject("A", {"tensor": path}), tmp_path / "t.json"
    without = content_key(subject, config())
    beside.write_text('{"TensorOrder": "mrtrix", "TensorFrame": "ras"}')
    scan = load_subject(subject, config())
    np.testing.assert_allclose(scan.tensor.numpy(), phantom.tensor, atol=2e-9)
    assert content_key(subject, config()) != without
    beside.write_text('{"TensorOrder": "matlab"}')
    with pytest.raises(InputError, match=r"t.nii.gz: TensorOrder in the JSON .* got 'matlab'"):
        load_subject(subject, config())


def test_tensors_on_a_fifth_axis_are_ants(make_phantom, config, tmp_path):
    phantom = make_phantom(left_handed=False)
    values = convert_order(torch.as_tensor(phantom.tensor), "fsl", "ants").numpy()
    image = nibabel.Nifti1Image(np.moveaxis(values, 0, -1)[:, :, :, None], phantom.affine)
    nibabel.save(image, tmp_path / "t.nii.gz")
    scan = load_subject(Subject("A", {"tensor": tmp_path / "t.nii.gz"}), config())
    np.testing.assert_allclose(scan.tensor.numpy(), phantom.tensor, atol=2e-9)


def test_a_missing_mask_is_computed_and_recorded(make_phantom, config, tmp_path):
    phantom = make_phantom((24, 24, 24))
    folder = phantom.save_bids(tmp_path, "sub-01", mask=False)
    stem = folder / "sub-01_dwi"
    subject = Subject(
        "sub-01",
        {
            "dwi": stem.with_suffix(".nii.gz"),
            "bval": stem.with_suffix(".bval"),
            "bvec": stem.with_suffix(".bvec"),
        },
    )
    scan = load_subject(subject, config())
    assert scan.mask_source == "median_otsu"
    overlap = (scan.mask[0].numpy() & phantom.mask).sum() * 2
    assert (
        overlap / (scan.mask.sum() + phantom.mask.sum()) > 0.8
    )  # the median filter rounds a ball that fills the box


def spoil(subject, what):
    image = nibabel.load(subject.files["dwi"])
    data, affine = np.asarray(image.dataobj), image.affine
    bvals, bvecs = np.loadtxt(subject.files["bval"]), np.loadtxt(subject.files["bvec"])
    mask = np.asarray(nibabel.load(subject.files["mask"]).dataobj)
    if what == "3d":
        data = data[..., 0]
    elif what == "nan":
        data[3, 3, 3, 2] = np.nan
    elif what == "sheared":
        affine = affine @ (np.eye(4) + 0.2 * np.eye(4, k=1) * [[1], [0], [0], [0]])
    elif what == "bvals":
        bvals = bvals[:-1]
    elif what == "unit":
        bvecs[:, 2] *= 1.4
    elif what == "b0":
        bvals[0] = 900
        bvecs[:, 0] = 1, 0, 0
    elif what == "shell":
        bvals[4:] = 0
    elif what == "empty":
        mask[:] = 0
    elif what == "size":
        mask = mask[1:]
    np.savetxt(subject.files["bval"], bvals[None])
    np.savetxt(subject.files["bvec"], bvecs)
    nibabel.save(nibabel.Nifti1Image(data, affine), subject.files["dwi"])
    moved = affine.copy()
    moved[0, 3] += what == "moved"
    nibabel.save(nibabel.Nifti1Image(mask, moved), subject.files["mask"])
    if what == "truncated":
        subject.files["dwi"].write_bytes(subject.files["dwi"].read_bytes()[:2000])


@pytest.mark.parametrize(
    "case",
    [
        ("3d", InputError, "4D"),
        ("nan", InputError, "NaN"),
        ("sheared", GeometryError, "sheared"),
        ("bvals", GradientError, "14 b-values are needed"),
        ("unit", GradientError, "length 1"),
        ("b0", GradientError, "b < 100"),
        ("shell", GradientError, "6 non-collinear"),
        ("empty", InputError, "empty"),
        ("size", InputError, "voxels"),
        ("moved", GeometryError, "elsewhere"),
        ("truncated", InputError, "truncated"),
    ],
)
def test_bad_dwi(phantom, config, tmp_path, case):
    what, error, message = case
    subject = dwi_subject(phantom, tmp_path)
    spoil(subject, what)
    with pytest.raises(error, match=message) as caught:
        load_subject(subject, config())
    assert len(str(caught.value).splitlines()) == 1


def test_bad_tensors(phantom, config, tmp_path):
    five = phantom.save(tmp_path / "five.nii.gz", phantom.tensor[:5])
    with pytest.raises(InputError, match=r"six components .* got 5 of 13×14×12"):
        load_subject(Subject("A", {"tensor": five}), config())
    zero = phantom.save(tmp_path / "zero.nii.gz", 0 * phantom.tensor)
    with pytest.raises(InputError, match="every tensor is zero"):
        load_subject(Subject("A", {"tensor": zero}), config())
    with pytest.raises(InputError, match="tensor not found"):
        load_subject(Subject("A", {"tensor": tmp_path / "no.nii.gz"}), config())


def test_truth_must_lie_on_the_same_grid(phantom, config, tmp_path):
    tensor = phantom.save_tensor(tmp_path / "t.nii.gz")
    truth = phantom.save(tmp_path / "truth.nii.gz", phantom.tensor[:, 1:])
    with pytest.raises(GeometryError, match=r"truth\.nii\.gz has"):
        load_subject(Subject("A", {"tensor": tensor, "truth": truth}), config())
