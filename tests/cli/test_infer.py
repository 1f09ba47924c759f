"""medrev-infer from the command line: arguments, codes, what goes to which stream, signals."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medrev.cli import infer as command
from medrev.config.schema import Pipeline
from medrev.errors import CheckpointError, InputError
from medrev.prediction import Entry, Model, Request
from medrev.volumes import Volume, write_nifti

from .small_tensors import run, save_tensor

ROOT = Path(__file__).parents[2]


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


# --- signals ------------------------------------------------------------------------------------
