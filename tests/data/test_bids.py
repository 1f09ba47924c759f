"""Which files of a BIDS folder are a brain's mask, and which are no images of magnitudes."""

import json
import os
from pathlib import Path

import pytest

from medrev.data.bids import complex_part, find_mask
from medrev.data.layouts import nifti_files
from medrev.data.subject import Subject
from medrev.domains.source import recognise
from medrev.domains.tensor.find import LAYOUTS, problems
from medrev.errors import InputError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("mask", "is_one"),
    [
        ("sub-1_desc-brain_mask", True),
        ("sub-1_mask", True),
        ("sub-1_brain_mask", True),
        ("sub-1_dwi_mask", True),
        ("sub-1_label-brain_mask", True),
        ("sub-1_label-lesion_mask", False),
        ("sub-1_label-L_mask", False),
        ("sub-1_desc-lesion_mask", False),
        ("sub-1_desc-tumor_label-brain_mask", False),
        ("sub-1_lesion_mask", False),
        ("sub-1_space-MNI152NLin2009cAsym_desc-brain_mask", False),
        ("sub-1_label-WM_probseg", False),
        ("sub-2_desc-brain_mask", False),
        ("sub-1_hemi-L_desc-brain_mask", False),
        ("sub-1_desc-nonbrain_mask", False),
        ("sub-1_desc-brainstem_mask", False),
        ("sub-1_desc-preprocbrain_mask", True),
        ("sub-1_desc-brainExtracted_mask", True),
        ("sub-1_acq-b0_desc-brain_mask", True),
        ("sub-1_label-brain_desc-final_mask", True),
        ("sub-1_label-wmBrain_mask", False),
        ("sub-1_label-brainGM_mask", False),
        ("sub-1_desc-leftbrain_mask", False),
        ("sub-1_desc-brainVentricles_mask", False),
        ("sub-1_desc-brain_label-CSF_mask", False),
        ("sub-1_seg-aparc_desc-brain_mask", False),
        ("sub-1_acq-lesion_mask", False),
        ("sub-1_roi-hippocampus_mask", False),
    ],
)
@pytest.mark.parametrize("place", ["dwi", "derivatives/other"])
def test_a_mask_of_something_else_is_no_brain_mask(tmp_path, mask, is_one, place):
    series = tmp_path / "sub-1" / "dwi" / "sub-1_dwi.nii.gz"
    folder = series.parent if place == "dwi" else tmp_path / place / "sub-1" / "dwi"
    touch(series, folder / f"{mask}.nii.gz")
    found = find_mask(series, tmp_path, alone=True)
    assert found == (folder / f"{mask}.nii.gz" if is_one else None)


@pytest.mark.parametrize("word", ["", "_brain", "_bet", "_lesion"])
@pytest.mark.parametrize("alone", [True, False])
def test_names_outside_of_bids_and_their_masks(tmp_path, word, alone):
    """A single file and its cohort find the same mask."""
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("L", "L_2")[: 1 if alone else 2]}
    for name, file in files.items():
        touch(file, tmp_path / f"{name}{word}_mask.nii.gz", tmp_path / f"{name}.bval")
    if not alone:
        touch(tmp_path / "brain_mask.nii.gz")  # of nobody knows whom
    listed = {subject.id: subject.files.get("mask") for subject in LAYOUTS.list(tmp_path).subjects}
    for name, file in files.items():
        mask = None if word == "_lesion" else tmp_path / f"{name}{word}_mask.nii.gz"
        assert find_mask(file, tmp_path, alone=alone) == listed[name] == mask


