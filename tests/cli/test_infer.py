"""medrev-infer from the command line: arguments, codes, what goes to which stream, signals."""

import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medrev.cli import infer as command
from medrev.config.schema import Pipeline
from medrev.errors import CheckpointError, InputError
from medrev.nets import build_translator
from medrev.prediction import Entry, Model, Predictor, Request, save_weights
from medrev.volumes import Volume, write_nifti

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weight file of a small network that adds nothing to trilinear interpolation."""
    document = {
        "name": "tiny",
        "data": {"root": "cohort"},
        "model": {"width": 4, "depth": 1, "norm": "none", "global_residual": "trilinear"},
        "method": {"kind": "paired"},
        "training": {"steps": 1},
    }
    pipeline = Pipeline.model_validate(document)
    translator = build_translator(
        pipeline.model, in_channels=6, out_channels=6, scale_factor=pipeline.data.grid_factor
    )
    path = tmp_path_factory.mktemp("model") / "w.safetensors"
    return save_weights(path, translator, pipeline, 1e-3)


def save_tensor(path: Path, shape=(6, 5, 7)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = torch.zeros(6, *shape)
    values[[0, 3, 5]] = torch.tensor([1.2e-3, 7e-4, 4e-4])[:, None, None, None]
    affine = np.diag([2.0, 2, 2, 1])
    write_nifti(path, Volume(values, affine), overwrite=True)
    return path


@pytest.fixture
def tensor_file(tmp_path):
    return save_tensor(tmp_path / "sub-01_dwimap.nii.gz")


@pytest.fixture
def cohort(tmp_path):
    """Three subjects with tensors; the second one is damaged."""
    for name in "ABC":
        save_tensor(tmp_path / "cohort" / name / "tensor.nii.gz")
    path = tmp_path / "cohort" / "B" / "tensor.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    return tmp_path / "cohort"


@pytest.fixture
def calls(monkeypatch):
    """Notes how `load_models` and `infer_entry` are called instead of calling them."""
    noted = []
    pipeline = Pipeline.model_validate(
        {
            "name": "m",
            "data": {"root": "cohort"},
            "model": {"width": 2, "depth": 0},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )
    tensors = Model(SimpleNamespace(has_inverse=True), pipeline, 1e-3)

    def load_models(models, device):
        noted.append((models, device))
        return (tensors,) * len(models)

    def infer_entry(inference, entry):
        noted.append((inference, entry))
        return [Path("out/tensor.nii.gz"), Path("out/fa.nii.gz")]

    monkeypatch.setattr("medrev.prediction.load_models", load_models)
    monkeypatch.setattr("medrev.prediction.infer_entry", infer_entry)
    return noted


def run(*words) -> int:
    return command.main([str(word) for word in words])


def test_paths_of_the_results_go_to_stdout(weights, tensor_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(tensor_file, "--model", weights, "--output", out, "--no-quick-look") == 0
    printed = capsys.readouterr()
    paths = [Path(line) for line in printed.out.splitlines()]
    assert len(paths) == 12
    assert all(path.is_file() and path.parent == out for path in paths)
    assert "diffusion tensors (NIfTI), 6 components of 6×5×7 voxels" in printed.err


def test_options_reach_the_function(calls):
    words = (
        "dwi.nii.gz --model runs/a --mask m.nii --bval b --bvec v --output out --overwrite "
        "--device cuda:1 --direction inverse --tensor-order mrtrix --tensor-frame ras "
        "--format nrrd --no-quick-look --engine torch --precision float32 --max-memory 2.5 "
        "--ensemble 8 --cycle-residual --spacing auto --model x --model y"
    )
    assert run(*words.split()) == 0
    loaded, (inference, entry) = calls
    assert loaded == ((Path("runs/a"), Path("x"), Path("y")), "cuda:1")
    assert len(inference.models) == 3
    assert entry == Entry(
        "dwi.nii.gz",
        Path("dwi.nii.gz"),
        root=Path("out"),
        folder=Path("out"),
        base="dwi",
        mask=Path("m.nii"),
        bval=Path("b"),
        bvec=Path("v"),
    )
    assert inference.request == Request(
        overwrite=True,
        direction="inverse",
        tensor_order="mrtrix",
        tensor_frame="ras",
        format="nrrd",
        engine="torch",
        precision="float32",
        max_memory=2.5,
        ensemble=8,
        cycle_residual=True,
        spacing="auto",
        quick_look=False,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "x"}, "engine must be one of auto, torch, openvino, got 'x'"),
        ({"direction": "up"}, "direction must be forward or inverse, got 'up'"),
        ({"ensemble": 3}, "ensemble must be one of 1, 2, 4, 8, 24, 48, got 3"),
        ({"max_memory": 0}, "max_memory must be a positive number of GiB, got 0 (at most 1000000)"),
    ],
)
def test_python_callers_are_told_what_is_allowed(change, message):
    with pytest.raises(InputError) as caught:
        Request(**change)
    assert str(caught.value) == message


def test_wrong_checkpoint_is_2(monkeypatch, capsys):
    def refuse(*arguments, **settings):
        raise CheckpointError("m.pt: not safetensors")

    monkeypatch.setattr("medrev.prediction.load_models", refuse)
    assert run("dwi.nii.gz", "--model", "m.pt") == 2
    assert capsys.readouterr().err == "medrev-infer: error: m.pt: not safetensors\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["a", "--direction", "back"],
        ["a", "--tensor-order", "x"],
        ["a", "--ensemble", "3"],
        ["a", "--out", "x"],
    ],
)
def test_wrong_usage_is_2_and_one_line(calls, argv, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(argv)
    assert caught.value.code == 2
    assert calls == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("medrev-infer: error: ")
    assert line.endswith("; see medrev-infer --help")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.nii", "b.nii", "--mask", "m.nii"], "--mask applies to a single scan"),
        (["a.nii", "--participant", "01"], "--participant-label applies to a cohort"),
        (["a.nii", "--voxel-size", "-1"], "error: --voxel-size must be one positive number of mm"),
        (["a.nii", "--max-memory", "0"], "error: --max-memory must be a positive number of GiB"),
        (["a.nii", "--samples", "0"], "error: --samples must be at least 1, got 0"),
        (["a.nii", "--samples", "1000000000000"], "got 1000000000000 (at most 10000)"),
        (["a.nii", "--temperature", "1e10"], "got 10000000000.0 (at most 100)"),
        (
            ["a.nii", "--voxel-size", "1", "--cycle-residual"],
            "error: --cycle-residual has no meaning beside --voxel-size: leave one out",
        ),
    ],
)
@pytest.mark.parametrize("model", [[], ["--model", "runs/a"]])
def test_options_that_do_not_go_together_are_2(calls, capsys, words, message, model):
    assert run(*words, *model) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_the_voxel_size_is_refused_before_anything_is_read(tmp_path, capsys, monkeypatch):
    from medrev.domains.tensor.domain import TensorDomain

    monkeypatch.setattr(TensorDomain, "read", None)
    scan = ROOT / "sample_data/sub-13/dwi/sub-13_dwi.nii.gz"
    assert run(scan, "--voxel-size", "0.1", "--output", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        f"medrev-infer: error: {scan}: --voxel-size 0.1 x 0.1 x 0.1: from 2.1 x 2.1 x 2.1 mm, "
        "2 translations reach 0.525 x 0.525 x 0.525 mm and no finer\n"
    )


def test_a_folder_of_mixed_scans_takes_the_shipped_model_of_each(tmp_path, capsys):
    for name, edges in (("a_T1w", (2.0, 2, 2)), ("b_T2w", (1.0, 1, 4))):
        values = torch.rand(1, 16, 16, 6, generator=torch.Generator().manual_seed(1)) + 1
        write_nifti(tmp_path / f"{name}.nii.gz", Volume(values, np.diag([*edges, 1])))
    assert run(tmp_path, "--output", tmp_path / "out", "--no-quick-look") == 0
    printed = capsys.readouterr()
    assert [Path(line).name for line in printed.out.splitlines() if line.endswith("gz")] == [
        "sub-a_res-hi_desc-sr_T1w.nii.gz",
        "sub-b_res-hi_desc-sr_T2w.nii.gz",
    ]
    assert "model: t1-x2, shipped with medrev" in printed.err
    assert "model: mri-through-plane, shipped with medrev" in printed.err
    assert "2 done, 0 done before, 0 failed" in printed.err


# --- many subjects ------------------------------------------------------------------------------


def test_one_bad_subject_gives_3_and_a_table(weights, cohort, tmp_path, capsys):
    out = tmp_path / "out"
    words = [cohort, "--model", weights, "--output", out, "--no-quick-look"]
    assert run(*words) == 3
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 24
    assert "2 done, 0 done before, 1 failed" in printed.err
    last = printed.err.splitlines()[-2:]
    assert last[0] == "failed:"
    assert last[1].startswith("  B  ")
    assert "truncated" in last[1]
    assert {p.name for p in out.iterdir()} == {
        "sub-A",
        "sub-C",
        "dataset_description.json",
        ".bidsignore",
    }
    save_tensor(cohort / "B" / "tensor.nii.gz")
    assert run(*words) == 0
    printed = capsys.readouterr()
    assert "1 done, 2 done before, 0 failed" in printed.err
    assert len(printed.out.splitlines()) == 36


def test_several_files_go_side_by_side(weights, tmp_path, capsys):
    files = [save_tensor(tmp_path / f"sub-0{n}_dwimap.nii.gz") for n in (1, 2)]
    missing = tmp_path / "sub-03_dwimap.nii.gz"
    out = tmp_path / "out"
    assert run(*files, missing, "--model", weights, "--output", out, "--no-quick-look") == 3
    assert "no such file" in capsys.readouterr().err
    assert len(list(out.glob("sub-0[12]_*param-fa*.nii.gz"))) == 2


def test_participants(weights, cohort, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--model", weights, "--output", out, "--no-quick-look"]
    assert run(cohort, *words, "--participant", "A", "sub-C") == 0
    assert {p.name for p in out.glob("sub-*")} == {"sub-A", "sub-C"}
    assert run(cohort, *words, "--participant-label", "D") == 2
    assert "no such participant: D; there are A, B, C" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["A", "sub-A"])
def test_labels_as_bids_apps_take_them(weights, cohort, tmp_path, label):
    out = tmp_path / "out"
    words = ["--model", weights, "--output", out, "--no-quick-look"]
    assert run(cohort, *words, "--participant-label", label) == 0
    assert {p.name for p in out.glob("sub-*")} == {"sub-A"}


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


def test_quiet_prints_paths_and_failures_only(weights, cohort, tmp_path, capsys):
    words = ["--model", weights, "--output", tmp_path / "out", "--no-quick-look", "--quiet"]
    assert run(cohort, *words) == 3
    printed = capsys.readouterr()
    assert all(Path(line).is_file() for line in printed.out.splitlines())
    assert [line.split()[0] for line in printed.err.split("\n") if line] == ["failed:", "B"]


def test_verbose_says_what_is_decided(weights, tensor_file, tmp_path, capsys):
    words = ["--model", weights, "--output", tmp_path / "out", "--no-quick-look"]
    assert run(tensor_file, *words, "--verbose", "--device", "cpu", "--threads", "1") == 0
    err = capsys.readouterr().err
    assert "device: cpu, 1 threads" in err
    assert "bfloat16 is " in err


# --- Slicer -------------------------------------------------------------------------------------


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


# --- signals ------------------------------------------------------------------------------------


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
