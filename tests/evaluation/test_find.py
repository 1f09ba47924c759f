import json
import re
import shutil
from pathlib import Path

import pytest

from medrev.errors import InputError
from medrev.evaluation import Sources, find_cases

from .conftest import brain, make_cohort, save


def find(root: Path, *inputs: str, **more):
    given = {"reference": root / "ref", **more}
    return find_cases(Sources(inputs=tuple(str(root / i) for i in inputs), **given))


def test_predictions_and_references_are_matched_by_subject(cohort):
    found = find(cohort, "a", low=cohort / "low", mask=cohort / "mask")
    assert [case.id for case in found.cases] == ["sub-01", "sub-02", "sub-03"]
    files = found.cases[1].files
    assert {role: path.relative_to(cohort).as_posix() for role, path in files.items()} == {
        "reference": "ref/sub-02_T1w.nii.gz",
        "prediction model": "a/sub-02_desc-sr_T1w.nii.gz",
        "input": "low/sub-02_T1w.nii.gz",
        "mask": "mask/sub-02_mask.nii.gz",
    }
    assert found.models == ("model",)


def test_only_the_participants_asked_for(cohort):
    for only in (("sub-02", "03"), ("02", "sub-03")):
        found = find(cohort, "a", only=only)
        assert [case.id for case in found.cases] == ["sub-02", "sub-03"]
    with pytest.raises(InputError, match=r"no such participant: 04; .* sub-0"):
        find(cohort, "a", only=("01", "04"))


def test_a_person_stands_for_all_sessions(tmp_path):
    for place in ("a", "ref"):
        for name in ("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1"):
            save(tmp_path / place / f"{name}_T1w.nii.gz", brain(1))
    found = find(tmp_path, "a", only=("1",))
    assert [case.id for case in found.cases] == ["sub-1_ses-1", "sub-1_ses-2"]


def test_several_models_are_named_by_the_user_or_their_folder(tmp_path):
    make_cohort(tmp_path, models=("a", "b"))
    inputs = (f"revgan={tmp_path / 'a'}", str(tmp_path / "b"))
    found = find_cases(Sources(inputs=inputs, reference=tmp_path / "ref"))
    assert found.models == ("revgan", "b")


def test_masks_and_uncertainties_beside_the_volumes_are_found(cohort):
    for file in (cohort / "mask").iterdir():
        shutil.copy(file, cohort / "ref")
    shutil.copy(cohort / "a/sub-01_desc-sr_T1w.nii.gz", cohort / "a/sub-01_desc-sr_std_T1w.nii.gz")
    found = find(cohort, "a")
    assert found.cases[0].files["mask"] == cohort / "ref/sub-01_mask.nii.gz"
    assert found.cases[0].files["uncertainty model"].name == "sub-01_desc-sr_std_T1w.nii.gz"
    assert "uncertainty model" not in found.cases[1].files


def test_missing_pairs_are_named_and_do_not_stop_the_others(tmp_path):
    make_cohort(tmp_path, subjects=4, models=("a", "b"))
    (tmp_path / "ref/sub-01_T1w.nii.gz").unlink()
    (tmp_path / "b/sub-03_desc-sr_T1w.nii.gz").unlink()
    found = find(tmp_path, "a", "b")
    assert [case.id for case in found.cases] == ["sub-02", "sub-04"]
    assert found.failures == {
        "sub-01": "no reference of this subject was found",
        "sub-03": "no prediction b of this subject was found",
    }


def test_a_reference_without_prediction_is_only_noted(cohort):
    (cohort / "a/sub-02_desc-sr_T1w.nii.gz").unlink()
    found = find(cohort, "a")
    assert found.failures == {}
    assert found.notes == ("1 reference has no prediction and does not count: sub-02",)


def test_nothing_in_common_is_an_error_that_names_the_subjects(cohort):
    for file in (cohort / "ref").iterdir():
        file.rename(file.with_name(file.name.replace("sub-0", "sub-9")))
    with pytest.raises(InputError, match=r"no subject can be evaluated\n  sub-01: no reference"):
        find(cohort, "a")


def test_single_files_belong_together_whatever_their_names(cohort):
    found = find_cases(
        Sources(
            inputs=(str(cohort / "a/sub-01_desc-sr_T1w.nii.gz"),),
            reference=cohort / "ref/sub-02_T1w.nii.gz",
            mask=cohort / "mask/sub-03_mask.nii.gz",
        )
    )
    assert len(found.cases) == 1
    assert found.cases[0].files["mask"].name == "sub-03_mask.nii.gz"


