"""Cohorts of contrasts: found, done, continued; one bad subject does not stop the others."""

import json
import shutil
from pathlib import Path

import nibabel
import pytest

from medrev.prediction import (
    Inference,
    Model,
    Request,
    find_entries,
    infer_many,
    load_model,
    save_weights,
)

from .conftest import oblique
from .contrasts import head, random_model, save_head

REQUEST = Request(quick_look=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Model, ...]:
    """A model with a file, so that results know it."""
    model = random_model()
    path = tmp_path_factory.mktemp("model") / "w.safetensors"
    save_weights(path, model.translator, model.pipeline, 1.0, {"intensity": {"t1": 5.0, "t2": 8.0}})
    return (load_model(path, "cpu"),)


def find(models, *paths, direction="forward", **options):
    return find_entries(
        Inference(models, Request(direction=direction)).source, list(paths), **options
    )


@pytest.fixture
def brats(tmp_path) -> Path:
    """Three scans; the second one has no t1."""
    root = tmp_path / "brats"
    for n in (1, 2, 3):
        name = f"BraTS20_Training_00{n}"
        for contrast in ("t1", "t2") if n != 2 else ("t2", "flair"):
            save_head(root / name / f"{name}_{contrast}.nii.gz", head() * n, oblique())
    return root


def test_a_brats_folder(brats, models):
    report = infer_many(find(models, brats), models, REQUEST)
    assert set(report.done) == {"BraTS20_Training_001", "BraTS20_Training_003"}
    assert "no t1 (it has flair, t2)" in report.failed["BraTS20_Training_002"]
    out = brats / "derivatives" / "medrev"
    first = out / "sub-BraTS20Training001" / "anat" / "sub-BraTS20Training001_desc-synth_T2w.nii.gz"
    assert report.done["BraTS20_Training_001"][0] == first
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    # The way back starts from t2, which all have; results are no subjects of the cohort.
    back = find(models, brats, direction="inverse")
    assert [entry.problem for entry in back] == [None] * 3
    request = Request(quick_look=False, direction="inverse")
    assert len(infer_many(back, models, request).done) == 3
    assert (first.parent / first.name.replace("T2w", "T1w")).is_file()
    # What is there is kept.
    again = infer_many(find(models, brats), models, REQUEST)
    assert set(again.kept) == set(report.done)
    assert again.done == {}


def test_one_scan_of_brats_by_its_folder(brats, models):
    (entry,) = find(models, brats / "BraTS20_Training_003")
    assert entry == find(models, brats, participants=["BraTS20_Training_003"])[0]


def test_bids_with_sessions_masks_and_a_second_t1(models, tmp_path):
    root = tmp_path / "bids"
    for stem in ("sub-01_ses-1", "sub-01_ses-2", "sub-02"):
        folder = root.joinpath(*stem.split("_"), "anat")
        save_head(folder / f"{stem}_T1w.nii.gz", head(), oblique())
    save_head(folder / "sub-02_run-2_T1w.nii.gz", head(), oblique())
    mask = head() > 0
    mask[:6] = False
    place = root / "sub-01" / "ses-1" / "anat"
    save_head(place / "sub-01_ses-1_desc-brain_mask.nii.gz", mask, oblique())
    report = infer_many(find(models, root), models, REQUEST)
    assert set(report.done) == {"sub-01_ses-1", "sub-01_ses-2"}
    assert "several files for t1" in report.failed["sub-02"]
    out = root / "derivatives" / "medrev" / "sub-01" / "ses-1" / "anat"
    result = nibabel.load(out / "sub-01_ses-1_desc-synth_T2w.nii.gz").get_fdata()
    assert not result[~mask].any()
    assert result[mask].any()
    assert [e.name for e in find(models, root / "sub-01")] == ["sub-01_ses-1", "sub-01_ses-2"]


def test_a_changed_input_or_setting_is_neither_kept_nor_replaced(brats, models):
    entries = find(models, brats, participants=["BraTS20_Training_001"])
    infer_many(entries, models, REQUEST)
    other = Request(quick_look=False, cycle_residual=True)
    assert "give --overwrite" in infer_many(entries, models, other).failed["BraTS20_Training_001"]
    save_head(entries[0].path, head() + 1, oblique())
    assert "another input" in infer_many(entries, models, REQUEST).failed["BraTS20_Training_001"]
    replaced = infer_many(entries, models, Request(quick_look=False, overwrite=True))
    assert len(replaced.done) == 1


def test_a_damaged_volume_does_not_stop_the_others(brats, models):
    shutil.rmtree(brats / "BraTS20_Training_002")
    path = brats / "BraTS20_Training_001" / "BraTS20_Training_001_t1.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    report = infer_many(find(models, brats), models, REQUEST)
    assert set(report.done) == {"BraTS20_Training_003"}
    assert "truncated" in report.failed["BraTS20_Training_001"]


def test_files_side_by_side(models, tmp_path):
    files = [save_head(tmp_path / "in" / f"sub-0{n}_T1w.nii.gz", head(), oblique()) for n in (1, 2)]
    report = infer_many(find(models, *files, output=tmp_path / "out"), models, REQUEST)
    assert len(report.done) == 2
    assert len(list((tmp_path / "out").glob("sub-0?_desc-synth_T2w.nii.gz"))) == 2
