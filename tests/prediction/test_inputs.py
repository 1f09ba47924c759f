"""The same brain in every form that scanners and pipelines leave behind gives the same result."""

import functools
import json
import locale

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
import torch

from medrev.dti import convert_order, from_voxel_frame, to_matrix
from medrev.errors import InputError
from medrev.prediction import check_kind, recognise
from medrev.prediction import infer_file as infer
from medrev.volumes import read_volume, write_tensor_nrrd

from .conftest import oblique, rotation, save

infer_file = functools.partial(infer, quick_look=False)  # drawing takes half a second


SHAPE = (7, 6, 8)
NINE = [0, 1, 2, 1, 3, 4, 2, 4, 5]


@pytest.fixture(scope="module")
def brain():
    """Positive-definite tensors in the voxel frame, each another, (6, I, J, K)."""
    rng = np.random.default_rng(1)
    a = 0.01 * rng.standard_normal((*SHAPE, 3, 3)) + 0.025 * np.eye(3)
    d = a @ np.swapaxes(a, -1, -2)
    return np.moveaxis(d[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]], -1, 0).astype(np.float32)


def stored(brain, affine, order, frame):
    turned = from_voxel_frame(torch.from_numpy(brain), affine, frame)
    return convert_order(turned, "fsl", order).numpy()


def write_nrrd(path, brain, affine, kind, frame=None):
    """By pynrrd, in LPS, with components along the axes of a measurement frame of its own."""
    lps = np.diag([-1, -1, 1.0])
    header = {
        "space": "left-posterior-superior",
        "space directions": np.concatenate([[[np.nan] * 3], (lps @ affine[:3, :3]).T]),
        "space origin": lps @ affine[:3, 3],
        "kinds": [kind, "domain", "domain", "domain"],
    }
    axes = lps @ (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    matrix = to_matrix(np.moveaxis(brain.astype(float), 0, -1))
    if frame is not None:
        header["measurement frame"] = frame.T
        axes = frame.T @ axes
    values = np.moveaxis((axes @ matrix @ axes.T).reshape(*SHAPE, 9), -1, 0)
    six = values[[0, 1, 2, 4, 5, 8]]
    values = {
        "3D-matrix": values,
        "3D-symmetric-matrix": six,
        "3D-masked-symmetric-matrix": np.concatenate([np.ones((1, *SHAPE)), six]),
    }[kind]
    nrrd.write(str(path), values.astype(np.float32), header)
    return path


def result_of(model, path, folder, **options):
    """FA of the result, tensors in the world, the affine, and the sidecar."""
    written = infer_file(path, model=model, output=folder, **options)
    image, document = nibabel.load(written[0]), json.loads(written[1].read_text())
    tensor = torch.from_numpy(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0))
    ordered = convert_order(tensor, document["TensorOrder"], "fsl")
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    frame = {
        "ras": np.eye(3),
        "voxel": axes,
        "fsl": axes @ np.diag([-1 if np.linalg.det(axes) > 0 else 1, 1, 1]),
    }[document["TensorFrame"]]
    world = frame @ to_matrix(np.moveaxis(ordered.numpy(), 0, -1)) @ frame.T
    return nibabel.load(written[2]).get_fdata(), world, image.affine, document


