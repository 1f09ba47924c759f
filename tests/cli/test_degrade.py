"""``medrev-degrade``: block means on the right grid, with what belongs to them beside them."""

import nibabel
import numpy as np
import pytest

from medrev.cli.degrade import main


@pytest.fixture
def scan(tmp_path):
    """A subject of a dataset, whose first axis has an odd voxel."""
    folder = tmp_path / "bids" / "sub-01" / "dwi"
    folder.mkdir(parents=True)
    values = np.zeros((5, 4, 4, 2), np.int16)
    values[0, 0, 0] = 8, 80
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values, affine), folder / "sub-01_dwi.nii.gz")
    mask = nibabel.Nifti1Image((values[..., 0] > 0).astype(np.uint8), affine)
    nibabel.save(mask, folder / "sub-01_desc-brain_mask.nii.gz")
    for name in ("sub-01_dwi.bval", "sub-01_dwi.bvec", "sub-01_dwi.json"):
        (folder / name).write_text(name)
    (tmp_path / "bids" / "dataset_description.json").write_text("{}")
    return folder / "sub-01_dwi.nii.gz"


def test_a_folder_becomes_one_that_is_read_in_its_place(scan, tmp_path, capsys):
    assert main([str(tmp_path / "bids"), "--output", str(tmp_path / "low")]) == 0
    out, err = capsys.readouterr()
    place = tmp_path / "low" / "sub-01" / "dwi"
    assert out.split() == [
        str(place / name) for name in ("sub-01_desc-brain_mask.nii.gz", "sub-01_dwi.nii.gz")
    ]
    assert "sub-01_dwi.nii.gz: cropped by 1 × 0 × 0 voxels" in err
    image = nibabel.load(place / "sub-01_dwi.nii.gz")
    assert image.shape == (2, 2, 2, 2)
    assert image.get_fdata()[0, 0, 0].tolist() == [1, 10]
    np.testing.assert_allclose(image.affine @ [0, 0, 0, 1], [0.5, 1, 1.5, 1])
    assert nibabel.affines.voxel_sizes(image.affine).tolist() == [2, 4, 6]
    mask = nibabel.load(place / "sub-01_desc-brain_mask.nii.gz").get_fdata()
    assert (mask[0, 0, 0], mask.sum()) == (1, 1)
    for name in ("sub-01_dwi.bval", "sub-01_dwi.bvec", "sub-01_dwi.json"):
        assert (place / name).read_text() == name
    assert (tmp_path / "low" / "dataset_description.json").is_file()


def test_thick_slices_of_one_volume(scan, tmp_path):
    command = [str(scan), "--output", str(tmp_path / "thick"), "--factor", "1", "1", "4"]
    assert main(command) == 0
    image = nibabel.load(tmp_path / "thick" / "sub-01_dwi.nii.gz")
    assert image.shape == (5, 4, 1, 2)
    assert image.get_fdata()[0, 0, 0].tolist() == [2, 20]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--output", "low"], "nowhere: no such file or folder"),
        (["bids", "--output", "bids"], "--output must be another folder"),
        (["bids/sub-01", "--output", "bids"], "--output must be another folder"),
        (["bids", "--output", "low", "--factor", "1", "2"], "--factor must be one number or three"),
        (["bids", "--output", "low", "--factor", "1"], "one above 1, got 1"),
        (["bids", "--output", "low", "--factor", "9"], "at least 9 voxels"),
        (["empty", "--output", "low"], "no NIfTI volumes"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_written(
    scan, tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "low").rglob("*.nii.gz"))


def test_existing_files_stay_and_are_all_replaced_when_asked(scan, tmp_path, capsys):
    command = [str(scan), "--output", str(tmp_path / "low")]
    assert main(command) == 0
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    scan.with_name("sub-01_dwi.bval").write_text("0 2000")
    scan.with_name("other.json").write_text("{}")
    assert main([*command, "--overwrite"]) == 0
    assert (tmp_path / "low" / "sub-01_dwi.bval").read_text() == "0 2000"
    assert not (tmp_path / "low" / "other.json").exists()


def test_labels_and_colours_have_no_mean_and_masks_with_dots_are_masks(scan, tmp_path, capsys):
    folder, affine = scan.parent, np.eye(4)
    labels = nibabel.Nifti1Image(np.full((4, 4, 4), 40, np.int16), affine)
    nibabel.save(labels, folder / "sub-01_dseg.nii.gz")
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, affine), folder / "sub-01_fa.nii.gz")
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[0, 0, 0] = 1
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "sub-01.v2_mask.nii.gz")
    assert main([str(tmp_path / "bids"), "--output", str(tmp_path / "low")]) == 0
    out, err = capsys.readouterr()
    place = tmp_path / "low" / "sub-01" / "dwi"
    assert "sub-01_dseg.nii.gz: left out: labels have no mean" in err
    assert "sub-01_fa.nii.gz: left out: it holds colours" in err
    assert str(place / "sub-01_dseg.nii.gz") not in out.split()
    assert not (place / "sub-01_dseg.nii.gz").exists()
    image = nibabel.load(place / "sub-01.v2_mask.nii.gz")
    assert image.get_fdata().max() == 1
    assert int(image.header["sform_code"]) == 2  # as nibabel wrote it


def test_damage_is_one_line(scan, tmp_path, capsys):
    scan.write_bytes(scan.read_bytes()[:60])
    assert main([str(scan), "--output", str(tmp_path / "low")]) == 2
    assert "sub-01_dwi.nii.gz" in capsys.readouterr().err
    assert not (tmp_path / "low").exists()
