"""An option that means nothing for an input is an error that says so: all options, all inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medrev.cli import evaluate, infer, train
from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import save_weights
from medrev.volumes import Volume, write_nifti, write_pixels

from ..conftest import ROOT

#: The data of a model, and the shape of its network's values.
MODELS = {
    "tensor": ({"root": "data"}, 6, 3),
    "contrast": ({"root": "data", "kind": "contrast", "slices": {"size": 16}}, 1, 2),
    "image": (
        {
            "root": "data",
            "kind": "images",
            "load_size": None,
            "crop_size": 16,
            "channels_a": 1,
            "channels_b": 1,
        },
        1,
        2,
    ),
}
#: Options, and the inputs for which they mean something.
EFFECTS = {
    ("--tensor-order", "mrtrix"): {"tensor"},
    ("--tensor-frame", "ras"): {"tensor"},
    ("--mask", "mask.nii.gz"): {"tensor", "dwi", "contrast"},
    ("--bval", "x.bval", "--bvec", "x.bvec"): {"dwi"},
    ("--participant", "01"): set(),
    ("--engine", "openvino"): {"tensor", "dwi"},
    ("--precision", "bfloat16"): {"tensor", "dwi"},
    ("--spacing", "train"): {"tensor", "dwi", "image"},
    ("--spacing", "auto"): {"tensor", "dwi"},
    ("--cycle-residual",): {"tensor", "dwi", "contrast"},
    ("--ensemble", "2"): {"tensor", "dwi", "contrast"},
    ("--format", "nrrd"): {"tensor", "dwi", "contrast"},
    ("--slicer",): {"tensor", "dwi", "contrast"},
    ("--max-memory", "1"): {"tensor", "dwi", "contrast"},
    ("--workers", "2"): set(),
    ("--scheduler", "tcp://127.0.0.1:1"): set(),
    ("--cluster", "slurm"): set(),
    ("--memory", "2"): set(),
    ("--retries", "2"): set(),
}
INPUTS = ("tensor", "dwi", "contrast", "image")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """An input of each kind, and a model for it."""
    folder = tmp_path_factory.mktemp("inputs")
    affine = np.diag([2.0, 2, 2, 1])
    tensor = torch.zeros(6, 6, 6, 6)
    tensor[[0, 3, 5]] = torch.tensor([1.2e-3, 7e-4, 4e-4])[:, None, None, None]
    write_nifti(folder / "tensor.nii.gz", Volume(tensor, affine))
    write_nifti(folder / "dwi.nii.gz", Volume(torch.rand(8, 6, 6, 6) + 1, affine))
    (folder / "dwi.bval").write_text("0" + " 1000" * 7)
    directions = np.concatenate([np.zeros((1, 3)), np.eye(3), np.eye(4, 3) * 0 + 0.5773503])
    (folder / "dwi.bvec").write_text("\n".join(" ".join(map(str, r)) for r in directions.T))
    write_nifti(folder / "contrast.nii.gz", Volume(torch.rand(1, 16, 16, 4) + 1, affine))
    write_nifti(folder / "mask.nii.gz", Volume(torch.ones(1, 6, 6, 6), affine))
    write_pixels(folder / "image.png", np.full((16, 16, 1), 9, np.uint8))
    for name, (data, channels, dims) in MODELS.items():
        network = {"width": 4, "depth": 1, "norm": "none", "spatial_dims": dims}
        pipeline = Pipeline.model_validate(
            {
                "name": "tiny",
                "data": data,
                "model": network,
                "method": {"kind": "paired"},
                "training": {"steps": 1},
            }
        )
        net = build_translator(
            pipeline.model,
            in_channels=channels,
            out_channels=channels,
            scale_factor=pipeline.data.grid_factor,
        )
        save_weights(folder / f"{name}.safetensors", net, pipeline, 1e-3 if dims == 3 else 1.0)
    return folder


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        pytest.param(kind, option, id=f"{kind} {option[0]}")
        for option, kinds in EFFECTS.items()
        for kind in INPUTS
        if kind not in kinds
    ],
)
def test_an_option_without_effect_is_an_error(inputs, tmp_path, capsys, kind, option):
    model = inputs / f"{'tensor' if kind == 'dwi' else kind}.safetensors"
    file = inputs / ("image.png" if kind == "image" else f"{kind}.nii.gz")
    out = tmp_path / "out"
    argv = [str(file), "--model", str(model), "--output", str(out), *option]
    assert infer.main(argv) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "error" in text]
    assert option[0] in line or option[0].removeprefix("--") in line
    assert not out.exists()


def test_threads_of_several_workers(inputs, tmp_path, capsys):
    argv = [str(inputs / "tensor.nii.gz"), "--workers", "2", "--threads", "2"]
    assert infer.main([*argv, "--output", str(tmp_path / "out")]) == 2
    assert "--threads is of one process" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--memory", "2"), ("--retries", "3")], ids=" ".join)
def test_of_a_cohort_that_runs_here(inputs, tmp_path, capsys, option):
    argv = [str(inputs / "tensor.nii.gz"), str(inputs / "mask.nii.gz")]
    argv += ["--model", str(inputs / "tensor.safetensors"), "--output", str(tmp_path / "out")]
    assert infer.main([*argv, *option]) == 2
    assert f"{option[0]} " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-memory", "0"),
        ("--max-memory", "inf"),
        ("--max-memory", "nan"),
        ("--workers", "0"),
        ("--workers", "100000"),
        ("--retries", "-1"),
        ("--retries", "1000000"),
        ("--memory", "inf"),
        ("--memory", "-1"),
    ],
)
def test_numbers_have_bounds(inputs, tmp_path, capsys, option, value):
    argv = [str(inputs / "tensor.nii.gz"), "--model", str(inputs / "tensor.safetensors")]
    assert infer.main([*argv, "--output", str(tmp_path / "out"), option, value]) == 2
    assert option.removeprefix("--").replace("-", "_") in capsys.readouterr().err.replace("-", "_")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--data", "x"),
        ("--part", "train"),
        ("--direction", "inverse"),
        ("--ensemble", "2"),
        ("--sensitivity", "a"),
        ("--baselines", "trilinear"),
        ("--embed", "1000000"),
        ("--range", "inf"),
        ("--interior", "100001"),
        ("--participants", "x.tsv"),
        ("--absent", "zero"),
        ("--wrapped-mae",),
        ("--interior", "3", "--mask", "whole"),
    ],
    ids=" ".join,
)
def test_of_folders_of_predictions(inputs, tmp_path, capsys, option):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_nifti(
            tmp_path / folder / "sub-1_T1w.nii.gz", Volume(torch.rand(1, 6, 6, 6), np.eye(4))
        )
    argv = [str(tmp_path / "a"), "--reference", str(tmp_path / "b"), "--output"]
    assert evaluate.main([*argv, str(tmp_path / "out"), *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--resample-reference", "yes"), "--resample-reference is of volumes, got images"),
        (("--interior", "3"), "--interior is of masks of volumes, got images"),
    ],
)
def test_of_folders_of_images(tmp_path, capsys, option, says):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_pixels(tmp_path / folder / "x.png", np.full((16, 16, 1), 9, np.uint8))
    argv = [str(tmp_path / "a"), "--reference", str(tmp_path / "b"), "--output"]
    assert evaluate.main([*argv, str(tmp_path / "out"), *option]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--print-schema", "--resume"], "--resume has no effect beside --print-schema"),
        (["--print-schema", "--seed", "1"], "--seed has no effect beside --print-schema"),
        (["P", "--dry-run", "--output", "x"], "--output has no effect beside --dry-run"),
        (["P", "--dry-run", "--overwrite"], "--overwrite has no effect beside --dry-run"),
    ],
)
def test_of_training(capsys, argv, says):
    pipeline = str(ROOT / "pipelines" / "hcp_dti_sr.yaml")
    assert train.main([pipeline if word == "P" else word for word in argv]) == 2
    assert says in capsys.readouterr().err
