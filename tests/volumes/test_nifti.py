"""NIfTI in and out: values, geometry, header, and one clear line for every bad file."""

import contextlib
import gzip
import struct
import types

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from scipy.spatial.transform import Rotation

from medrev.errors import GeometryError, InputError, MedrevError, OutputError
from medrev.volumes import (
    Volume,
    gzipped,
    nifti_shape,
    read_header,
    read_nifti,
    read_volume,
    same_grid,
    write_color_nifti,
    write_nifti,
)

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 1.5, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])


@pytest.fixture(params=["isal", "stdlib"], autouse=True)
def gzip_library(request, monkeypatch):
    if request.param == "stdlib":
        monkeypatch.setattr(gzipped, "fast_gzip", None)
    elif gzipped.fast_gzip is None:
        pytest.skip("isal is not installed")


def image(shape=(4, 5, 6), dtype=np.float32, affine=AFFINE, cls=nib.Nifti1Image):
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return cls(values, affine, dtype=dtype)


def message_of(path, error=InputError, **options):
    with pytest.raises(error) as caught:
        read_nifti(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


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


def save_in_unit(path, unit, factor):
    """The same grid with its lengths in a unit of so many mm."""
    source = image()
    affine = AFFINE.copy()
    affine[:3] /= factor
    source.set_sform(affine)
    source.set_qform(affine)
    source.header.set_xyzt_units(unit, "sec")
    source.to_filename(path)


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


# --- geometry that other readers see elsewhere ---------------------------------------------------


def notes_of(path):
    assert read_header(path).notes == read_volume(path).notes
    return " ".join(read_volume(path).notes)


def test_an_ordinary_file_has_no_notes(tmp_path):
    image().to_filename(tmp_path / "a.nii.gz")
    assert notes_of(tmp_path / "a.nii.gz") == ""


def test_two_forms_that_differ(tmp_path):
    """The sform is taken, as in nibabel, and both forms of a copy are equal to it."""
    source, moved = image(), AFFINE.copy()
    moved[0, 3] += 21
    source.set_sform(AFFINE, 2)
    source.set_qform(moved, 1)
    source.to_filename(tmp_path / "a.nii")
    assert "differs from the sform by up to 21 mm" in notes_of(tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.affine, AFFINE)
    copy = nib.load(write_nifti(tmp_path / "b.nii", volume))
    np.testing.assert_allclose(copy.get_sform(), AFFINE)
    np.testing.assert_allclose(copy.get_qform(), AFFINE, atol=1e-5)
    assert copy.header["sform_code"] == copy.header["qform_code"] == 2
    assert notes_of(tmp_path / "b.nii") == ""


def test_voxels_of_another_size_than_pixdim_says(tmp_path):
    """FSL goes by pixdim, nibabel by the sform."""
    source = image()
    source.set_sform(AFFINE, 1)
    source.set_qform(None, 0)
    source.header["pixdim"][1:4] = [2, 1.5, 3]
    source.to_filename(tmp_path / "a.nii")
    assert notes_of(tmp_path / "a.nii") == ""
    source.header["pixdim"][1:4] = [1, 1, 1]
    source.to_filename(tmp_path / "a.nii")
    assert "those of pixdim differ (2 1.5 3 and 1 1 1 mm)" in notes_of(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").affine, AFFINE)


def test_volumes_that_the_header_does_not_count_are_said(tmp_path):
    image().to_filename(tmp_path / "a.nii")
    plain = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(plain + bytes(479))
    assert notes_of(tmp_path / "a.nii") == ""
    (tmp_path / "a.nii").write_bytes(plain + bytes(480))
    assert "480 bytes more than its header says" in " ".join(read_volume(tmp_path / "a.nii").notes)


def test_no_form_at_all(tmp_path):
    source = image()
    source.set_sform(None, 0)
    source.set_qform(None, 0)
    source.to_filename(tmp_path / "a.nii")
    assert "neither sform nor qform is set" in notes_of(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.affine, nib.load(tmp_path / "a.nii").affine)
    copy = nib.load(write_nifti(tmp_path / "b.nii", volume))
    assert copy.header["sform_code"] == 1
    np.testing.assert_array_equal(copy.affine, volume.affine)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e3), ("micron", 1e-3)])
def test_other_units_are_said(tmp_path, unit, factor):
    save_in_unit(tmp_path / "u.nii", unit, factor)
    assert f"lengths are in {unit}s: converted to mm" in notes_of(tmp_path / "u.nii")


