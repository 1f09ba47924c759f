"""Every volume that comes with nibabel, dipy and pydicom through our reader and theirs."""

import shutil
from pathlib import Path

import dipy
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from dipy.io.gradients import read_bvals_bvecs

from medrev.dti import read_gradients
from medrev.errors import InputError, MedrevError
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

DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
#: What comes with pydicom and is no DICOM object.
OTHERS = (".txt", ".json", ".py", ".pyc", ".gz", ".dump", ".icc")
OBJECTS = sorted(
    path
    for path in DICOM.rglob("*")
    if path.is_file() and path.suffix not in OTHERS and not path.name.startswith("README")
)
#: Slices of CT and MR that are volumes of one slice; all below these folders, too.
SLICES = {"CT_small", "examples_overlay", "693_J2KI", "J2K_pixelrep_mismatch"}
SLICES |= {"MR_small" + end for end in ("", "_RLE", "_bigendian", "_expb", "_implicit", "_padded")}
SLICES |= {"MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"}
SERIES = {"CT2": 4, "CT5N": 5, "MR1": 3, "MR2": 7, "MR700": 7}


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_dicom_objects_are_pydicoms_or_refused_in_one_line(path, tmp_path):
    shutil.copy(path, tmp_path)
    if path.stem not in SLICES and path.parent.name not in SERIES:
        with pytest.raises(MedrevError) as refused:
            read_volume(tmp_path, allow_nan=True)
        assert "\n" not in str(refused.value)
        return
    volume = read_volume(tmp_path, allow_nan=True)
    judge = pydicom.dcmread(path, force=True)
    if path.stem == "MR_small_jpeg_ls_lossless":  # for which pydicom wants another package
        judge = pydicom.dcmread(path.with_name("MR_small.dcm"))
    pixels = judge.pixel_array.astype(float)
    expected = pixels * float(judge.get("RescaleSlope", 1)) + float(
        judge.get("RescaleIntercept", 0)
    )
    np.testing.assert_array_equal(volume.values[0, :, :, 0].numpy().T, expected.astype(np.float32))


def test_a_dicom_series_lies_where_itk_puts_it():
    """Slice by slice: ITK reads each file with its own position."""
    (folder,) = DICOM.rglob("CT5N")
    volume = read_volume(folder)
    assert volume.shape[-1] == SERIES["CT5N"]
    matrix, found = np.linalg.inv(volume.affine), set()
    for path in folder.iterdir():
        image = SimpleITK.ReadImage(str(path))
        lps = np.array(image.TransformIndexToPhysicalPoint((3, 5, 0)))
        i, j, k, _ = matrix @ [-lps[0], -lps[1], lps[2], 1]
        np.testing.assert_allclose([i, j, k], np.round([i, j, k]), atol=1e-3)
        found.add(round(k))
        array = SimpleITK.GetArrayFromImage(image)[0].astype(np.float32)
        ours = volume.values[0, :, :, round(k)].numpy().T
        assert ours[round(j), round(i)] == array[5, 3]
        assert sorted(ours.ravel()) == sorted(array.ravel())
    assert found == set(range(SERIES["CT5N"]))
