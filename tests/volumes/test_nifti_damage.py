"""One clear line for every bad NIfTI file; nothing is written of what may not be."""

import contextlib
import gzip
import struct
import types

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.errors import GeometryError, InputError, MedrevError, OutputError
from medrev.volumes import read_nifti, read_volume, write_nifti

from .nifti_files import AFFINE, image, message_of

pytestmark = pytest.mark.usefixtures("gzip_library")


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
    for ending in ("hdr", "img"):
        with pytest.raises(InputError, match="ANALYZE, which does not say where left is: convert"):
            read_volume(tmp_path / f"old.{ending}")


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