def test_a_slight_shear_is_taken_out_so_that_all_readers_agree(tmp_path):
    shape, affine = (40, 50, 60), AFFINE.copy()
    affine[0, 1] = 1e-3
    nib.Nifti1Image(np.zeros(shape, np.float32), affine).to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[252:254] = bytes(2)  # qform_code
    (tmp_path / "a.nii").write_bytes(content)
    assert "not quite orthogonal: made so, which moves voxels" in notes_of(tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    centre = [19.5, 24.5, 29.5, 1]
    np.testing.assert_allclose(volume.affine @ centre, affine @ centre, atol=1e-5)
    copy = nib.load(write_nifti(tmp_path / "b.nii", volume))
    assert same_grid(copy.get_sform(), copy.get_qform(), shape=shape)
    # What is handed over by a library's user is treated alike.
    other = nib.load(write_nifti(tmp_path / "c.nii", Volume(volume.values, affine)))
    assert same_grid(copy.affine, other.affine, shape=shape)


@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    tilt=st.tuples(*[st.floats(-5, 0)] * 3),
    turned=st.booleans(),
    left=st.booleans(),
)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_itk_and_nibabel_place_what_is_written_at_one_point(
    tmp_path_factory, angles, tilt, turned, left
):
    """Also near rotations by 180°, where the numbers of a qform are too coarse."""
    shape = (145, 2, 145)
    angles = tuple(10**t for t in tilt) if turned else angles
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = affine[:3, :3] @ np.diag([-1.25, -1.3, -2.0 if left else 2.0])
    affine[:3, 3] = 100, 120, -80
    path = tmp_path_factory.mktemp("forms") / "a.nii"
    write_nifti(path, Volume(torch.zeros(1, *shape), affine))
    assert same_grid(nib.load(path).affine, affine, shape=shape)
    image = SimpleITK.ReadImage(str(path))
    corner = np.array(image.TransformIndexToPhysicalPoint((144, 1, 144))) * (-1, -1, 1)
    np.testing.assert_allclose(corner, (affine @ [144, 1, 144, 1])[:3], atol=1e-4)
    header = nib.load(path).header
    if header["qform_code"]:
        assert same_grid(header.get_qform(), affine, shape=shape, tolerance=1e-2)


def test_what_a_header_says_of_tensors(tmp_path):
    for shape, intent, expected in [
        ((4, 5, 6, 1, 6), 1005, "ants"),
        ((4, 5, 6, 1, 6), 1007, None),
    ]:
        source = image(shape)
        source.header.set_intent(intent, (3,) if intent == 1005 else ())
        source.to_filename(tmp_path / "t.nii")
        assert read_header(tmp_path / "t.nii").tensor.order == expected
    image((4, 5, 6, 6)).to_filename(tmp_path / "t.nii")
    assert read_header(tmp_path / "t.nii").tensor is None


def test_colours_are_rgb24(tmp_path):
    colours = torch.rand(3, 4, 5, 6)
    colours[:, 0, 0, 0] = torch.tensor([1.0, 0.0, 0.5])
    for name in ("a.nii", "a.nii.gz"):
        path = write_color_nifti(tmp_path / name, Volume(colours, AFFINE))
        loaded = nib.load(path)
        assert (int(loaded.header["datatype"]), int(loaded.header["bitpix"])) == (128, 24)
        assert loaded.shape == (4, 5, 6)
        np.testing.assert_array_equal(loaded.affine, AFFINE)
        pixels = np.asarray(loaded.dataobj)
        found = np.stack([pixels["R"], pixels["G"], pixels["B"]])
        np.testing.assert_array_equal(found, (colours.numpy() * 255).round().astype(np.uint8))
        itk = SimpleITK.ReadImage(str(path))
        assert itk.GetNumberOfComponentsPerPixel() == 3
        assert itk[1, 2, 3] == tuple(found[:, 1, 2, 3].tolist())
    with pytest.raises(InputError, match="got 1 channels"):
        write_color_nifti(tmp_path / "b.nii", Volume(colours[:1], AFFINE))


# --- bad input ----------------------------------------------------------------------------------


def test_a_missing_file_suggests_near_names(tmp_path):
    image().to_filename(tmp_path / "subject_dwi.nii.gz")
    assert "did you mean subject_dwi.nii.gz" in message_of(tmp_path / "subject_dwi.nii")
    assert "does not exist" in message_of(tmp_path / "nowhere" / "a.nii")
    assert "folder" in message_of(tmp_path)


@pytest.mark.parametrize("keep", [100, 700, -10])
def test_a_truncated_gzip_file(tmp_path, keep):
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    nib.Nifti1Image(values, AFFINE).to_filename(tmp_path / "whole.nii.gz")
    path = tmp_path / "cut.nii.gz"
    path.write_bytes((tmp_path / "whole.nii.gz").read_bytes()[:keep])
    assert "truncated" in message_of(path)


