"""Many subjects: found, continued, overlapped, and not stopped by a bad one."""

import json
import shutil
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.errors import InputError
from medrev.prediction import (
    Entry,
    Inference,
    Request,
    find_entries,
    infer_many,
    load_model,
    save_weights,
)

from .conftest import SOURCE, oblique, save, save_ramp, save_subjects

REQUEST = Request(quick_look=False)


@pytest.fixture
def cohort(tmp_path):
    return save_subjects(tmp_path / "cohort", "ABCD")


def times(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


# --- what inputs name ---------------------------------------------------------------------------


def bids(root: Path, name: str, source: Path, mask: bool = True) -> None:
    """The raw DWI of the fixture `dwi_file` as a BIDS subject."""
    parts = name.split("_")
    folder = root.joinpath(*parts, "dwi")
    folder.mkdir(parents=True)
    for ending in ("nii.gz", "bval", "bvec"):
        shutil.copy(source.with_name(f"sub-01_dwi.{ending}"), folder / f"{name}_dwi.{ending}")
    if mask:
        shutil.copy(source.with_name("mask.nii.gz"), folder / f"{name}_desc-brain_mask.nii.gz")


def test_a_bids_dataset_of_sessions(dwi_file, saved_models, tmp_path):
    root = tmp_path / "bids"
    for name in ("sub-01_ses-1", "sub-01_ses-2", "sub-02"):
        bids(root, name, dwi_file)
    (root / "dataset_description.json").write_text("{}")
    (root / "sub-02" / "dwi" / "sub-02_dwi.bvec").unlink()
    entries = find_entries(SOURCE, [root])
    report = infer_many(entries, saved_models, REQUEST)
    assert set(report.done) == {"sub-01_ses-1", "sub-01_ses-2"}
    assert "no bvec file" in report.failed["sub-02"]
    out = root / "derivatives" / "medrev"
    for session in ("ses-1", "ses-2"):
        folder = out / "sub-01" / session / "dwi"
        name = f"sub-01_{session}_res-hi_model-tensor_param-md_desc-sr_dwimap.nii.gz"
        assert (folder / name).is_file()
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    # The results are no subjects of the dataset.
    assert [e.name for e in find_entries(SOURCE, [root])] == [e.name for e in entries]
    chosen = find_entries(SOURCE, [root], participants=["01"])
    assert [e.name for e in chosen] == ["sub-01_ses-1", "sub-01_ses-2"]
    assert [e.name for e in find_entries(SOURCE, [root], participants=["sub-02"])] == ["sub-02"]
    twice = find_entries(SOURCE, [root, root / "sub-01" / "..", root])
    assert [e.name for e in twice] == [e.name for e in entries]
    (root / "sub-04" / "ses-1" / "dwi").mkdir(parents=True)
    assert [e.name for e in find_entries(SOURCE, [root], participants=["04_ses-1"])] == [
        "sub-04_ses-1"
    ]
    shutil.rmtree(root / "sub-04")
    # What is not read need not be there.
    (root / "participants.tsv").write_text("participant_id\ttruth\nsub-01\tnowhere.nii.gz\n")
    assert [e.problem for e in find_entries(SOURCE, [root], participants=["01"])] == [None, None]
    subject = find_entries(SOURCE, [root / "sub-01"])
    assert subject == chosen
    with pytest.raises(InputError, match="no such participant: 03; there are sub-01"):
        find_entries(SOURCE, [root], participants=["03"])


def test_a_file_named_twice_is_done_once_and_noted(tensor_file, caplog):
    with caplog.at_level("INFO", logger="medrev"):
        assert len(find_entries(SOURCE, [tensor_file, tensor_file])) == 1
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()[:6]) == ("INFO", "note: ")


def test_hcp_folders(dwi_file, saved_models, tmp_path):
    for name in ("100307", "100408"):
        folder = tmp_path / "hcp" / name / "T1w" / "Diffusion"
        folder.mkdir(parents=True)
        for old, new in (
            ("sub-01_dwi.nii.gz", "data.nii.gz"),
            ("sub-01_dwi.bval", "bvals"),
            ("sub-01_dwi.bvec", "bvecs"),
            ("mask.nii.gz", "nodif_brain_mask.nii.gz"),
        ):
            shutil.copy(dwi_file.with_name(old), folder / new)
    out = tmp_path / "out"
    whole = find_entries(SOURCE, [tmp_path / "hcp"], out)
    assert [(e.name, e.base) for e in whole] == [
        ("100307", "sub-100307"),
        ("100408", "sub-100408"),
    ]
    single = find_entries(SOURCE, [tmp_path / "hcp" / "100307"], out)
    inner = find_entries(SOURCE, [tmp_path / "hcp" / "100307" / "T1w" / "Diffusion"], out)
    for (entry,) in (single, inner):
        assert entry.base == "sub-100307"
        assert entry.path.name == "data.nii.gz"
    report = infer_many(single, saved_models, REQUEST)
    (files,) = report.done.values()
    assert files[0].name == "sub-100307_res-hi_model-tensor_param-diffusivity_desc-sr_dwimap.nii.gz"
    series = tmp_path / "hcp" / "100307" / "T1w" / "Diffusion" / "data.nii.gz"
    image = nibabel.load(series)
    nibabel.Nifti1Pair(image.dataobj, image.affine).to_filename(series.with_name("data.hdr"))
    series.unlink()
    (entry,) = find_entries(SOURCE, [tmp_path / "hcp" / "100307"], out)
    assert (entry.path.name, entry.base) == ("data.hdr", "sub-100307")


