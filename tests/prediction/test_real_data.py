"""Real diffusion data: dipy's packaged crop of a brain, 64 directions."""

import functools
import json

import nibabel
import numpy as np
import pytest

from medrev.prediction import infer_file as infer
from medrev.volumes import rescale_affine

infer_file = functools.partial(infer, quick_look=False)  # drawing takes half a second


@pytest.fixture(scope="module")
def crop():
    from dipy.data import get_fnames

    return dict(zip(("input", "bval", "bvec"), get_fnames(name="small_64D"), strict=True))


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_fit_super_resolve_write_and_read_back(residual_model, crop, tmp_path, direction):
    image = nibabel.load(crop["input"])
    mask = tmp_path / "mask.nii.gz"  # the crop is all brain: no background for median_otsu
    nibabel.save(nibabel.Nifti1Image(np.ones(image.shape[:3], np.uint8), image.affine), mask)
    written = infer_file(
        crop["input"],
        model=residual_model(),
        bval=crop["bval"],
        bvec=crop["bvec"],
        mask=mask,
        output=tmp_path,
        direction=direction,
    )
    factor = 2 if direction == "forward" else 0.5
    tensor, fa, md = (nibabel.load(path) for path in written[:6:2])
    assert tensor.shape == (*(int(n * factor) for n in image.shape[:3]), 6)
    np.testing.assert_allclose(fa.affine, rescale_affine(image.affine, 1 / factor), atol=1e-5)
    assert fa.get_fdata().min() >= 0
    assert fa.get_fdata().max() <= 1
    # White and grey matter with some fluid.
    assert 5e-4 < np.median(md.get_fdata()) < 1.5e-3
    assert 0.1 < np.median(fa.get_fdata()) < 0.7
    assert json.loads(written[1].read_text())["Warnings"] == []


def test_it_is_the_tensor_that_dipy_fits(residual_model, crop, tmp_path):
    """Back to the coarse grid with a model that adds nothing: block means of dipy's own fit."""
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    image = nibabel.load(crop["input"])
    bvals, bvecs = np.loadtxt(crop["bval"]), np.loadtxt(crop["bvec"])
    bvecs = bvecs if bvecs.shape[1] == 3 else bvecs.T
    fit = TensorModel(gradient_table(bvals, bvecs=bvecs), fit_method="WLS").fit(image.get_fdata())
    mask = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones(image.shape[:3], np.uint8), image.affine), mask)
    written = infer_file(
        crop["input"],
        model=residual_model(),
        bval=crop["bval"],
        bvec=crop["bvec"],
        mask=mask,
        output=tmp_path,
        direction="inverse",
    )
    expected = fit.quadratic_form.reshape(5, 2, 5, 2, 5, 2, 3, 3).mean(axis=(1, 3, 5))
    ours = nibabel.load(written[0]).get_fdata()
    theirs = expected[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    assert np.median(np.abs(ours - theirs)) < 1e-6
