"""Where results of ``medrev-infer`` go: folders, files, scenes, and nothing after a signal."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from medrev.prediction import Predictor

from .small_tensors import run, save_tensor


def test_a_file_as_output(weights, tensor_file, cohort, tmp_path, capsys):
    target = tmp_path / "new" / "fine.nii.gz"
    words = ["--model", weights, "--output", target, "--no-quick-look"]
    assert run(tensor_file, *words, "--slicer") == 0
    written = capsys.readouterr().out.splitlines()
    assert written[0] == str(target)
    assert target.is_file()
    assert Path(written[-1]).suffix == ".mrb"
    other = save_tensor(tmp_path / "sub-02_dwimap.nii.gz")
    for inputs, why in (((tensor_file, other), "got 2 inputs"), ((cohort,), "is a cohort")):
        assert run(*inputs, *words) == 2
        assert f"{why}: give a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["text.txt", "fine.nifti", "page.html", "x.nii.gz.bak"])
def test_an_ending_that_no_result_has_makes_no_folder(
    name, weights, tensor_file, cohort, tmp_path, capsys
):
    words = ["--model", weights, "--output", tmp_path / name, "--no-quick-look"]
    for given in (tensor_file, cohort):
        assert run(given, *words) == 2
        err = capsys.readouterr().err
        assert "must be a folder or end in .nii.gz" in err or "is a cohort: give a folder" in err
    assert not (tmp_path / name).exists()
    (tmp_path / name).mkdir()
    assert run(tensor_file, *words) == 0


def test_a_number_at_the_end_makes_no_file_of_a_folder(weights, tensor_file, tmp_path):
    words = ["--model", weights, "--no-quick-look", "--output"]
    assert run(tensor_file, *words, tmp_path / "results_v1.2") == 0
    assert (tmp_path / "results_v1.2").is_dir()


def test_a_cohort_does_not_go_into_a_file_nor_an_empty_text_into_this_folder(
    weights, cohort, tmp_path, capsys
):
    words = ["--model", weights, "--output"]
    for name, why in (("notes.txt", "is a cohort: give a folder"), ("notes", "is a file, not a ")):
        (tmp_path / name).touch()
        assert run(cohort, *words, tmp_path / name) == 2
        assert why in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        run("", *words, tmp_path / "out")
    assert caught.value.code == 2
    assert "argument INPUT: a path must not be empty" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["nifti", "nrrd"])
def test_a_scene_for_slicer(weights, tensor_file, tmp_path, capsys, form):
    import zipfile

    out = tmp_path / "out"
    words = [tensor_file, "--model", weights, "--output", out, "--slicer", "--no-quick-look"]
    assert run(*words, "--format", form) == 0
    last = Path(capsys.readouterr().out.splitlines()[-1])
    assert last == out / "sub-01_res-hi_model-tensor_desc-sr_dwimap.mrb"
    with zipfile.ZipFile(last) as bundle:
        assert any(name.endswith(".mrml") for name in bundle.namelist())
    for path in out.glob("*param*"):
        path.unlink()
    assert run(*words) == 2
    assert ".mrb" in capsys.readouterr().err
    assert not list(out.glob("*param*"))


def test_scenes_of_a_cohort(weights, cohort, tmp_path):
    out = tmp_path / "out"
    words = [cohort, "--model", weights, "--output", out, "--slicer", "--no-quick-look"]
    assert run(*words) == 3
    assert len(list(out.glob("sub-*/dwi/*.mrb"))) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("many", [False, True])
def test_a_signal_while_translating_leaves_nothing(
    weights, tensor_file, cohort, tmp_path, monkeypatch, number, code, many
):
    real = Predictor.__call__

    def hit(self, *args, **options):
        os.kill(os.getpid(), number)
        return real(self, *args, **options)

    monkeypatch.setattr(Predictor, "__call__", hit)
    out = tmp_path / "out"
    source = [cohort] if many else [tensor_file]
    assert run(*source, "--model", weights, "--output", out) == code
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("many", [False, True])
def test_a_signal_while_writing_leaves_all_or_nothing(
    weights, tensor_file, cohort, tmp_path, monkeypatch, number, many
):
    """What is being written is completed: no file is there without the others."""
    from medrev.domains import outputs

    real, written = outputs.write_nifti, threading.Event()

    def hit(path, volume, **options):
        if not written.is_set():
            written.set()
            os.kill(os.getpid(), number)
        return real(path, volume, **options)

    monkeypatch.setattr(outputs, "write_nifti", hit)
    out = tmp_path / "out"
    source = [cohort] if many else [tensor_file]
    code = run(*source, "--model", weights, "--output", out, "--no-quick-look")
    assert code == 128 + number
    files = [p for p in out.rglob("sub-*") if p.is_file()]
    assert len(files) == 12
    assert not list(out.rglob(".medrev-*"))
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_text())