def test_results_of_one_name_do_not_replace_each_other(saved_models, tmp_path):
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        files.append(save_ramp(tmp_path / folder / "t.nii.gz", (6, 5, 7), oblique()))
    report = infer_many(find_entries(SOURCE, files, tmp_path / "out"), saved_models, REQUEST)
    assert list(report.done) == [str(files[0])]
    assert "names of those of" in report.failed[str(files[1])]


def test_folders_that_are_no_cohort(tmp_path):
    with pytest.raises(InputError, match="no subjects in"):
        find_entries(SOURCE, [tmp_path])


# --- failures and continuing --------------------------------------------------------------------


def test_a_bad_subject_does_not_stop_the_others(cohort, saved_models, tmp_path):
    path = cohort / "sub-B" / "tensor.nii.gz"
    image = nibabel.load(path)
    values = image.get_fdata()
    values[3, 2, 3] = np.nan
    save(path, np.moveaxis(values, -1, 0), image.affine)
    report = infer_many(find_entries(SOURCE, [cohort], tmp_path / "out"), saved_models, REQUEST)
    assert set(report.done) == {"sub-A", "sub-C", "sub-D"}
    assert "NaN" in report.failed["sub-B"]
    assert not (tmp_path / "out" / "sub-B").exists()


def test_an_unexpected_error_is_one_subjects_too(cohort, saved_models, tmp_path, monkeypatch):
    real = Inference.result

    def broken(self, entry, *args, **options):
        if entry.base == "sub-C":
            raise RuntimeError("out of\nluck")
        return real(self, entry, *args, **options)

    monkeypatch.setattr(Inference, "result", broken)
    report = infer_many(find_entries(SOURCE, [cohort], tmp_path / "out"), saved_models, REQUEST)
    assert report.failed == {"sub-C": "RuntimeError: out of luck"}
    assert len(report.done) == 3


def test_a_second_run_keeps_what_is_there(cohort, saved_models, tmp_path):
    out = tmp_path / "out"
    entries = find_entries(SOURCE, [cohort], out)
    first = infer_many(entries, saved_models, REQUEST)
    before = times(out)
    lost = first.done["sub-B"][2]  # FA
    lost.unlink()
    shutil.rmtree(out / "sub-C")
    again = infer_many(entries, saved_models, REQUEST)
    assert set(again.kept) == {"sub-A", "sub-D"}
    assert set(again.done) == {"sub-B", "sub-C"}  # the incomplete one is done again as a whole
    assert again.kept["sub-A"] == first.done["sub-A"]
    after = times(out)
    assert set(after) == set(before)
    for path, time in before.items():
        if "sub-A" in path.name or "sub-D" in path.name:
            assert after[path] == time


