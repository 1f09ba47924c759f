"""Every layout is found, people are divided, and what is wrong is said in one line each."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.data import Cohort, Subject
from medrev.data.layouts import by_name
from medrev.domains.tensor import find_cohort, load_subject
from medrev.domains.tensor.find import LAYOUTS
from medrev.errors import InputError


@pytest.mark.parametrize("inner", ["T1w/Diffusion", "Diffusion"])
def test_hcp_layout_is_recognised(phantom, config, tmp_path, inner):
    phantom.save_hcp(tmp_path, "100307", inner)
    (tmp_path / "logs").mkdir()
    cohort = find_cohort(config(tmp_path))
    assert cohort.layout == "hcp"
    assert [s.id for s in cohort.subjects] == ["100307"]
    assert set(cohort.subjects[0].files) == {"dwi", "bval", "bvec", "mask"}


def test_hcp_in_two_files_a_volume(phantom, config, tmp_path):
    place = phantom.save_hcp(tmp_path, "100307")
    for name in ("data", "nodif_brain_mask"):
        image = nibabel.load(place / f"{name}.nii.gz")
        pair = nibabel.Nifti1Pair(image.get_fdata(dtype=np.float32), image.affine)
        pair.to_filename(place / f"{name}.hdr")
        (place / f"{name}.nii.gz").unlink()
    (subject,) = find_cohort(config(tmp_path)).subjects
    assert subject.files["dwi"] == place / "data.hdr"
    assert subject.files["mask"] == place / "nodif_brain_mask.hdr"


def test_bids_layout_with_sessions_and_masks_in_derivatives(phantom, config, tmp_path):
    phantom.save_bids(tmp_path, "sub-01")
    phantom.save_bids(tmp_path, "sub-02_ses-1", mask=False)
    phantom.save_bids(tmp_path, "sub-02_ses-2", mask=False)
    derived = tmp_path / "derivatives/masks/sub-02/ses-1/dwi/sub-02_ses-1_desc-brain_mask.nii.gz"
    phantom.save(derived, phantom.mask)
    cohort = find_cohort(config(tmp_path))
    assert cohort.layout == "bids"
    assert [s.id for s in cohort.subjects] == ["sub-01", "sub-02_ses-1", "sub-02_ses-2"]
    assert ["mask" in s.files for s in cohort.subjects] == [True, True, False]
    assert cohort.subjects[1].files["mask"] == derived


def test_participants_contribute_split_and_truth(phantom, config, tmp_path):
    for name in ("sub-01", "sub-02"):
        phantom.save_bids(tmp_path, name)
    phantom.save_tensor(tmp_path / "truth" / "sub-02.nii.gz")
    table = "participant_id\tsplit\ttruth\nsub-01\ttrain\tn/a\nsub-02\ttest\ttruth/sub-02.nii.gz\n"
    (tmp_path / "participants.tsv").write_text(table)
    cohort = find_cohort(config(tmp_path))
    assert cohort.layout == "bids"
    assert [s.id for s in cohort.part("test")] == ["sub-02"]
    assert cohort.part("validation") == ()
    assert cohort.part("test")[0].files["truth"] == tmp_path / "truth/sub-02.nii.gz"
    assert "truth" not in cohort.part("train")[0].files


def test_gradients_are_inherited_from_the_root(phantom, config, tmp_path):
    folder = phantom.save_bids(tmp_path, "sub-01")
    for ending in ("bval", "bvec"):
        (folder / f"sub-01_dwi.{ending}").rename(tmp_path / f"dwi.{ending}")
    assert find_cohort(config(tmp_path)).subjects[0].files["bval"] == tmp_path / "dwi.bval"


def test_gradients_are_inherited_by_the_series_that_has_their_entities(phantom, config, tmp_path):
    for name in ("sub-01_ses-1", "sub-01_ses-2"):
        folder = phantom.save_bids(tmp_path, name)
        for ending in ("bval", "bvec"):
            (folder / f"{name}_dwi.{ending}").rename(folder.parent / f"{name}_dwi.{ending}")
    subject = tmp_path / "sub-01"
    (subject / "sub-01_ses-9_dwi.bval").write_text("of another session")
    (subject / "ses-2/sub-01_ses-2_dwi.bval").rename(subject / "sub-01_dwi.bval")
    first, second = find_cohort(config(tmp_path)).subjects
    assert first.files["bval"] == subject / "ses-1/sub-01_ses-1_dwi.bval"
    assert second.files["bval"] == subject / "sub-01_dwi.bval"
    assert second.files["bvec"] == subject / "ses-2/sub-01_ses-2_dwi.bvec"


def test_dwi_side_by_side_in_one_folder(phantom, config, tmp_path):
    for name in ("sub-01", "sub-02"):
        phantom.save_bids(tmp_path / "bids", name)
    flat = tmp_path / "flat of two"
    flat.mkdir()
    for file in (tmp_path / "bids").glob("sub-*/dwi/*"):
        file.rename(flat / file.name)
    cohort = find_cohort(config(flat))
    assert cohort.layout == "files"
    assert [s.id for s in cohort.subjects] == ["sub-01", "sub-02"]
    assert cohort.subjects[1].files["bvec"] == flat / "sub-02_dwi.bvec"
    (flat / "sub-02_dwi.bvec").unlink()
    with pytest.raises(InputError, match=r"sub-02: no bvec file for sub-02_dwi\.nii\.gz"):
        find_cohort(config(flat))


def test_a_flat_mask_belongs_to_the_tensor_with_the_longest_name(phantom, config, tmp_path):
    for name in ("A", "A_2"):
        phantom.save_tensor(tmp_path / f"{name}_tensor.nii.gz")
        phantom.save(tmp_path / f"{name}_mask.nii.gz", phantom.mask)
    phantom.save(tmp_path / "A_lesion_mask.nii.gz", phantom.mask)
    masks = {s.id: s.files.get("mask") for s in find_cohort(config(tmp_path)).subjects}
    assert masks == {name: tmp_path / f"{name}_mask.nii.gz" for name in ("A", "A_2")}


def test_ready_tensors_in_folders_and_flat(phantom, config, tmp_path):
    phantom.save_tensor(tmp_path / "nested/A/tensor.nii.gz")
    for mask in ("brain_mask", "wm_mask", "A_label-GM_mask"):
        phantom.save(tmp_path / f"nested/A/{mask}.nii.gz", phantom.mask)
    phantom.save_tensor(tmp_path / "flat/A_tensor.nii.gz")
    phantom.save_tensor(tmp_path / "flat/B_tensor.nii.gz")
    phantom.save(tmp_path / "flat/A_mask.nii.gz", phantom.mask)
    nested, flat = (find_cohort(config(tmp_path / kind)) for kind in ("nested", "flat"))
    assert nested.layout == flat.layout == "tensors"
    (one,) = nested.subjects
    assert (one.id, one.files["mask"].name) == ("A", "brain_mask.nii.gz")
    assert [(s.id, "mask" in s.files) for s in flat.subjects] == [("A", True), ("B", False)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\t", ";"),
        ("sub-0", ""),
        ("sub-01", "1.0"),
        ("sub-", "SUB-"),
        ("sub-", "sub\u2013"),
        ("sub-01", "sub-01\u00a0"),
        ("participant_id", "# made by hand\nparticipant_id"),
    ],
)
def test_participants_as_spreadsheets_leave_them(phantom, config, tmp_path, old, new):
    """None is passed over: the parts would be others than the table says."""
    table = "participant_id\tsplit\nsub-01\ttest\nsub-02\ttrain\n"
    for name in ("sub-01", "sub-02"):
        phantom.save_bids(tmp_path, name)
    (tmp_path / "participants.tsv").write_text(table.replace(old, new))
    cohort = find_cohort(config(tmp_path))
    assert [(s.id, s.split) for s in cohort.subjects] == [("sub-01", "test"), ("sub-02", "train")]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("A\ttrain\nB\ttest\n", "its split is of none of the subjects .sub-01.: it names them A"),
        ("sub-01\ttrain\nsub-01\ttest\n", "sub-01 is listed twice, in different parts"),
    ],
)
def test_participants_who_are_others(phantom, config, tmp_path, rows, words):
    phantom.save_bids(tmp_path, "sub-01")
    (tmp_path / "participants.tsv").write_text(f"participant_id\tsplit\n{rows}")
    with pytest.raises(InputError, match=words):
        find_cohort(config(tmp_path))


def test_a_row_that_could_be_of_two_persons_is_of_neither():
    rows = {"1": {"split": "test"}, "sub-02": {"split": "train"}}
    alone, twins = [Subject("sub-01")], [Subject("sub-01"), Subject("sub-001")]
    assert by_name(rows, alone)("sub-01") == {"split": "test"}
    assert by_name(rows, [Subject("sub-01_ses-1"), Subject("sub-01_ses-2")])("sub-01_ses-2")
    assert by_name(rows, twins)("sub-01") is None
    assert by_name(rows, twins)("sub-02") == {"split": "train"}


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("name", ["participants.tsv", "list.csv"])
def test_table_of_paths(phantom, config, tmp_path, name, windows):
    phantom.save_bids(tmp_path / "data", "sub-01")
    phantom.save_tensor(tmp_path / "t.nii.gz")
    rows = [
        ["id", "dwi", "tensor", "split"],
        ["one", "data/sub-01/dwi/sub-01_dwi.nii.gz", "", "train"],
        ["two", "", "t.nii.gz", "val"],
    ]
    separator = "\t" if name.endswith("tsv") else ","
    text = "\n".join(separator.join(row) for row in rows)
    (tmp_path / name).write_text(text.replace("/", "\\") if windows else text)
    changes = {} if name == "participants.tsv" else {"table": tmp_path / name}
    cohort = find_cohort(config(tmp_path, **changes))
    assert cohort.layout == "table"
    assert cohort.subjects[0].files["bval"] == tmp_path / "data/sub-01/dwi/sub-01_dwi.bval"
    assert [s.split for s in cohort.subjects] == ["train", "validation"]


def test_only_the_subjects_asked_for(phantom, config, tmp_path):
    phantom.save_hcp(tmp_path, "A1")
    phantom.save_hcp(tmp_path, "A2")
    assert len(find_cohort(config(tmp_path, subjects=("A2",))).subjects) == 1
    for name in ("sub-A2", "A2"):
        assert find_cohort(config(tmp_path, subjects=(name,))).subjects[0].id == "A2"
    with pytest.raises(InputError, match=r"not found .* A3; there are A1, A2"):
        find_cohort(config(tmp_path, subjects=("A3",)))
    phantom.save_hcp(tmp_path, "100307")
    with pytest.raises(InputError, match="100308; did you mean 100307"):
        find_cohort(config(tmp_path, subjects=("100308",)))


def test_an_unknown_folder_names_the_layouts_and_what_it_holds(config, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"no subjects in .*hcp: SUBJECT/T1w.*found: photos"):
        find_cohort(config(tmp_path))
    said = r"data.root not found: .*photo; did you mean photos\?; expected .*hcp: SUBJECT/T1w"
    with pytest.raises(InputError, match=said):
        find_cohort(config(tmp_path / "photo"))


def test_several_problems_come_together(phantom, config, tmp_path):
    first = phantom.save_hcp(tmp_path, "A")
    second = phantom.save_hcp(tmp_path, "B")
    (first / "bvals").unlink()
    (second / "data.nii.gz").unlink()
    with pytest.raises(InputError) as error:
        find_cohort(config(tmp_path))
    lines = str(error.value).splitlines()
    assert "2 problems" in lines[0]
    assert any("A: no bval file" in line for line in lines)
    assert any("B: no data.nii.gz" in line for line in lines)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id,tensor\nA,t.nii.gz\nA,t.nii.gz", "A: listed 2 times"),
        ("id,tensor\nA,missing.nii.gz", "A: tensor not found"),
        ("id,tensor,split\nA,t.nii.gz,exam", "split must be train, validation, test, got 'exam'"),
        ("name,tensor\nA,t.nii.gz", "needs an identifier column"),
        ("id,age\nA,3", "has no column dwi or tensor"),
        ("id,dwi\nA,t.nii.gz", "A: no bval file"),
        ("id,tensor\n,t.nii.gz", "row 2: the identifier is empty"),
        (
            "id,tensor,split\nsub-1_ses-1,t.nii.gz,train\nsub-1_ses-2,t.nii.gz,test",
            "sub-1: scans of one person are in different parts",
        ),
    ],
)
def test_wrong_tables(phantom, config, tmp_path, rows, message):
    phantom.save_tensor(tmp_path / "t.nii.gz")
    (tmp_path / "list.csv").write_text(rows)
    with pytest.raises(InputError, match=message):
        find_cohort(config(tmp_path, table=tmp_path / "list.csv"))


def cohort_of(names, tmp_path, **split):
    from medrev.config.schema import Split

    return Cohort(tuple(Subject(n) for n in names), "hcp", tmp_path, Split(**split))


def parts(cohort):
    return {n: {s.id for s in cohort.part(n)} for n in ("train", "validation", "test")}


def test_split_is_a_deterministic_partition(tmp_path):
    names = [f"s{n}" for n in range(10)]
    found = parts(cohort_of(names, tmp_path))
    assert found == parts(cohort_of(names[::-1], tmp_path))
    assert [len(found[n]) for n in ("train", "validation", "test")] == [7, 1, 2]
    assert set().union(*found.values()) == set(names)
    assert found != parts(cohort_of(names, tmp_path, seed=1))


def test_names_that_are_no_text_are_divided_too():
    people = tuple(Subject(os.fsdecode(b"lat\xfcin%d" % n)) for n in range(9))
    cohort = Cohort(people, "bids", Path())
    assert sum(len(part) for part in cohort.division.values()) == 9


def test_split_by_number_and_minimum(tmp_path):
    names = [f"s{n}" for n in range(5)]
    found = parts(cohort_of(names, tmp_path, test=2, validation=2))
    assert [len(found[n]) for n in ("train", "validation", "test")] == [1, 2, 2]
    two = parts(cohort_of(names[:2], tmp_path))
    assert [len(two[n]) for n in ("train", "validation", "test")] == [1, 0, 1]
    with pytest.raises(InputError, match="too few for 1 test"):
        cohort_of(names[:1], tmp_path).part("train")
    with pytest.raises(InputError, match="whole number"):
        cohort_of(names, tmp_path, test=1.5).part("train")


def test_sessions_of_one_person_stay_together(tmp_path):
    names = [f"sub-{n:02}_ses-{m}" for n in range(10) for m in (1, 2)]
    found = parts(cohort_of(names, tmp_path))
    assert set().union(*found.values()) == set(names)
    people = {part: {name[:6] for name in ids} for part, ids in found.items()}
    # Shares are of people: of ten, 2 to test, 1 to validate, whatever the number of sessions.
    assert {part: len(found) for part, found in people.items()} == {
        "train": 7,
        "validation": 1,
        "test": 2,
    }
    assert {part: len(ids) for part, ids in found.items()} == {
        part: 2 * len(found) for part, found in people.items()
    }


def test_split_column_without_a_test_subject(phantom, config, tmp_path):
    phantom.save_tensor(tmp_path / "t.nii.gz")
    (tmp_path / "participants.tsv").write_text("id\ttensor\tsplit\nA\tt.nii.gz\ttrain\n")
    with pytest.raises(InputError, match=r"has no test subject .it has 1 train"):
        find_cohort(config(tmp_path)).part("test")


def test_every_layout_loads_to_the_same_scan(phantom, config, tmp_path):
    phantom.save_hcp(tmp_path / "hcp", "A")
    phantom.save_bids(tmp_path / "bids", "sub-01")
    scans = []
    for kind in ("hcp", "bids"):
        data = config(tmp_path / kind)
        scans.append(load_subject(find_cohort(data).subjects[0], data))
    assert (scans[0].dwi == scans[1].dwi).all()
    assert scans[0].dwi.shape[0] == 13  # the volume of b = 3000 is left out


def test_all_subjects_are_listed_the_broken_ones_too(phantom, config, tmp_path):
    for name in "ABC":
        phantom.save_tensor(tmp_path / name / "tensor.nii.gz")
    (tmp_path / "B" / "tensor.nii.gz").write_bytes(b"damaged")
    phantom.save_tensor(tmp_path / "derivatives" / "medrev" / "sub-A" / "dwi" / "t.nii.gz")
    listing = LAYOUTS.list(tmp_path)
    assert listing.layout == "tensors"
    assert [subject.id for subject in listing.subjects] == ["A", "C"]
    assert len(listing.problems) == 1
    assert listing.problems[0].startswith("B: ")
    assert "not a NIfTI file" in listing.problems[0]
    with pytest.raises(InputError, match=r"B: .*not a NIfTI file"):
        find_cohort(config(tmp_path))


def test_a_folder_without_subjects_is_not_listed(tmp_path):
    with pytest.raises(InputError, match="no subjects in"):
        LAYOUTS.list(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        LAYOUTS.list(tmp_path / "none")