@pytest.mark.parametrize("left", [False, True])
def test_every_form_of_the_same_tensors_gives_the_same_result(make_model, brain, tmp_path, left):
    affine, model = oblique(left=left), make_model()
    files = {
        "fsl": (save(tmp_path / "fsl.nii.gz", stored(brain, affine, "fsl", "fsl"), affine), {})
    }
    mrtrix = save(tmp_path / "mrtrix.nii", stored(brain, affine, "mrtrix", "ras"), affine)
    files["mrtrix"] = mrtrix, {"tensor_order": "mrtrix", "tensor_frame": "ras"}
    lower = np.moveaxis(stored(brain, affine, "ants", "voxel"), 0, -1)[:, :, :, None]
    image = nibabel.Nifti1Image(lower, affine)
    image.header.set_intent(1005, (3,))
    image.to_filename(tmp_path / "ants.nii.gz")
    files["ants"] = tmp_path / "ants.nii.gz", {}
    image = nibabel.Nifti1Image(lower, affine)
    image.to_filename(tmp_path / "five.nii.gz")
    files["five axes"] = tmp_path / "five.nii.gz", {}
    double = save(tmp_path / "double.nii", stored(brain, affine, "dipy", "fsl"), affine)
    files["dipy"] = double, {"tensor_order": "dipy"}
    for kind in ("3D-matrix", "3D-symmetric-matrix", "3D-masked-symmetric-matrix"):
        path = write_nrrd(tmp_path / f"{kind}.nrrd", brain, affine, kind, rotation().T)
        files[kind] = path, {}
    bare = write_nrrd(tmp_path / "bare.nrrd", brain, affine, "3D-symmetric-matrix", np.eye(3))
    files["NRRD in LPS"] = bare, {}
    first = None
    for name, (path, options) in files.items():
        fa, world, grid, document = result_of(model, path, tmp_path / name, **options)
        first = first or (fa, world, grid)
        np.testing.assert_allclose(fa, first[0], atol=1e-3, err_msg=name)
        np.testing.assert_allclose(world, first[1], atol=3e-7, err_msg=name)
        np.testing.assert_allclose(grid, first[2], atol=1e-5, err_msg=name)
        expected = {"mrtrix": "given", "dipy": "given", "fsl": "assumed", "five axes": "assumed"}
        assert document["TensorConvention"] == expected.get(name, "header"), name


def test_tensors_from_slicer(residual_model, brain, tmp_path):
    """The form that Slicer writes; of a left-handed grid with the first axis reversed."""
    affine = oblique(left=True)
    path = write_tensor_nrrd(tmp_path / "t.nrrd", brain, affine)
    _, world, grid, _ = result_of(residual_model(), path, tmp_path / "nrrd")
    nifti = save(tmp_path / "t.nii", brain, affine)
    _, truth, own, _ = result_of(residual_model(), nifti, tmp_path / "nii", tensor_frame="voxel")
    np.testing.assert_allclose(world, truth[::-1], atol=1e-9)
    np.testing.assert_allclose(grid @ [13, 0, 0, 1], own @ [0, 0, 0, 1], atol=1e-4)


