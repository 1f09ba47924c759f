"""``medrev-slicer``: what it passes on, what it prints, and its exit codes."""

import json
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.cli import slicer as command


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A tensor map with a sidecar, as medrev-infer writes them."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    folder.mkdir()
    stem = "sub-01_res-hi_model-tensor_param-diffusivity_desc-sr_dwimap"
    tensor = np.zeros((4, 5, 6, 6), np.float32)
    tensor[1:-1, 1:-1, 1:-1] = [1.2e-3, 0, 0, 6e-4, 0, 4e-4]
    nibabel.save(nibabel.Nifti1Image(tensor, np.eye(4)), folder / f"{stem}.nii.gz")
    sidecar = {
        "Sources": ["gone.nii.gz"],
        "TensorOrder": "fsl",
        "TensorFrame": "fsl",
        "InputKind": "tensor",
        "GeneratedBy": [{"Name": "medrev"}],
    }
    (folder / f"{stem}.json").write_text(json.dumps(sidecar))
    return folder


def test_a_bundle_is_written_and_its_path_printed(results, capsys):
    assert command.main(["scene", "results"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "sub-01_res-hi.mrb\n"
    assert "the input is not there any more" in printed.err
    names = zipfile.ZipFile("sub-01_res-hi.mrb").namelist()
    assert "sub-01_res-hi/Data/output_tensors.nrrd" in names
    assert command.main(["scene", "results"]) == 2
    assert "exists already; give --overwrite" in capsys.readouterr().err
    words = "scene results --overwrite --layout side-by-side --output sub-01_res-hi.mrb"
    assert command.main(words.split()) == 0
    scene = zipfile.ZipFile("sub-01_res-hi.mrb").read("sub-01_res-hi/sub-01_res-hi.mrml")
    assert b'currentViewArrangement="29"' in scene


def test_files_can_be_given(results, capsys):
    files = [str(file) for file in results.iterdir()]
    assert command.main(["scene", *files, "--output", "a.mrb"]) == 0
    volume = next(file for file in files if file.endswith(".nii.gz"))
    assert command.main(["scene", volume, volume.replace("sub-01", "sub-02")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert command.main(["scene", volume.replace("sub-01", "sub-02"), "--output", "b.mrb"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("scene missing", "missing: no such file or folder of results"),
        ("scene results --name sub-02", "a name that begins with 'sub-02'"),
        ("scene results --input missing.nii", "missing.nii: no such file"),
        ("scene results --output a.zip", "must end in .mrb"),
    ],
)
def test_bad_input_is_2_and_one_line(results, capsys, words, text):
    assert command.main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("medrev-slicer scene: error: ")
    assert text in printed.err
    assert printed.err.count("\n") == 1
    assert list(results.parent.iterdir()) == [results]


def test_modules_are_installed_and_their_paths_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["install", "modules"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [Path(line) for line in printed] == [
        Path("modules") / name
        for name in ("MedrevTensor", "MedrevTensor.xml", "MedrevScalar", "MedrevScalar.xml")
    ]
    assert all(Path(line).is_file() for line in printed)
    assert command.main(["install", "modules"]) == 2
    assert "MedrevTensor exists already" in capsys.readouterr().err
    assert command.main(["install", "modules", "--overwrite", "--model", "missing"]) == 2
    assert "missing: no such run folder, weight file or shipped model" in capsys.readouterr().err
    assert command.main(["install", "modules", "--overwrite"]) == 0


@pytest.mark.parametrize(
    "words", [[], ["show"], ["scene"], ["scene", "a", "--layout", "3"], ["install"]]
)
def test_wrong_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("medrev-slicer")
    assert " --help" in line


@pytest.mark.parametrize(
    "words", [["--help"], ["scene", "--help"], ["install", "--help"], ["--version"]]
)
def test_help_is_0(words, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 0
    assert "medrev" in capsys.readouterr().out