def test_of_several_series_each_has_its_own_mask(tmp_path):
    folder = tmp_path / "sub-1" / "dwi"
    names = [f"sub-1_run-{n}_space-T1w_desc-" for n in (1, 2)]
    touch(*(folder / f"{name}preproc_dwi.nii.gz" for name in names))
    touch(*(folder / f"{name}brain_mask.nii.gz" for name in names))
    for name in names:
        found = find_mask(folder / f"{name}preproc_dwi.nii.gz", tmp_path, alone=False)
        assert found == folder / f"{name}brain_mask.nii.gz"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("sub-1_part-mag_dwi", None),
        ("sub-1_part-phase_dwi", "phase"),
        ("sub-1_part-real_T1w", "real"),
        ("sub-1_part-imag_dwi", "imag"),
        ("scan_ph", "phase"),
        ("scan_imaginary", "imag"),
        ("sub-1_dwi_real", "real"),
        ("sub-1_ph_dwi", "phase"),
        ("sub-1_dir-AP_phase_dwi", "phase"),
        ("sub-1_desc-phase_dwi", None),
        ("sub-1_phase1_dwi", None),
        ("ph", None),
        ("sub-1_dwi", None),
    ],
)
def test_parts_of_a_complex_series_by_name(tmp_path, name, part):
    assert complex_part(tmp_path / f"{name}.nii.gz") == part


@pytest.mark.parametrize(
    ("kinds", "part"),
    [
        (["ORIGINAL", "PRIMARY", "M", "ND"], None),
        (["ORIGINAL", "PRIMARY", "P", "ND"], "phase"),
        (["ORIGINAL", "PRIMARY", "PHASE MAP", "PHASE"], "phase"),
        ("P", None),
    ],
)
def test_parts_of_a_complex_series_by_the_json_file(tmp_path, kinds, part):
    (tmp_path / "sub-1_dwi.json").write_text(json.dumps({"ImageType": kinds}))
    assert complex_part(tmp_path / "sub-1_dwi.nii.gz") == part


def test_phases_are_no_scans_and_magnitudes_are_one(tmp_path, caplog):
    folder = tmp_path / "sub-1" / "dwi"
    for part in ("mag", "phase"):
        touch(*(folder / f"sub-1_part-{part}_dwi.{e}" for e in ("nii.gz", "bval", "bvec")))
    with caplog.at_level("WARNING", "medrev"):
        (subject,) = LAYOUTS.list(tmp_path).subjects
    assert subject.files["dwi"].name == "sub-1_part-mag_dwi.nii.gz"
    assert "sub-1_part-phase_dwi.nii.gz is left out: the phase part" in caplog.text
    with pytest.raises(InputError, match="is the phase part of a complex series: give that of"):
        recognise(folder / "sub-1_part-phase_dwi.nii.gz")


def annex(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.symlink("../../.git/annex/objects/zz/MD5E-s1--0.nii.gz", path)


@pytest.mark.parametrize("ending", ["dwi.nii.gz", "dwi.bval", "dwi.bvec", "desc-brain_mask.nii.gz"])
def test_files_that_were_not_fetched_are_named(tmp_path, ending):
    folder = tmp_path / "sub-1" / "dwi"
    touch(*(folder / f"sub-1_dwi.{e}" for e in ("nii.gz", "bval", "bvec")))
    touch(folder / "sub-1_desc-brain_mask.nii.gz")
    annex(folder / f"sub-1_{ending}")
    (subject,) = LAYOUTS.list(tmp_path).subjects
    (line,) = problems(subject)
    assert f"sub-1_{ending}" in line
    assert "was not fetched; run 'datalad get'" in line


def test_links_count_as_files_of_a_folder(tmp_path):
    touch(tmp_path / "a.nii")
    os.symlink("nowhere", tmp_path / "b.nii.gz")
    os.symlink("nowhere", tmp_path / ".c.nii.gz")
    assert [path.name for path in nifti_files(tmp_path)] == ["a.nii", "b.nii.gz"]


def test_a_pointer_of_lfs_is_no_file(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 120\n")
    (line,) = Subject("sub-1", {"mask": path}).missing()
    assert "git lfs pull" in line


def test_a_name_that_no_disk_takes_is_not_found():
    (line,) = Subject("sub-1", {"dwi": Path("x" * 3000)}).missing()
    assert line.startswith("sub-1: dwi not found: xxx")