def test_a_damaged_gzip_file(tmp_path):
    path = tmp_path / "damaged.nii.gz"
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    nib.Nifti1Image(values, AFFINE).to_filename(path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 255  # the check sum
    path.write_bytes(content)
    assert "damaged" in message_of(path)


def test_no_damage_of_a_gzip_file_goes_unseen(tmp_path):
    values = np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16)
    nib.Nifti1Image(values, AFFINE).to_filename(tmp_path / "whole.nii.gz")
    content, path = (tmp_path / "whole.nii.gz").read_bytes(), tmp_path / "damaged.nii.gz"
    rng = np.random.default_rng(1)
    for place in rng.integers(60, len(content), 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        message_of(path, MedrevError)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damage_is_found_in_volumes_that_are_not_kept(tmp_path, suffix):
    source = np.random.default_rng(0).normal(size=(9, 9, 9, 4)).astype(np.float32)
    nib.save(nib.Nifti1Image(source, AFFINE), tmp_path / f"whole{suffix}")
    content = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(content[:-100])
    assert "truncated" in message_of(tmp_path / f"cut{suffix}", volumes=[0])
    if suffix == ".nii.gz":
        changed = bytearray(content)
        changed[-2000] ^= 0xFF
        (tmp_path / f"changed{suffix}").write_bytes(changed)
        assert "damaged compressed file" in message_of(tmp_path / f"changed{suffix}", volumes=[0])
    found = read_nifti(tmp_path / f"whole{suffix}", volumes=[0])
    np.testing.assert_array_equal(found[0].numpy(), source[..., 0])


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_that_promises_more_than_the_file_can_hold(tmp_path, zipped):
    """Nothing is allocated: 30000³ numbers would be 100 TB."""
    source = image()
    content = bytearray(source.to_bytes())
    struct.pack_into("<8h", content, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path = tmp_path / ("a.nii.gz" if zipped else "a.nii")
    path.write_bytes(gzip.compress(bytes(content)) if zipped else bytes(content))
    assert "promises 108000000000000 bytes of voxels" in message_of(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_voxels_do_not_begin_in_the_header(tmp_path, zipped):
    content = bytearray(image().to_bytes())
    struct.pack_into("<f", content, 108, 0.0)
    path = tmp_path / ("a.nii.gz" if zipped else "a.nii")
    path.write_bytes(gzip.compress(bytes(content)) if zipped else bytes(content))
    assert "vox_offset must be 352 or more, behind the header, got 0" in message_of(path)


def test_more_than_the_memory_holds_is_refused(tmp_path, monkeypatch):
    image().to_filename(tmp_path / "a.nii")
    little = types.SimpleNamespace(total=479)
    monkeypatch.setattr("psutil.virtual_memory", lambda: little)
    assert "1×4×5×6 voxels need" in message_of(tmp_path / "a.nii")
    little.total = 480
    assert read_volume(tmp_path / "a.nii").shape == (1, 4, 5, 6)


def test_an_unknown_unit_is_named_by_its_number(tmp_path):
    content = bytearray(image().to_bytes())
    content[123] = 7
    (tmp_path / "a.nii").write_bytes(content)
    assert message_of(tmp_path / "a.nii").endswith("has an unknown unit code 7")


def test_no_damage_of_a_header_gives_a_traceback(tmp_path):
    image((4, 5, 6, 2)).to_filename(tmp_path / "whole.nii")
    content, path = (tmp_path / "whole.nii").read_bytes(), tmp_path / "damaged.nii"
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(352)] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(MedrevError):
            read_nifti(path)


def test_truncated_data_and_header(tmp_path):
    image().to_filename(tmp_path / "whole.nii")
    content = (tmp_path / "whole.nii").read_bytes()
    path = tmp_path / "cut.nii"
    path.write_bytes(content[:-4])
    assert "promises 480 bytes of voxels, got 476" in message_of(path)
    path.write_bytes(content[:200])
    assert "truncated" in message_of(path)
    path.write_bytes(b"")
    assert "empty" in message_of(path)


def test_what_is_not_nifti(tmp_path):
    path = tmp_path / "photo.nii.gz"
    path.write_bytes(gzip.compress(b"NRRD0004" * 100))
    assert "not a NIfTI file" in message_of(path)
    nib.AnalyzeImage(np.zeros((3, 3, 3), np.float32), AFFINE).to_filename(tmp_path / "old.img")
    assert "Analyze" in message_of(tmp_path / "old.hdr")
    with pytest.raises(InputError, match="Analyze"):
        read_volume(tmp_path / "old.img")


def test_a_header_without_the_size_of_voxels_is_refused(tmp_path):
    """nibabel reads them as 1 mm."""
    path = tmp_path / "a.nii"
    image((3, 4, 5)).to_filename(path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<hh", content, 252, 0, 0)  # neither qform nor sform
    struct.pack_into("<f", content, 80, 0)
    path.write_bytes(content)
    assert "does not say the size of voxels" in message_of(path)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2, 2)])