def test_several_files_of_a_subject_are_named(cohort):
    for n in (1, 3):
        name = f"sub-0{n}_desc-sr_T1w.nii.gz"
        shutil.copy(cohort / "a" / name, cohort / "a" / name.replace("desc-sr", "desc-old"))
    with pytest.raises(InputError) as caught:
        find(cohort, "a")
    lines = str(caught.value).splitlines()
    assert "choose with a pattern" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["sub-01", "sub-03"]
    assert "sub-01_desc-old_T1w.nii.gz, sub-01_desc-sr_T1w.nii.gz" in lines[1]
    found = find(cohort, "a/*desc-sr*")
    assert len(found.cases) == 3


def test_of_tensors_and_their_maps_the_tensors_count(cohort):
    (cohort / "b").mkdir()
    for param in ("diffusivity", "fa", "md"):
        target = cohort / f"b/sub-01_param-{param}_dwimap.nii.gz"
        shutil.copy(cohort / "a/sub-01_desc-sr_T1w.nii.gz", target)
    found = find(cohort, "b")
    assert found.cases[0].files["prediction model"].name == "sub-01_param-diffusivity_dwimap.nii.gz"


def test_results_of_inference_are_matched_with_what_they_were_made_of(tmp_path):
    """Named after BIDS beside a picture, from files of BraTS and folders of HCP."""
    for n in (1, 2):
        for contrast in ("t1", "t1ce", "t2", "flair"):
            save(tmp_path / f"brats/SIM_0000{n}/SIM_0000{n}_{contrast}.nii.gz", brain(n))
        save(tmp_path / f"brats/SIM_0000{n}/SIM_0000{n}_seg.nii.gz", brain(n) > 0)
        save(tmp_path / f"hcp/10030{n}/T1w/Diffusion/data.nii.gz", brain(n))
        for made in (
            f"single/SIM_0000{n}_desc-synth_T2w",
            f"cohort/sub-SIM0000{n}/anat/sub-SIM0000{n}_desc-synth_T2w",
            f"sr/sub-10030{n}/dwi/sub-10030{n}_res-hi_model-tensor_param-diffusivity_desc-sr_dwimap",
        ):
            file = save(tmp_path / f"{made}.nii.gz", brain(n))
            file.with_name(file.name.replace(".nii.gz", ".png")).write_bytes(b"a picture")
            says = {"Contrast": "t2", "InputContrast": "t1"}
            file.with_name(file.name.replace(".nii.gz", ".json")).write_text(json.dumps(says))
    for folder, reference, wanted in (
        ("single", "brats", "SIM_0000{n}_t2.nii.gz"),
        ("cohort", "brats", "SIM_0000{n}_t2.nii.gz"),
        ("sr", "hcp", "data.nii.gz"),
    ):
        low = {} if folder == "sr" else {"low": tmp_path / "brats"}
        found = find(tmp_path, folder, reference=tmp_path / reference, **low)
        assert found.failures == {}
        assert len(found.cases) == 2
        for n, case in enumerate(found.cases, start=1):
            assert case.files["reference"].name == wanted.format(n=n)
            assert f"0{n}" in str(case.files["reference"])
            assert case.files["prediction model"].suffix == ".gz"
            if low:
                assert case.files["input"].name == f"SIM_0000{n}_t1.nii.gz"


def test_single_files_of_several_contrasts_have_their_input(tmp_path):
    """Their names differ in the contrast, and in what results add to it."""
    name = "BraTS_001"
    prediction = save(tmp_path / f"out/{name}_desc-synth_T2w.nii.gz", brain(1))
    files = {kind: save(tmp_path / f"in/{name}_{kind}.nii.gz", brain(2)) for kind in ("t1", "t2")}
    (case,) = find_cases(
        Sources(inputs=(str(prediction),), reference=files["t2"], low=files["t1"])
    ).cases
    assert case.files["input"] == files["t1"]


def test_models_whose_results_are_named_in_two_ways_have_the_same_subjects(tmp_path):
    """A result beside its input, and one in a folder of BIDS."""
    save(tmp_path / "one/SIM_00001_desc-synth_T2w.nii.gz", brain(1))
    save(tmp_path / "two/sub-SIM00001/anat/sub-SIM00001_desc-synth_T2w.nii.gz", brain(1))
    save(tmp_path / "ref/SIM_00001/SIM_00001_t2.nii.gz", brain(1))
    for order in (("one", "two"), ("two", "one")):
        found = find(tmp_path, *order)
        assert found.failures == {}
        (case,) = found.cases
        assert {f"prediction {name}" for name in order} <= set(case.files)


