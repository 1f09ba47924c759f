"""NIfTI in two files: values, positions and files are those of one, and what lacks is said."""

import gzip
import shutil
import struct

import nibabel as nib
import numpy as np
import pytest

from medrev.data.layouts import nifti_files
from medrev.errors import InputError
from medrev.evaluation.folders import volumes_in
from medrev.volumes import coarsen_files, read_header, read_volume

from .nifti_files import message_of

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.3, -0.2, 0.1) @ np.diag([-2.0, 1.5, 3.0]), (12.5, -40, 7)
)


@pytest.fixture(params=[nib.Nifti1Pair, nib.Nifti2Pair])
def pair(request, tmp_path):
    """Whole numbers with a scale, oblique and left-handed."""
    stored = np.arange(240, dtype=np.int16).reshape(4, 5, 6, 2)
    image = request.param(stored, OBLIQUE)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "scan.img")  # nibabel writes a scale of its own
    header = bytearray((tmp_path / "scan.hdr").read_bytes())
    place, form = (112, "<ff") if request.param is nib.Nifti1Pair else (176, "<dd")
    struct.pack_into(form, header, place, 0.5, -7)
    (tmp_path / "scan.hdr").write_bytes(header)
    return tmp_path / "scan"


@pytest.mark.parametrize("ending", [".hdr", ".img"])
def test_either_file_is_the_volume(pair, ending):
    volume, image = read_volume(pair.with_suffix(ending)), nib.load(pair.with_suffix(".img"))
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert np.linalg.det(volume.affine[:3, :3]) < 0
    expected = np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0)
    np.testing.assert_array_equal(volume.values.numpy(), expected)
    assert volume.values[1, 3, 4, 5] == 0.5 * 239 - 7
    files = read_header(pair.with_suffix(ending)).files
    assert files == (pair.with_suffix(".hdr"), pair.with_suffix(".img"))


def test_zipped_and_in_capitals(pair):
    whole = read_volume(pair.with_suffix(".hdr")).values
    for ending in (".hdr", ".img"):
        content = pair.with_suffix(ending).read_bytes()
        pair.with_name(f"zip{ending}.gz").write_bytes(gzip.compress(content))
        pair.with_name(f"CAPITALS{ending.upper()}").write_bytes(content)
    for name in ("zip.hdr.gz", "zip.img.gz", "CAPITALS.HDR", "CAPITALS.IMG"):
        assert (read_volume(pair.with_name(name)).values == whole).all()


def test_what_lacks_is_said(pair):
    image = pair.with_suffix(".img")
    image.write_bytes(image.read_bytes()[:-4])
    assert "scan.img: truncated: the header promises 480 bytes" in message_of_volume(pair, ".hdr")
    image.unlink()
    message = message_of_volume(pair, ".hdr")
    assert message.endswith("its voxels are not beside it, in scan.img: copy both files")
    shutil.move(pair.with_suffix(".hdr"), image)
    assert "its header is not beside it, in scan.hdr" in message_of_volume(pair, ".img")
    shutil.move(image, pair.with_suffix(".nii"))
    assert "call the two scan.hdr and scan.img" in message_of(pair.with_suffix(".nii"))


def test_a_single_file_is_not_called_like_two(pair):
    nib.Nifti1Image(np.zeros((3, 4, 5)), np.eye(4)).to_filename(pair.with_suffix(".nii"))
    shutil.move(pair.with_suffix(".nii"), pair.with_suffix(".hdr"))
    assert "ANALYZE" not in (message := message_of_volume(pair, ".hdr"))
    assert message.endswith("voxels follow the header: call it scan.nii")


def test_folders_list_the_header_once(pair):
    assert [path.name for path in nifti_files(pair.parent)] == ["scan.hdr"]
    nib.Nifti1Image(np.zeros((3, 4, 5)), np.eye(4)).to_filename(pair.with_suffix(".nii.gz"))
    assert [path.name for path in nifti_files(pair.parent)] == ["scan.nii.gz"]


def test_an_evaluation_has_it_once(pair):
    nib.Nifti1Image(np.zeros((3, 4, 5)), np.eye(4)).to_filename(pair.with_suffix(".nii.gz"))
    for place in (pair.parent, pair.parent / "sc*"):
        found = volumes_in(place, None, "predictions")
        assert found == {"scan": pair.with_suffix(".nii.gz")}
    pair.with_suffix(".nii.gz").unlink()
    assert volumes_in(pair.parent, None, "predictions") == {"scan": pair.with_suffix(".hdr")}


def test_a_folder_made_coarse_goes_past_headers_of_other_formats(pair, tmp_path):
    nib.Nifti1Image(np.ones((4, 4, 4)), np.eye(4)).to_filename(pair.with_suffix(".nii.gz"))
    nib.AnalyzeImage(np.ones((4, 4, 4), np.int16), None).to_filename(pair.with_name("old.hdr"))
    pair.with_name("photo.hdr").write_text("ENVI\nsamples = 4\n")
    made = dict(coarsen_files(pair.parent, tmp_path / "coarse", 2))
    assert made.pop(tmp_path / "coarse" / "scan.nii.gz") == ""
    assert {path.name: said[:16] for path, said in made.items()} == {
        "old.hdr": "left out: ANALYZ",
        "photo.hdr": "left out: not a ",
    }
    for name in ("old.hdr", "photo.hdr"):
        with pytest.raises(InputError, match=name):
            list(coarsen_files(pair.with_name(name), tmp_path / "coarse", 2))


def test_made_coarse_it_is_one_file(pair, tmp_path):
    ((place, _),) = coarsen_files(pair.with_suffix(".hdr"), tmp_path / "coarse", 2)
    assert place.name == "scan.nii.gz"
    given, made = read_volume(pair.with_suffix(".hdr")), read_volume(place)
    assert made.values[0, 0, 0, 0] == given.values[0, :2, :2, :2].mean()
    corner = made.affine @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(corner, given.affine @ [-0.5, -0.5, -0.5, 1], atol=1e-4)


def message_of_volume(pair, ending):
    with pytest.raises(InputError) as caught:
        read_volume(pair.with_suffix(ending))
    return str(caught.value)
