"""medrev-infer with models of contrasts and of images: what goes where, and with which code."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from medrev.cli import infer as command
from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import save_weights
from medrev.volumes import Volume, write_nifti, write_pixels

NETWORK = {"kind": "revgan", "width": 4, "depth": 1, "norm": "none", "spatial_dims": 2}


def save_model(folder: Path, data: dict, channels: tuple[int, int]) -> Path:
    pipeline = Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"root": "data", **data},
            "model": NETWORK,
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )
    torch.manual_seed(0)
    x, y = channels
    translator = build_translator(pipeline.model, in_channels=x, out_channels=y)
    return save_weights(folder / f"{data['kind']}.safetensors", translator, pipeline, 1.0)


@pytest.fixture(scope="module")
def contrast(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder, {"kind": "contrast", "slices": {"size": 16}}, (1, 1))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    data = {"kind": "images", "load_size": None, "crop_size": 16, "channels_a": 1, "channels_b": 1}
    return save_model(folder, data, (1, 1))


def save_head(path: Path) -> Path:
    values = torch.zeros(1, 12, 13, 6)
    values[:, 2:10, 2:11, 1:5] = 100 + 300 * torch.rand(1, 8, 9, 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_nifti(path, Volume(values, np.diag([2.0, 2, 2, 1])))


def save_photo(path: Path) -> Path:
    return write_pixels(path, np.random.default_rng(0).integers(0, 256, (18, 20, 1), np.uint8))


def run(*words) -> int:
    return command.main([str(word) for word in words])


def test_one_head(contrast, tmp_path, capsys):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz")
    words = [path, "--model", contrast, "--output", tmp_path / "out", "--cycle-residual"]
    assert run(*words, "--ensemble", "2", "--slicer") == 0
    printed = capsys.readouterr()
    lines = [Path(line) for line in printed.out.splitlines()]
    assert [line.name for line in lines] == [
        "sub-01_desc-synth_T2w.nii.gz",
        "sub-01_desc-synth_T2w.json",
        "sub-01_desc-synthstd_T2w.nii.gz",
        "sub-01_desc-synthstd_T2w.json",
        "sub-01_desc-synthcycle_T1w.nii.gz",
        "sub-01_desc-synthcycle_T1w.json",
        "sub-01_desc-synth_T2w.png",
        "sub-01_desc-synth_T2w.mrb",
    ]
    assert all(line.is_file() for line in lines)
    assert len([n for n in zipfile.ZipFile(lines[-1]).namelist() if n.endswith(".nrrd")]) == 5
    assert "a scalar volume (NIfTI), 12×13×6 voxels" in printed.err
    assert run(*words) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_brats_folder_with_a_scan_that_lacks_the_contrast(contrast, tmp_path, capsys):
    for name, kind in (("A_1", "t1"), ("A_2", "t2")):
        save_head(tmp_path / "brats" / name / f"{name}_{kind}.nii.gz")
    words = ["--model", contrast, "--output", tmp_path / "out", "--no-quick-look"]
    assert run(tmp_path / "brats", *words) == 3
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert "1 done, 0 done before, 1 failed" in printed.err
    assert "A_2: no t1 (it has t2)" in printed.err.splitlines()[-1]
    assert run(tmp_path / "brats", *words, "--participant", "A_1") == 0
    assert "0 done, 1 done before" in capsys.readouterr().err
    assert run(tmp_path / "brats" / "A_1", *words) == 0


def test_a_folder_of_images(images, tmp_path, capsys):
    for name in ("a", "b"):
        save_photo(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "c.png").write_bytes(b"\x89PNG\r\n damaged")
    assert run(tmp_path / "photos", "--model", images) == 3
    printed = capsys.readouterr()
    names = [Path(line).name for line in printed.out.splitlines()]
    assert names == ["a_fake_B.png", "a_fake_B.json", "b_fake_B.png", "b_fake_B.json"]
    assert "c.png  " in printed.err.splitlines()[-1]
    single = [tmp_path / "photos" / "a.png", "--model", images, "--direction", "inverse"]
    assert run(*single, "--output", tmp_path / "out") == 0
    assert Path(capsys.readouterr().out.splitlines()[0]) == tmp_path / "out" / "a_fake_A.png"


@pytest.mark.parametrize(
    ("model", "source", "words", "message"),
    [
        ("contrast", "a.png", [], "takes a scalar 3D volume such as T1w or T2w, the input is an"),
        ("images", "sub-01_T1w.nii.gz", [], "takes an image (PNG, JPEG, TIFF or BMP), the input"),
        ("images", "a.png", ["--slicer"], "--slicer is for volumes"),
        ("contrast", "sub-01_T1w.nii.gz", ["--ensemble", "8"], "one of 1, 2, 4 members"),
        (
            "contrast",
            "sub-01_T1w.nii.gz",
            ["--tensor-frame", "ras"],
            "--tensor-frame is for models",
        ),
        ("contrast", ".", ["--mask", "m.nii"], "--mask applies to a single scan"),
        ("contrast", ".", [], "no subjects in"),
    ],
)
def test_what_does_not_go_together_is_2(
    contrast, images, tmp_path, capsys, model, source, words, message
):
    save_head(tmp_path / "sub-01_T1w.nii.gz")
    save_photo(tmp_path / "a.png")
    weights = {"contrast": contrast, "images": images}[model]
    before = set(tmp_path.rglob("*"))
    out = ["--output", tmp_path / "out"]
    assert run(tmp_path / source, "--model", weights, *out, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert set(tmp_path.rglob("*")) == before
