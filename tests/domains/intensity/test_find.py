"""Every way in which contrasts lie on disk is found, and what is wrong is said in one line each."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from medrev.data import Subject
from medrev.domains.intensity import contrasts, find_contrasts
from medrev.errors import ConfigError, InputError

EMPTY = np.zeros((2, 2, 2), np.int16)

OLD = ("t1", "t1ce", "t2", "flair", "seg")
NEW = ("t1n", "t1c", "t2w", "t2f", "seg")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"-")


@pytest.mark.parametrize(
    ("folders", "roles", "separator"),
    [
        (["HGG/Brats18_2013_10_1", "LGG/Brats18_TCIA09_141_1"], OLD, "_"),
        (["MICCAI_BraTS_2019_Data_Training/HGG/BraTS19_CBICA_AAB_1"], OLD, "_"),
        (["MICCAI_BraTS2020_TrainingData/BraTS20_Training_001"], OLD, "_"),
        (["BraTS2021_00000"], OLD, "_"),
        (["ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/BraTS-GLI-00000-000"], NEW, "-"),
        (["training_data1_v2/BraTS-GLI-00005-100", "BraTS-MET-00001-000"], NEW, "-"),
    ],
)
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_brats_of_every_year(tmp_path, config, folders, roles, separator, ending):
    for folder in folders:
        name = folder.rpartition("/")[2]
        touch(tmp_path, *(f"{folder}/{name}{separator}{role}{ending}" for role in roles))
    cohort = find_contrasts(config(tmp_path, target="flair"))
    assert cohort.layout == "brats"
    assert sorted(s.id for s in cohort.subjects) == sorted(f.rpartition("/")[2] for f in folders)
    for subject in cohort.subjects:
        folder = next(f for f in folders if f.endswith(subject.id))
        base = f"{tmp_path}/{folder}/{subject.id}{separator}"
        assert {k: str(v) for k, v in subject.files.items()} == {
            "t1": f"{base}{roles[0]}{ending}",
            "flair": f"{base}{roles[3]}{ending}",
            "labels": f"{base}seg{ending}",
        }


def test_scans_of_one_person_stay_together(tmp_path, config):
    for number in range(6):
        for scan in (100, 101, 102):
            name = f"BraTS-GLI-{number:05d}-{scan}"
            touch(tmp_path, f"{name}/{name}-t1n.nii.gz", f"{name}/{name}-t2w.nii.gz")
    cohort = find_contrasts(config(tmp_path, split={"test": 2, "validation": 1}))
    parts = {p: {s.person for s in cohort.part(p)} for p in ("train", "validation", "test")}
    assert [len(people) for people in parts.values()] == [3, 1, 2]
    assert len(set().union(*parts.values())) == 6
    assert [len(cohort.part(p)) for p in parts] == [9, 3, 6]


def test_bids_with_sessions_masks_and_contrast_agent(tmp_path, config):
    touch(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii",
        "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii",
        "sub-02/ses-1/anat/sub-02_ses-1_label-lesion_mask.nii",
        "derivatives/masks/sub-03/anat/sub-03_desc-brain_mask.nii.gz",
        "sub-03/anat/sub-03_T1w.nii.gz",
        "sub-03/anat/sub-03_T2w.nii.gz",
    )
    table = "participant_id\tsplit\nsub-01\ttrain\nsub-02\tval\n03\ttest\n"
    (tmp_path / "participants.tsv").write_text(table)
    cohort = find_contrasts(config(tmp_path, source="T1w", target="T2w"))
    assert cohort.layout == "bids"
    assert [s.id for s in cohort.subjects] == ["sub-01", "sub-02_ses-1", "sub-03"]
    assert cohort.subjects[0].files["t1"].name == "sub-01_T1w.nii.gz"
    names = [
        s.files["mask"].relative_to(tmp_path).parts[0] if "mask" in s.files else None
        for s in cohort.subjects
    ]
    assert names == ["sub-01", None, "derivatives"]
    assert [s.split for s in cohort.subjects] == ["train", "validation", "test"]


def test_of_several_files_of_a_contrast_none_is_chosen(tmp_path, config):
    touch(tmp_path, *(f"sub-01/anat/sub-01_{n}.nii.gz" for n in ("run-1_T1w", "run-2_T1w", "T2w")))
    with pytest.raises(InputError, match=r"sub-01: several files for t1 \(sub-01_run-1_T1w.*table"):
        find_contrasts(config(tmp_path))


def test_a_table_has_a_column_for_each_contrast(tmp_path, config):
    touch(tmp_path, "raw/a1.nii.gz", "raw/a2.mha", "raw/b1.nii.gz", "raw/b2.mha", "raw/m.nii.gz")
    rows = ["id,T1w,PD,mask,split", "a,raw/a1.nii.gz,raw/a2.mha,raw/m.nii.gz,train"]
    rows += ["b,raw/b1.nii.gz,raw/b2.mha,,test"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    cohort = find_contrasts(config(tmp_path / "list.csv", target="pd"))
    assert cohort.layout == "table"
    assert cohort.subjects[0].files["pd"] == tmp_path / "raw/a2.mha"
    assert ["mask" in s.files for s in cohort.subjects] == [True, False]
    assert [s.split for s in cohort.subjects] == ["train", "test"]
    assert cohort.layout == "table"
    assert [contrasts(subject) for subject in cohort.subjects] == [["pd", "t1"]] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,age\na,30\n", "no column of volumes; expected participants.tsv"),
        ("name,t1\na,1.nii\n", "needs an identifier column"),
        ("id,t1,t2\n,1.nii,2.nii\n", "row 2: the identifier is empty"),
    ],
)
def test_wrong_tables(tmp_path, config, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        find_contrasts(config(tmp_path / "list.csv"))


def test_a_split_beside_brats(brats, config):
    root = brats()
    lines = ["id\tsplit", *(f"BraTS2021_{n:05d}\t{'train' if n < 3 else 'test'}" for n in range(4))]
    (root / "participants.tsv").write_text("\n".join(lines))
    cohort = find_contrasts(config(root))
    assert cohort.layout == "brats"
    assert [s.id for s in cohort.part("test")] == ["BraTS2021_00003"]


def test_missing_data_says_where_it_is_to_be_had(tmp_path, config):
    (tmp_path / "photos").mkdir()
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError) as error:
            find_contrasts(config(root))
        for part in ("synapse.org", "registration", "NAME/NAME_{t1,", "NAME/NAME-{t1n,", "anat"):
            assert part in str(error.value)


def test_all_lacking_contrasts_are_told_together(brats, config):
    root = brats(3)
    (root / "BraTS2021_00000/BraTS2021_00000_t2.nii.gz").unlink()
    (root / "BraTS2021_00002/BraTS2021_00002_t1.nii.gz").unlink()
    with pytest.raises(InputError) as error:
        find_contrasts(config(root))
    lines = str(error.value).splitlines()
    assert "2 problems" in lines[0]
    assert "BraTS2021_00000: no t2 (it has flair, t1, t1ce)" in lines[1]
    assert "BraTS2021_00002: no t1 (it has flair, t1ce, t2); add them, or leave" in lines[2]
    kept = config(root, subjects=("BraTS2021_00001",))
    assert len(find_contrasts(kept).subjects) == 1


def test_files_of_a_table_that_are_not_there(tmp_path, config):
    touch(tmp_path, "1.nii.gz")
    text = "id,t1,t2,flair,mask\na,1.nii.gz,2.nii.gz,3.nii.gz,\n"
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=r"a: t2 not found: .*2.nii.gz"):
        find_contrasts(config(tmp_path / "list.csv"))
    touch(tmp_path, "2.nii.gz")
    assert len(find_contrasts(config(tmp_path / "list.csv")).subjects) == 1  # no need of flair
    (tmp_path / "list.csv").write_text("id,t1,t2,mask\na,1.nii.gz,2.nii.gz,m.nii.gz\n")
    with pytest.raises(InputError, match=r"a: mask not found: .*m.nii.gz"):
        find_contrasts(config(tmp_path / "list.csv"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"target": "pd"}, InputError, "no subject in .* has the contrast pd; they have flair, t1"),
        ({"target": "T1w"}, ConfigError, "t1 and T1w, which are both t1"),
        ({"layout": "bids"}, InputError, "no subjects in .*; expected bids: sub-"),
        ({"subjects": ("BraTS2021_1",)}, InputError, "not found .*BraTS2021_1; did you mean"),
    ],
)
def test_what_is_not_there(brats, config, changes, error, message):
    with pytest.raises(error, match=message):
        find_contrasts(config(brats(2, contrasts=("t1", "flair")), **changes))


def test_a_scan_without_any_contrast_but_labels_is_not_passed_over(brats, config):
    root = brats(2)
    folder = root / "BraTS2021_00001"
    (folder / "BraTS2021_00001_t1.nii.gz").rename(folder / "BraTS2021_00001_seg.nii.gz")
    for path in folder.glob("*_t*"):
        path.unlink()
    (folder / "BraTS2021_00001_flair.nii.gz").unlink()
    with pytest.raises(InputError, match=r"BraTS2021_00001: no t1 \(it has nothing\)"):
        find_contrasts(config(root))
    shutil.rmtree(folder)
    assert len(find_contrasts(config(root)).subjects) == 1


def test_subject_of_a_table_is_one_person_each():
    assert Subject("a_b").person == "a_b"
    assert Subject("sub-1_ses-2").person == "sub-1"
    assert Subject("BraTS2021_00001").person == "BraTS2021_00001"


def test_a_folder_can_be_the_test_part(tmp_path, config):
    """The two folders of a BraTS challenge: 285 and 66 heads in the one2one paper."""
    for folder, count in (("MICCAI_Data_Training", 5), ("MICCAI_Data_Validation", 2)):
        for number in range(count):
            name = f"Brats18_{folder[-8:]}_{number}"
            touch(tmp_path, *(f"{folder}/{name}/{name}_{role}.nii.gz" for role in ("t1", "t2")))
    split = {"test_folder": "validation", "validation": 0, "test": 0.2}
    cohort = find_contrasts(config(tmp_path, split=split))
    assert {s.id for s in cohort.part("test")} == {"Brats18_lidation_0", "Brats18_lidation_1"}
    assert len(cohort.part("train")) == 5
    assert cohort.part("validation") == ()
    one = find_contrasts(config(tmp_path, split=split | {"validation": 1}))
    assert [len(one.part(p)) for p in ("train", "validation", "test")] == [4, 1, 2]
    missing = find_contrasts(config(tmp_path, split=split | {"test_folder": "holdout"}))
    with pytest.raises(InputError, match=r"no subject of .* whose name contains 'holdout'"):
        missing.part("train")
    rows = [f"{s.id},{s.files['t1']},{s.files['t2']},train" for s in cohort.subjects]
    (tmp_path / "participants.csv").write_text("\n".join(["id,t1,t2,split", *rows]) + "\n")
    both = find_contrasts(config(tmp_path, split=split))
    with pytest.raises(InputError, match=r"column split, got data.split.test_folder 'validation'"):
        both.part("train")