def test_other_dimensions_say_what_is_expected(tmp_path, shape):
    image(shape).to_filename(tmp_path / "d.nii")
    assert f"3D or 4D volume is needed, got {len(shape)}D" in message_of(tmp_path / "d.nii")


def test_complex_values_and_colours(tmp_path):
    image((3, 3, 3), np.complex64).to_filename(tmp_path / "c.nii")
    assert "the file has complex numbers: give the magnitudes" in message_of(tmp_path / "c.nii")
    colours = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.Nifti1Image(colours, AFFINE).to_filename(tmp_path / "c.nii")
    assert "real numbers are needed, the file has colours" in message_of(tmp_path / "c.nii")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (40, 0, "number of axes (dim[0]) must be 1 to 7, got 0"),
        (40, 8, "number of axes (dim[0]) must be 1 to 7, got 8"),
        (254, 99, "sform_code and qform_code must be 0 to 5, got 99"),
    ],
)
def test_numbers_of_a_header_that_mean_nothing(tmp_path, place, value, words):
    path = tmp_path / "a.nii"
    image((3, 4, 5)).to_filename(path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<h", content, place, value)
    path.write_bytes(content)
    assert words in message_of(path)


def test_nan_and_infinity_are_counted_and_placed(tmp_path):
    source = image((4, 5, 6, 2))
    values = np.asarray(source.dataobj)
    values[1, 2, 3, 1], values[3, 3, 3, 1] = np.nan, np.inf
    nib.Nifti1Image(values, AFFINE).to_filename(tmp_path / "n.nii.gz")
    assert "2 voxels are NaN or infinite, the first at (1, 2, 3) of volume 1" in message_of(
        tmp_path / "n.nii.gz"
    )
    assert read_nifti(tmp_path / "n.nii.gz", allow_nan=True).isnan().sum() == 1
    assert read_nifti(tmp_path / "n.nii.gz", volumes=[0]).shape == (1, 4, 5, 6)


@pytest.mark.parametrize("allow_nan", [False, True])
def test_numbers_beyond_float32_are_called_so(tmp_path, allow_nan):
    values = np.ones((4, 5, 6))
    values[1, 2, 3], values[0, 0, 0] = -1e300, np.nan
    nib.Nifti1Image(values, AFFINE).to_filename(tmp_path / "n.nii.gz")
    says = r"1 voxel is beyond the numbers of float32 \(to 3.4e\+38\), such as -1e\+300: replace"
    with pytest.raises(InputError, match=says):
        read_nifti(tmp_path / "n.nii.gz", allow_nan=allow_nan)


def test_a_header_that_is_not_valid_gives_one_line_only(tmp_path, capfd):
    image().to_filename(tmp_path / "h.nii")
    content = bytearray((tmp_path / "h.nii").read_bytes())
    content[70:72] = (4242).to_bytes(2, "little")  # datatype
    (tmp_path / "h.nii").write_bytes(content)
    assert "not valid" in message_of(tmp_path / "h.nii")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["singular", "sheared"])
def test_singular_and_sheared_affines(tmp_path, name):
    header = image().header
    affine = {"singular": np.diag([1.0, 1, 0, 1]), "sheared": AFFINE + np.eye(4, k=1)}[name]
    header["sform_code"], header["magic"], header["vox_offset"] = 1, b"n+1", 352
    for row, field in enumerate(("srow_x", "srow_y", "srow_z")):
        header[field] = affine[row]
    (tmp_path / "g.nii").write_bytes(header.binaryblock + bytes(4 + 480))
    assert name in message_of(tmp_path / "g.nii", GeometryError)


def test_nothing_is_written_for_bad_volumes_or_names(tmp_path):
    good = MetaTensor(torch.zeros(1, 2, 2, 2), affine=torch.tensor(AFFINE))
    bad = good.clone()
    bad[0, 0, 0, 0] = torch.nan
    for path, volume, error, message in [
        ("a.nii", bad, InputError, "1 voxel is NaN"),
        ("a.mha", good, OutputError, r"\.nii or \.nii\.gz"),
        ("a.nii", good[0], InputError, "C, I, J, K"),
        ("a.nii", good.as_tensor(), InputError, "MetaTensor"),
        (
            "a.nii",
            MetaTensor(good.as_tensor(), affine=torch.zeros(4, 4)),
            GeometryError,
            "last row|singular",
        ),
    ]:
        with pytest.raises(error, match=message):
            write_nifti(tmp_path / path, volume)
    assert list(tmp_path.iterdir()) == []


def test_existing_files_stay_unless_told(tmp_path):
    volume = MetaTensor(torch.zeros(1, 2, 2, 2), affine=torch.tensor(AFFINE))
    path = write_nifti(tmp_path / "a.nii.gz", volume)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        write_nifti(path, volume + 1)
    assert path.read_bytes() == before
    write_nifti(path, volume + 1, overwrite=True)
    assert read_nifti(path).min() == 1