def test_a_copy_of_the_cohort_counts_as_the_same_and_a_changed_file_does_not(
    cohort, saved_models, tmp_path
):
    out = tmp_path / "out"
    infer_many(find_entries(SOURCE, [cohort], out), saved_models, REQUEST)
    moved = shutil.copytree(cohort, tmp_path / "elsewhere")
    save_ramp(moved / "sub-C" / "tensor.nii.gz", (6, 6, 7), oblique())
    report = infer_many(find_entries(SOURCE, [moved], out), saved_models, REQUEST)
    assert set(report.kept) == {"sub-A", "sub-B", "sub-D"}
    assert "made from another input; give --overwrite" in report.failed["sub-C"]
    replaced = infer_many(
        find_entries(SOURCE, [moved], out), saved_models, Request(quick_look=False, overwrite=True)
    )
    assert len(replaced.done) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "float32"},
        {"tensor_frame": "voxel"},
        {"model": True},
        {"foreign": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_results_made_otherwise_are_neither_kept_nor_replaced(
    cohort, saved_models, residual_model, tmp_path, change
):
    out = tmp_path / "out"
    entries = find_entries(SOURCE, [cohort], out, ["A"])
    first = infer_many(entries, saved_models, REQUEST)
    if change.pop("model", False):
        other = residual_model(width=12)
        path = tmp_path / "other.safetensors"
        save_weights(path, other.translator, other.pipeline, other.scale)
        saved_models = (load_model(path, "cpu"),)
    if change.pop("foreign", False):
        first.done["sub-A"][1].write_text("{}")
    before = times(out)
    report = infer_many(entries, saved_models, Request(quick_look=False, **change))
    assert "give --overwrite" in report.failed["sub-A"]
    assert times(out) == before


def test_a_model_without_file_keeps_nothing(cohort, residual_model, tmp_path):
    entries = find_entries(SOURCE, [cohort], tmp_path / "out", ["A"])
    infer_many(entries, (residual_model(),), REQUEST)
    report = infer_many(entries, (residual_model(),), REQUEST)
    assert "exists already" in report.failed["sub-A"]


# --- overlapping --------------------------------------------------------------------------------


def test_the_next_is_read_and_the_last_is_written_while_one_is_computed(
    cohort, saved_models, tmp_path, monkeypatch
):
    """Each step waits for the others: without overlap this would never end."""
    from medrev.prediction import batch

    real_read, real_predict, real_write = Inference.read, Inference.result, batch.write_outputs
    reading = {name: threading.Event() for name in "ABCD"}
    computing = {name: threading.Event() for name in "ABCD"}
    started: list[str] = []
    computed: list[str] = []
    most_ahead = 0

    def read(self, found, **options):
        nonlocal most_ahead
        name = found.path.parent.name[-1]
        started.append(name)
        most_ahead = max(most_ahead, len(started) - len(computed))
        reading[name].set()
        return real_read(self, found, **options)

    def predict(self, entry, *args, **options):
        name = entry.base[-1]
        computing[name].set()
        following = chr(ord(name) + 1)
        if following in reading:
            assert reading[following].wait(20), "the next one was not read meanwhile"
        result = real_predict(self, entry, *args, **options)
        computed.append(name)
        return result

    def write(result, **options):
        name = result.paths["fa"].name[4]
        following = chr(ord(name) + 1)
        if following in computing:
            assert computing[following].wait(20), "the next one was not computed meanwhile"
        return real_write(result, **options)

    monkeypatch.setattr(Inference, "read", read)
    monkeypatch.setattr(Inference, "result", predict)
    monkeypatch.setattr(batch, "write_outputs", write)
    report = infer_many(find_entries(SOURCE, [cohort], tmp_path / "out"), saved_models, REQUEST)
    assert len(report.done) == 4
    assert report.failed == {}
    assert most_ahead == 2  # the one that is computed, and the next


def test_an_interruption_ends_the_reader_too(dwi_file, saved_models, tmp_path, monkeypatch):
    from medrev.domains.tensor import reading

    started = threading.Event()
    slabs = []

    def slow(*args):
        slabs.append(1)
        started.set()
        threading.Event().wait(0.2)
        shape = args[0].shape[1:]
        return args[0].new_zeros(6, *shape), args[0].new_zeros(1, *shape)

    monkeypatch.setattr(reading, "fit_signal", slow)
    monkeypatch.setattr(reading, "_SLAB", 1)

    def interrupt(self, *args, **options):
        started.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(Inference, "result", interrupt)
    tensor = save_ramp(tmp_path / "sub-00_dwimap.nii.gz", (6, 5, 7), oblique())
    entries = find_entries(SOURCE, [tensor, dwi_file], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        infer_many(entries, saved_models, REQUEST)
    assert len(slabs) < 8


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("participant_id\tname\nsub-01\tMüller\n".encode("latin-1"), ""),
        (b"", "; nothing is taken from it"),
        (b"name\nA\n", "needs an identifier column"),
    ],
)
def test_a_table_of_participants_is_not_needed(tmp_path, content, told, caplog):
    (tmp_path / "sub-01" / "dwi").mkdir(parents=True)
    (tmp_path / "sub-01" / "dwi" / "sub-01_dwi.nii.gz").touch()
    (tmp_path / "participants.tsv").write_bytes(content)
    assert [entry.name for entry in find_entries(SOURCE, [tmp_path])] == ["sub-01"]
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_many_subjects_say_who_a_warning_is_about(cohort, saved_models, tmp_path, capsys):
    import logging
    import sys

    logger = logging.getLogger("medrev")
    before = logger.handlers[:], logger.level
    logger.handlers[:] = [logging.StreamHandler(sys.stderr)]
    logger.setLevel(logging.INFO)
    path = cohort / "sub-B" / "tensor.nii.gz"
    image = nibabel.load(path)
    save(path, np.moveaxis(image.get_fdata(), -1, 0) * 1000, image.affine)
    try:
        infer_many(find_entries(SOURCE, [cohort], tmp_path / "out"), saved_models, REQUEST)
    finally:
        logger.handlers[:], level = before
        logger.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("sub-B: warning: ")
    assert "µm²/ms" in lines[0]


def test_one_model_twice_is_refused(saved_models):
    with pytest.raises(InputError, match="one model is given twice"):
        Inference((*saved_models, load_model(saved_models[0].path, "cpu")), REQUEST)


def test_problems_known_before_are_reported(saved_models, tmp_path):
    entry = Entry("x", tmp_path, tmp_path, tmp_path, "", problem="x: it is gone")
    assert infer_many([entry], saved_models, REQUEST).failed == {"x": "x: it is gone"}
    assert infer_many([], saved_models, REQUEST).failed == {}
