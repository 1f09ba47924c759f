"""NIfTI in and out: values, scales, header, as nibabel reads and writes them."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.errors import GeometryError, InputError
from medrev.volumes import nifti_shape, read_nifti, read_volume, write_nifti

from .nifti_files import AFFINE, image, message_of, save_in_unit

pytestmark = pytest.mark.usefixtures("gzip_library")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "<i2", ">i2", "<u2", "<u4", "<i8", "<f4", ">f4", "<f8"]
)
def test_values_are_nibabels(tmp_path, suffix, dtype):
    path = tmp_path / f"scan{suffix}"
    header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header.set_data_dtype(dtype)
    source = nib.Nifti1Image(np.arange(240, dtype=dtype).reshape(4, 5, 6, 2), AFFINE, header)
    source.to_filename(path)
    volume = read_nifti(path)
    assert volume.shape == (2, 4, 5, 6)
    assert volume.dtype == torch.float32
    assert volume.is_contiguous()
    expected = np.moveaxis(nib.load(path).get_fdata(dtype=np.float32), -1, 0)
    np.testing.assert_array_equal(volume.numpy(), expected)
    np.testing.assert_array_equal(volume.affine.numpy(), AFFINE)


def test_scale_factors_are_applied(tmp_path):
    header = image((3, 3, 3), np.int16).header
    header.set_slope_inter(0.5, -7)
    header["magic"], header["vox_offset"] = b"n+1", 352
    values = np.arange(27, dtype="<i2").tobytes()
    (tmp_path / "scaled.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4) + values))
    volume = read_nifti(tmp_path / "scaled.nii.gz")
    raw = nib.load(tmp_path / "scaled.nii.gz")
    assert (raw.dataobj.slope, raw.dataobj.inter) == (0.5, -7)
    np.testing.assert_allclose(volume[0].numpy(), raw.get_fdata(), rtol=1e-6)
    assert volume.max() == 0.5 * 26 - 7


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_an_intercept_is_added_before_values_are_rounded(tmp_path, dtype):
    stored = (np.arange(60).reshape(3, 4, 5) * 17 + 2**30).astype(dtype)
    nib.save(nib.Nifti1Image(stored, np.eye(4), dtype=dtype), tmp_path / "a.nii")
    set_scale(tmp_path / "a.nii", 0.5, -(2.0**29))
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.values[0], nib.load(tmp_path / "a.nii").get_fdata())
    assert not any("rounded" in note for note in volume.notes)


def test_whole_numbers_that_float32_does_not_hold_are_said(tmp_path):
    for largest, said in ((2**24, False), (2**24 + 1, True), (2**25, False)):
        stored = np.full((3, 4, 5), largest, np.int32)
        nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "a.nii")
        notes = " ".join(read_volume(tmp_path / "a.nii").notes)
        assert ("rounded to the 24 bits of float32" in notes) == said


@pytest.mark.parametrize(
    ("number", "told"),
    [(2**60, False), (2**60 + 1, True), (-(2**62) - 5, True), (3 * 2**53, False)],
)
def test_whole_numbers_that_float64_does_not_hold_are_said_too(tmp_path, number, told):
    stored = np.full((3, 4, 5), 7, np.int64)
    stored[1, 2, 3] = number
    nib.Nifti1Image(stored, AFFINE, dtype=np.int64).to_filename(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.values[0, 1, 2, 3] == float(number)
    assert ("rounded to the 24 bits" in " ".join(volume.notes)) == told


@pytest.mark.parametrize(
    ("slope", "inter", "factor"), [(np.nan, np.nan, 1), (np.inf, 0, 1), (0, 5, 1), (-2, 0, -2)]
)
def test_a_slope_that_means_none(tmp_path, slope, inter, factor):
    """As nibabel reads it."""
    stored = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "a.nii")
    set_scale(tmp_path / "a.nii", slope, inter)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").values[0], stored * factor)
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii").get_fdata(), stored * factor)


@pytest.mark.parametrize("inter", [np.nan, np.inf])
def test_an_intercept_that_is_no_number_is_refused(tmp_path, inter):
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "a.nii")
    set_scale(tmp_path / "a.nii", 2, inter)
    assert f"invalid intercept {inter}" in message_of(tmp_path / "a.nii")


def set_scale(path, slope, inter):
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, slope, inter)
    path.write_bytes(content)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1), (4, 5, 6, 1, 1)])
def test_trailing_axes_of_one_do_not_count(tmp_path, shape):
    image(shape).to_filename(tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").shape == (1, 4, 5, 6)


def test_the_shape_comes_from_the_header_alone(tmp_path):
    path = tmp_path / "a.nii"
    image((4, 5, 6, 7)).to_filename(path)
    path.write_bytes(path.read_bytes()[:600])
    assert nifti_shape(path) == (7, 4, 5, 6)
    with pytest.raises(InputError, match="no such file"):
        nifti_shape(tmp_path / "b.nii.gz")


def test_a_vector_image_is_read_as_its_components_and_written_as_4d(tmp_path):
    source = image((4, 5, 6, 1, 6))
    source.header.set_intent(1005, (3,))
    source.to_filename(tmp_path / "ants.nii.gz")
    volume = read_nifti(tmp_path / "ants.nii.gz")
    assert volume.shape == (6, 4, 5, 6)
    np.testing.assert_array_equal(volume[2].numpy(), source.dataobj[:, :, :, 0, 2])
    written = nib.load(write_nifti(tmp_path / "new.nii.gz", volume))
    assert written.shape == (4, 5, 6, 6)
    assert written.header["intent_code"] == 0


def test_nifti_2_and_chosen_volumes(tmp_path):
    source = image((4, 5, 6, 7), cls=nib.Nifti2Image)
    source.to_filename(tmp_path / "two.nii.gz")
    volume = read_nifti(tmp_path / "two.nii.gz", volumes=[5, 0, 5])
    expected = np.moveaxis(np.asarray(source.dataobj), -1, 0)[[5, 0, 5]]
    np.testing.assert_array_equal(volume.numpy(), expected)
    assert "volumes 0 to 6" in message_of(tmp_path / "two.nii.gz", volumes=[7])


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e3), ("micron", 1e-3), ("unknown", 1)])
def test_affines_come_in_mm_whatever_the_unit(tmp_path, unit, factor):
    save_in_unit(tmp_path / "u.nii", unit, factor)
    volume = read_nifti(tmp_path / "u.nii")
    np.testing.assert_allclose(volume.affine[:3].numpy(), AFFINE[:3], rtol=1e-6)
    written = nib.load(write_nifti(tmp_path / "mm.nii", volume))
    assert written.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(written.affine[:3], AFFINE[:3], rtol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1e-3), ("mm", 1e3), ("meter", 1)])
def test_voxels_that_no_head_has_are_refused(tmp_path, unit, factor):
    """Metres said to be mm, or the other way round."""
    save_in_unit(tmp_path / "u.nii", unit, factor)
    message = message_of(tmp_path / "u.nii", error=GeometryError)
    assert "voxel edges must be 0.01 to 100 mm, got " in message
    assert "unit of length" in message


def test_the_form_in_use_is_told(tmp_path):
    source = image()
    for sform, qform, expected in ((2, 1, "sform"), (0, 1, "qform"), (0, 0, "pixdim")):
        source.set_sform(AFFINE, sform)
        source.set_qform(AFFINE, qform)
        source.to_filename(tmp_path / "s.nii")
        volume = read_nifti(tmp_path / "s.nii")
        assert volume.meta["affine_source"] == expected
        np.testing.assert_allclose(volume.affine.numpy(), nib.load(tmp_path / "s.nii").affine)


def test_a_round_trip_keeps_values_geometry_and_header(tmp_path):
    source = image((4, 5, 6, 3))
    source.header["descrip"] = "FSL 6.0 é".encode("latin-1")
    source.header.set_intent("estimate", (), "tensor")
    source.header["cal_max"] = 0.003
    source.header.set_xyzt_units("mm", "sec")
    source.header["pixdim"][4] = 2.5
    source.set_sform(AFFINE, 4)
    source.to_filename(tmp_path / "a.nii.gz")
    first = read_nifti(tmp_path / "a.nii.gz")
    second = nib.load(write_nifti(tmp_path / "b.nii.gz", first))
    third = read_nifti(tmp_path / "b.nii.gz")
    assert torch.equal(first.as_tensor(), third.as_tensor())
    assert torch.equal(first.affine, third.affine)
    for name in ("descrip", "intent_code", "intent_name", "cal_max", "xyzt_units"):
        assert second.header[name] == source.header[name], name
    assert second.header["pixdim"][4] == 2.5
    assert second.get_data_dtype() == np.float32
    assert second.header["sform_code"] == second.header["qform_code"] == 4
    np.testing.assert_allclose(second.get_qform(), second.get_sform(), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (6, 4, 5, 6)])
def test_files_are_deterministic_and_nibabel_agrees(tmp_path, shape):
    volume = MetaTensor(torch.randn(shape), affine=torch.tensor(AFFINE))
    first = write_nifti(tmp_path / "a.nii.gz", volume).read_bytes()
    second = write_nifti(tmp_path / "other_name.nii.gz", volume.clone()).read_bytes()
    assert first == second
    loaded = nib.load(tmp_path / "a.nii.gz")
    assert loaded.ndim == (3 if shape[0] == 1 else 4)
    expected = np.moveaxis(volume.numpy(), 0, -1).reshape(loaded.shape)
    np.testing.assert_array_equal(loaded.get_fdata(dtype=np.float32), expected)
