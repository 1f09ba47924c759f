"""The bad input that users bring: one clear line each, and nothing written."""

import gzip
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrev.prediction import save_weights

from .conftest import oblique, save
from .refusal import check_refused


@pytest.fixture
def refuse(residual_model, tmp_path):
    return partial(check_refused, tmp_path, model=residual_model())


def test_file_missing(refuse, tmp_path):
    refuse("no such file", tmp_path / "none.nii.gz")


def test_folder_instead_of_a_file(refuse, tmp_path):
    refuse("is a folder", tmp_path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.98])
def test_truncated_gzip(refuse, tensor_file, share):
    content = tensor_file.read_bytes()
    tensor_file.write_bytes(content[: int(share * len(content))])
    refuse("empty|truncated", tensor_file)


def test_truncated_nifti(refuse, tensor_file, tmp_path):
    path = tmp_path / "t.nii"
    path.write_bytes(gzip.decompress(tensor_file.read_bytes())[:-100])
    refuse("truncated", path)


def test_not_a_nifti(refuse, tmp_path):
    (tmp_path / "t.nii.gz").write_bytes(b"not an image at all" * 50)
    refuse("not a NIfTI", tmp_path / "t.nii.gz")


def test_3d_instead_of_4d(refuse, tmp_path):
    refuse(
        "takes diffusion tensors .*, the input is a scalar volume",
        save(tmp_path / "a.nii", np.ones((9, 9, 9)), oblique()),
    )


@pytest.mark.parametrize("count", [2, 5, 7, 9])
def test_wrong_number_of_components(refuse, tmp_path, count):
    path = save(tmp_path / "t.nii.gz", np.ones((count, 8, 8, 8)), oblique())
    refuse(f"{count} volumes are neither tensors", path)


def test_wrong_number_of_bvals(refuse, dwi_file):
    dwi_file.with_name("sub-01_dwi.bval").write_text("0 1000 1000\n")
    refuse("10 b-values are needed .*got 3", dwi_file)


def test_bval_without_bvec(refuse, dwi_file):
    dwi_file.with_name("sub-01_dwi.bvec").unlink()
    refuse(r"sub-01_dwi\.bval lies beside it, but sub-01_dwi\.bvec does not", dwi_file)
    refuse("b-values are given without b-vectors", dwi_file, bval=dwi_file)


def test_gradients_of_a_3d_file(refuse, tmp_path):
    path = save(tmp_path / "a.nii", np.ones((9, 9, 9)), oblique())
    for name in ("a.bval", "a.bvec"):
        (tmp_path / name).write_text("0\n")
    refuse("got a single 3D volume", path)


def test_bvecs_that_are_no_unit_vectors(refuse, dwi_file):
    path = dwi_file.with_name("sub-01_dwi.bvec")
    np.savetxt(path, np.loadtxt(path) * 0.7)
    refuse("must have length 1", dwi_file)


def test_no_b0(refuse, dwi_file):
    dwi_file.with_name("sub-01_dwi.bval").write_text(" ".join(["1000"] * 10))
    refuse("needs a volume with b < 100 s/mm², the lowest is 1000", dwi_file)