def test_a_mask_of_two_contrasts_serves_both(tmp_path):
    """Volumes that are named by their contrast; their person has one mask."""
    for contrast in ("t1", "t2"):
        save(tmp_path / f"a/s_{contrast}.nii.gz", brain(1))
        save(tmp_path / f"ref/s_{contrast}.nii.gz", brain(1))
    mask = save(tmp_path / "mask/s_mask.nii.gz", brain(1) > 0)
    found = find(tmp_path, "a", mask=tmp_path / "mask")
    assert [case.id for case in found.cases] == ["s_t1", "s_t2"]
    assert [case.files.get("mask") for case in found.cases] == [mask, mask]


def test_groups_come_from_the_participants_table(cohort):
    (cohort / "ref/participants.tsv").write_text(
        "participant_id\tsite\tage\nsub-01\tA\t30\nsub-02\tn/a\t31\n"
    )
    found = find(cohort, "a")
    assert [dict(case.columns) for case in found.cases] == [
        {"site": "A", "age": "30"},
        {"age": "31"},
        {},
    ]


def test_rows_of_one_participant_count_where_they_agree(cohort):
    (cohort / "ref/participants.tsv").write_text(
        "participant_id\tsession_id\tsite\n1\tses-1\tA\n1\tses-2\tA\nsub-02\t1\tA\nsub-02\t2\tB\n"
    )
    found = find(cohort, "a")
    assert [dict(case.columns) for case in found.cases] == [{"site": "A"}, {}, {}]


def test_a_row_that_could_be_of_two_participants_is_of_neither(tmp_path):
    for place in ("a", "ref"):
        for name in ("sub-1", "sub-01", "sub-2"):
            save(tmp_path / place / f"{name}_T1w.nii.gz", brain(1))
    (tmp_path / "ref/participants.tsv").write_text("id\tsite\n001\tA\n2.0\tB\n")
    found = find(tmp_path, "a")
    assert [dict(case.columns) for case in found.cases] == [{}, {}, {"site": "B"}]


def test_a_table_of_participants_that_cannot_be_read_stops_nobody_who_did_not_give_it(
    cohort, caplog
):
    table = cohort / "ref/participants.tsv"
    table.write_text("name\tsite\nx\tA\n")
    assert [dict(case.columns) for case in find(cohort, "a").cases] == [{}, {}, {}]
    assert "needs an identifier column" in caplog.text
    with pytest.raises(InputError, match="needs an identifier column"):
        find(cohort, "a", participants=table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": None}, "give the references of its predictions with --reference"),
        ({"reference": Path("nowhere")}, "references not found: nowhere is no folder"),
        ({"mask": Path("nowhere")}, "masks not found"),
    ],
)
def test_what_is_missing_is_said(cohort, change, message):
    with pytest.raises(InputError, match=message):
        find(cohort, "a", **change)


@pytest.mark.parametrize("name", ["nofolder", "nofolder/*.nii", "norun=nofolder", "no.csv"])
def test_an_input_that_is_not_there_is_named(cohort, name):
    place = name.removeprefix("norun=")
    for more in ({}, {"reference": cohort / "ref"}):
        message = (
            rf"predictions not found: {re.escape(place)} is no folder, no file and "
            "no shipped model[:;] "
        )
        with pytest.raises(InputError, match=message):
            find_cases(Sources(inputs=(name,), **more))


def test_a_folder_without_volumes_says_what_it_holds(cohort):
    empty = cohort / "empty"
    empty.mkdir()
    (empty / "readme.txt").touch()
    with pytest.raises(InputError, match=r"no volume or image .*found: readme\.txt"):
        find(cohort, "empty")


def test_two_inputs_of_one_name_are_refused(cohort):
    with pytest.raises(InputError, match="2 inputs are called 'a'"):
        find(cohort, "a", "../cohort/a")


def test_one_folder_of_uncertainties_cannot_serve_two_models(tmp_path):
    make_cohort(tmp_path, models=("a", "b"))
    with pytest.raises(InputError, match="--uncertainty goes with one model"):
        find(tmp_path, "a", "b", uncertainty=tmp_path / "a")
