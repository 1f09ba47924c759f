"""Every volume that comes with nibabel and dipy through our reader and theirs."""

from pathlib import Path

import dipy
import nibabel as nib
import numpy as np
import pytest
from dipy.io.gradients import read_bvals_bvecs

from medrev.dti import read_gradients
from medrev.errors import InputError
from medrev.volumes import read_volume

NIBABEL = Path(nib.__file__).parent
DIPY = Path(dipy.__file__).parent / "data" / "files"
ENDINGS = (".nii", ".nii.gz", ".hdr", ".img", ".mgz", ".mnc", ".par")
FILES = sorted(
    path
    for folder in (NIBABEL, DIPY)
    for path in folder.rglob("*")
    if path.name.lower().endswith(ENDINGS)
)
#: Of the files above, those that are NIfTI volumes in one file on a grid without shear.
READ = {
    "anatomical.nii",
    "aniso_vox.nii.gz",
    "ascm_out_test.nii.gz",
    "example4d.nii.gz",
    "example_nifti2.nii.gz",
    "func_coef.nii.gz",
    "func_discrete.nii.gz",
    "functional.nii",
    "reoriented_anat_moved.nii",
    "resampled_anat_moved.nii",
    "small_101D.nii.gz",
    "small_25.nii.gz",
    "small_64D.nii",
    "standard.nii.gz",
    "test_piesno.nii.gz",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_volumes_are_nibabels_or_refused_in_one_line(path):
    try:
        volume = read_volume(path, allow_nan=True)
    except InputError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line
    assert (line == "") == (path.name in READ), line
    if line:
        return
    judge = nib.load(path)
    expected = np.asarray(judge.get_fdata(), dtype=np.float32)
    found = volume.values.numpy()
    np.testing.assert_array_equal(found.transpose(1, 2, 3, 0).squeeze(), expected.squeeze())
    np.testing.assert_allclose(volume.affine, judge.affine, atol=1e-2)


@pytest.mark.parametrize("name", ["small_25", "small_64D", "small_101D"])
def test_gradients_are_dipys(name):
    bval, bvec = DIPY / f"{name}.bval", DIPY / f"{name}.bvec"
    bvals, bvecs = read_bvals_bvecs(str(bval), str(bvec))
    found = read_gradients(bval, bvec, len(bvals))
    np.testing.assert_array_equal(found.bvals, bvals)
    weighted = ~found.b0
    lengths = np.linalg.norm(bvecs[weighted], axis=1, keepdims=True)
    np.testing.assert_allclose(found.bvecs[weighted], bvecs[weighted] / lengths, atol=1e-12)