def test_six_volumes_with_gradients_are_a_dwi_too_short_for_a_fit(refuse, dwi_file, tmp_path):
    values = np.ones((6, 8, 8, 8))
    path = save(tmp_path / "short.nii.gz", values, oblique())
    bvecs = np.loadtxt(dwi_file.with_name("sub-01_dwi.bvec"))[:, :6]
    np.savetxt(tmp_path / "short.bvec", bvecs)
    (tmp_path / "short.bval").write_text("0 1000 1000 1000 1000 1000")
    refuse("6 non-collinear directions", path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(refuse, tensor_file, tmp_path, value):
    values = nibabel.load(tensor_file).get_fdata()
    values[2, 3, 4, 1] = value
    path = save(tmp_path / "t.nii.gz", np.moveaxis(values, -1, 0), oblique())
    refuse("NaN or infinite", path)


def test_tensors_that_are_all_zero(refuse, tmp_path):
    refuse("every tensor is zero", save(tmp_path / "t.nii", np.zeros((6, 8, 8, 8)), oblique()))


def test_masks_that_do_not_fit(refuse, tensor_file, tmp_path):
    shape = (9, 8, 10)
    refuse("mask is empty", tensor_file, mask=save(tmp_path / "m0.nii", np.zeros(shape), oblique()))
    other = save(tmp_path / "m1.nii", np.ones((9, 8, 9)), oblique())
    refuse("9×8×9 voxels", tensor_file, mask=other)
    moved = oblique()
    moved[0, 3] += 1
    elsewhere = save(tmp_path / "m2.nii", np.ones(shape), moved)
    refuse("lies elsewhere", tensor_file, mask=elsewhere)
    refuse("mask not found", tensor_file, mask=tmp_path / "m3.nii")


def with_sform(path: Path, affine: np.ndarray, target: Path) -> Path:
    """Copy a file, its header changed to an affine that nibabel would not write."""
    image = nibabel.load(path)
    header = image.header.copy()
    header["qform_code"], header["sform_code"] = 0, 2
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[: len(header.binaryblock)] = header.binaryblock
    target.write_bytes(bytes(content))
    return target


def test_singular_affine(refuse, tensor_file, tmp_path):
    affine = oblique()
    affine[:3, 1] = affine[:3, 0]
    refuse("singular", with_sform(tensor_file, affine, tmp_path / "s.nii"))
    affine[:3, 1] = 0
    refuse("singular", with_sform(tensor_file, affine, tmp_path / "z.nii"))


def test_sheared_affine(refuse, tensor_file, tmp_path):
    affine = oblique()
    affine[:3, 1] += 0.2 * affine[:3, 0]
    refuse("sheared", with_sform(tensor_file, affine, tmp_path / "s.nii"))


@pytest.mark.parametrize("shape", [(3, 9, 9), (9, 9, 1)])
def test_too_few_voxels(refuse, tmp_path, shape):
    path = save(tmp_path / "t.nii.gz", np.full((6, *shape), 1e-3), oblique())
    refuse("at least 4 voxels along every axis", path)


def test_unknown_conventions(refuse, tensor_file):
    refuse("tensor_order must be one of fsl, dipy", tensor_file, tensor_order="camino")
    refuse("tensor_frame must be one of fsl, voxel", tensor_file, tensor_frame="lps")
    refuse("direction must be forward or inverse", tensor_file, direction="backward")


def test_models_that_cannot_be_used(refuse, tensor_file, tmp_path, residual_model):
    pickled = tmp_path / "net.pt"
    torch.save({"a": torch.zeros(1)}, pickled)
    refuse("pickled checkpoint, which medrev never loads", tensor_file, model=pickled)
    refuse("no such run folder or weight file", tensor_file, model=tmp_path / "none")
    model = residual_model()
    good = tmp_path / "w.safetensors"
    save_weights(good, model.translator, model.pipeline, 1e-3, {"format_version": 99})
    refuse("version 1 expected, got 99", tensor_file, model=good)
    save_weights(good, model.translator, model.pipeline, 1e-3, {"kind": "flow"})
    refuse("got kind 'flow'", tensor_file, model=good)
    save_weights(good, model.translator, model.pipeline, 1e-3)
    good.write_bytes(good.read_bytes()[:-50])
    refuse("damaged or truncated", tensor_file, model=good)
    refuse("device must be auto", tensor_file, model=good.with_name("x"), device="tpu")


def test_output_that_cannot_be_written(refuse, tensor_file, tmp_path):
    (tmp_path / "file").write_text("occupied")
    refuse("is a file, not a folder", tensor_file, output=tmp_path / "file")
    refuse("is a file, not a folder", tensor_file, output=tmp_path / "file" / "below")


def test_output_in_a_folder_without_permission(refuse, tensor_file, tmp_path, monkeypatch):
    def forbidden(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refuse("cannot write to the folder", tensor_file)


def test_output_that_exists(refuse, tensor_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub-01_res-hi_model-tensor_param-fa_desc-sr_dwimap.json").write_text("{}")
    refuse("exists already; give --overwrite", tensor_file)