def test_a_nrrd_file_without_measurement_frame(residual_model, brain, tmp_path):
    path = write_nrrd(tmp_path / "t.nrrd", brain, oblique(), "3D-symmetric-matrix")
    with pytest.raises(InputError, match=r"no measurement frame.* give --tensor-frame"):
        infer_file(path, model=residual_model(), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    *_, document = result_of(residual_model(), path, tmp_path / "out", tensor_frame="voxel")
    assert (document["TensorFrame"], document["TensorConvention"]) == ("voxel", "given")


def test_options_that_contradict_the_header_are_obeyed_and_said(residual_model, brain, tmp_path):
    path = write_nrrd(tmp_path / "t.nrrd", brain, oblique(), "3D-matrix", np.eye(3))
    options = {"tensor_order": "dipy", "tensor_frame": "voxel"}
    *_, document = result_of(residual_model(), path, tmp_path / "out", **options)
    text = " ".join(document["Warnings"])
    assert "dipy as given, though the header says fsl" in text
    assert "voxel as given, though the file has a measurement frame" in text


def scalar_files(tmp_path):
    before = locale.setlocale(locale.LC_ALL)  # GDCM leaves another behind
    values = np.random.default_rng(0).uniform(0, 900, SHAPE).astype(np.float32)
    image = SimpleITK.GetImageFromArray(values.T)
    for name in ("t1.mha", "t1.nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
    folder = tmp_path / "dicom"
    folder.mkdir()
    for k in range(SHAPE[2]):
        piece = SimpleITK.Cast(image[:, :, k], SimpleITK.sitkInt16)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        tags = {
            "0008|0060": "MR",
            "0008|0018": f"1.2.3.{k}",
            "0020|000e": "1.2.3",
            "0020|000d": "1.2",
            "0020|0032": f"0\\0\\{k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{k}.dcm"))
        writer.Execute(piece)
    locale.setlocale(locale.LC_ALL, before)
    return [
        save(tmp_path / "t1.nii.gz", values, oblique()),
        save(tmp_path / "one.nii.gz", values[None], oblique()),
        tmp_path / "t1.mha",
        tmp_path / "t1.nrrd",
        folder,
    ]


def test_scalar_volumes_are_recognised_and_refused_by_a_model_of_tensors(residual_model, tmp_path):
    for path in scalar_files(tmp_path):
        source = recognise(path)
        assert (source.kind, source.shape) == ("scalar", (1, *SHAPE))
        assert "a scalar volume" in str(source)
        with pytest.raises(InputError, match=r"takes diffusion tensors .* scalar volume"):
            infer_file(path, model=residual_model(), output=tmp_path / "out")
        assert read_volume(path).shape == (1, *SHAPE)


def test_dwi_in_nrrd_says_what_to_do(tmp_path):
    header = {"kinds": ["list", "domain", "domain", "domain"], "modality": "DWMRI"}
    nrrd.write(str(tmp_path / "d.nrrd"), np.ones((9, *SHAPE)), header)
    with pytest.raises(InputError, match="raw DWI in NRRD is not read: convert it to NIfTI"):
        check_kind(recognise(tmp_path / "d.nrrd"), "tensor", "m")


# --- number types, units, gradients -------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u2", "i2", ">i4", "f8"])
def test_number_types_and_scale_factors(residual_model, brain, tmp_path, dtype):
    affine = oblique()
    reference = save(tmp_path / "f4.nii.gz", np.abs(brain), affine)
    header = nibabel.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    image = nibabel.Nifti1Image(np.moveaxis(np.abs(brain), 0, -1), affine, header)
    image.to_filename(tmp_path / "other.nii.gz")  # nibabel chooses slope and intercept
    results = [
        result_of(residual_model(), path, tmp_path / path.name[:-7])
        for path in (reference, tmp_path / "other.nii.gz")
    ]
    np.testing.assert_allclose(results[1][1], results[0][1], atol=1e-7)


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_other_units_of_length(residual_model, brain, tmp_path, unit):
    factor = {"meter": 1e-3, "micron": 1e3}[unit]
    affine = oblique()
    image = nibabel.Nifti1Image(np.moveaxis(brain, 0, -1), np.diag([factor] * 3 + [1]) @ affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "u.nii.gz")
    reference = save(tmp_path / "mm.nii.gz", brain, affine)
    one, two = (
        result_of(residual_model(), path, tmp_path / path.name[:-7])
        for path in (tmp_path / "u.nii.gz", reference)
    )
    np.testing.assert_allclose(one[2], two[2], atol=1e-4)
    np.testing.assert_allclose(one[1], two[1], atol=1e-9)
    assert f"lengths are in {unit}s: converted to mm" in " ".join(one[3]["Warnings"])
    assert one[3]["VoxelSize"] == [1.0, 1.0, 1.0]


def test_forms_that_differ_give_results_of_one_form(residual_model, brain, tmp_path):
    affine, moved = oblique(), oblique()
    moved[:3, 3] += 21
    image = nibabel.Nifti1Image(np.moveaxis(brain, 0, -1), affine)
    image.set_sform(affine, 4)
    image.set_qform(moved, 1)
    image.to_filename(tmp_path / "t.nii.gz")
    written = infer_file(tmp_path / "t.nii.gz", model=residual_model(), output=tmp_path / "out")
    result = nibabel.load(written[0])
    np.testing.assert_allclose(result.get_qform(), result.get_sform(), atol=1e-5)
    np.testing.assert_allclose(
        result.affine @ [-0.5, -0.5, -0.5, 1], affine @ [-0.5, -0.5, -0.5, 1], atol=1e-5
    )
    assert "the qform differs" in " ".join(json.loads(written[1].read_text())["Warnings"])


def test_a_slight_shear_gives_a_rectangular_result(residual_model, brain, tmp_path):
    affine = oblique()
    affine[:3, 1] += 8e-4 * affine[:3, 0]
    path = save(tmp_path / "t.nii", brain, oblique())
    header = nibabel.load(path).header
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    content = bytearray(path.read_bytes())
    content[280:328] = header.binaryblock[280:328]
    path.write_bytes(content)
    written = infer_file(path, model=residual_model(), output=tmp_path / "out")
    result = nibabel.load(written[0])
    np.testing.assert_allclose(result.get_qform(), result.get_sform(), atol=1e-5)
    assert "not quite orthogonal" in " ".join(json.loads(written[1].read_text())["Warnings"])


def test_b_vectors_in_three_columns(residual_model, dwi_file, tmp_path):
    options = {"mask": tmp_path / "mask.nii.gz"}
    rows = result_of(residual_model(), dwi_file, tmp_path / "rows", **options)
    path = dwi_file.with_name("sub-01_dwi.bvec")
    np.savetxt(path, np.loadtxt(path).T)
    columns = result_of(residual_model(), dwi_file, tmp_path / "columns", **options)
    np.testing.assert_array_equal(rows[1], columns[1])


# --- NaN ----------------------------------------------------------------------------------------


def ball():
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    return (grid**2).sum(0) < 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("masked", [True, False])
def test_a_background_of_nan_is_zero_and_said(residual_model, brain, tmp_path, value, masked):
    inside = ball()
    path = save(tmp_path / "t.nii.gz", np.where(inside, brain, value), oblique())
    zero = save(tmp_path / "zero.nii.gz", brain * inside, oblique())
    mask = save(tmp_path / "mask.nii.gz", inside, oblique()) if masked else None
    one, two = (
        result_of(residual_model(), p, tmp_path / p.name[:-7], mask=mask) for p in (path, zero)
    )
    np.testing.assert_array_equal(one[1], two[1])
    text = " ".join(one[3]["Warnings"])
    assert f"{int((~inside).sum())} voxels outside the mask were NaN or infinite" in text
    assert two[3]["Warnings"] == []


@pytest.mark.parametrize("masked", [True, False])
def test_nan_in_the_brain_is_an_error(residual_model, brain, tmp_path, masked):
    inside, values = ball(), brain.copy()
    values[:, ~inside] = np.nan
    values[2, 3, 3, 4] = np.nan  # one component in the middle
    path = save(tmp_path / "t.nii.gz", values, oblique())
    mask = save(tmp_path / "mask.nii.gz", inside, oblique()) if masked else None
    with pytest.raises(InputError, match=r"1 voxel in the brain is NaN .* first at \(3, 3, 4\)"):
        infer_file(path, model=residual_model(), output=tmp_path / "out", mask=mask)


def test_nan_around_raw_dwi(residual_model, dwi_file, tmp_path):
    mask = tmp_path / "mask.nii.gz"
    clean = result_of(residual_model(), dwi_file, tmp_path / "clean", mask=mask)
    image, inside = nibabel.load(dwi_file), nibabel.load(mask).get_fdata() > 0
    values = image.get_fdata()
    values[~inside] = np.nan
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), image.affine), dwi_file)
    result = result_of(residual_model(), dwi_file, tmp_path / "nan", mask=mask)
    np.testing.assert_array_equal(result[1], clean[1])
    assert "outside the mask were NaN" in " ".join(result[3]["Warnings"])
