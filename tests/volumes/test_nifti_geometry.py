"""NIfTI geometry that other readers see elsewhere, and what is said of it."""

import os

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medrev.errors import InputError
from medrev.volumes import (
    Volume,
    read_header,
    read_nifti,
    read_volume,
    same_grid,
    write_color_nifti,
    write_nifti,
)

from .nifti_files import AFFINE, image, save_in_unit


def notes_of(path):
    assert read_header(path).notes == read_volume(path).notes
    return " ".join(read_volume(path).notes)


def test_an_ordinary_file_has_no_notes(tmp_path):
    image().to_filename(tmp_path / "a.nii.gz")
    assert notes_of(tmp_path / "a.nii.gz") == ""


def test_a_file_in_place_of_another_of_its_size_and_time_is_read_as_it_is(tmp_path):
    """As `cp -p` and rsync leave it."""
    path, moved = tmp_path / "a.nii", AFFINE.copy()
    moved[0, 3] += 50
    image().to_filename(path)
    image(affine=moved).to_filename(tmp_path / "b.nii")
    time = path.stat().st_mtime_ns
    np.testing.assert_array_equal(read_header(path).affine, AFFINE)
    (tmp_path / "b.nii").replace(path)
    os.utime(path, ns=(time, time))
    np.testing.assert_array_equal(read_header(path).affine, moved)
    path.write_bytes(path.read_bytes()[:280] + image().to_bytes()[280:])
    os.utime(path, ns=(time, time))
    np.testing.assert_array_equal(read_header(path).affine, AFFINE)


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
