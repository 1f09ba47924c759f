"""Contrast synthesis end to end: training, validation, resume, held-out table, weight header."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from medrev.config import Pipeline
from medrev.domains.kinds import dataset_of
from medrev.errors import ConfigError, InputError
from medrev.evaluation import heldout_columns, heldout_means
from medrev.metrics import slice_flicker
from medrev.nets import translator_of
from medrev.prediction import Model, infer_file, load_model, translate
from medrev.training import Trainer, TrainingInterrupted, heldout, save_picture, train, validate
from medrev.volumes import Reorient

from ..metrics.measured import measured

MODELS = {
    "revgan": {"width": 4, "depth": 1, "downsamplings": 1},
    "resnet": {"width": 2, "depth": 1, "downsamplings": 1},
    "unet": {"width": 2, "levels": 2},
    "self_inverse_unet": {"width": 2, "levels": 2},
    "involution": {"width": 2, "depth": 1, "downsamplings": 1},
}
SCORES = ["nmae_forward", "nmae_inverse", "cycle_x", "cycle_y"]


def write_heads(root: Path, count: int = 4) -> Path:
    """Balls of brain on an oblique left-handed grid: for training, one to validate, one to test."""
    matrix = np.diag([-2.0, 2, 2.5, 1])
    a = 0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix[:3, :3] = turn @ matrix[:3, [1, 0, 2]]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in (13, 14, 12)], indexing="ij"))
    ball = (grid**2).sum(0) < 0.8
    for number in range(count):
        rng = np.random.default_rng(number)
        t1 = rng.integers(200, 800, ball.shape) * ball
        t2 = (1000 - t1 + rng.integers(0, 50, ball.shape)) * ball
        for role, values in (("t1n", t1), ("t2w", t2)):
            name = f"BraTS-GLI-{number:05d}-000"
            path = root / name / f"{name}-{role}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values.astype(np.int16), matrix), path)
    parts = {count - 1: "test", count - 2: "val"}
    rows = [f"BraTS-GLI-{n:05d}-000\t{parts.get(n, 'train')}" for n in range(count)]
    (root / "participants.tsv").write_text("\n".join(["id\tsplit", *rows]))
    return root


@pytest.fixture(scope="session")
def heads(tmp_path_factory) -> Path:
    return write_heads(tmp_path_factory.mktemp("contrast") / "heads")


def pipeline_of(root: Path, model: str, kind: str, dims: int = 2, **changes: Any) -> Pipeline:
    samples = {2: "slices", 3: "patches"}[dims]
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "data": {
            "kind": "contrast",
            "root": root,
            "samples": samples,
            "slices": {"size": 16},
            "patches": {"size": 8, "per_subject": 4},
            "augmentation": {"brightness": 0.1, "shift": 2},
            "batch_size": 2,
        },
        "model": {"kind": model, "spatial_dims": dims, **MODELS[model]},
        "method": {"kind": kind, "discriminator": {"width": 2, "strided_layers": 0}},
        "training": {"steps": 2, "validate_every": 2, "log_every": 1},
    }
    for section, values in changes.items():
        document[section] = document[section] | values
    return Pipeline.model_validate(document)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize(
    ("model", "method", "dims"),
    [
        ("unet", "paired", 2),
        ("resnet", "unpaired", 2),
        ("involution", "self_inverse", 2),
        ("revgan", "paired", 3),
        ("revgan", "unpaired", 3),
        ("self_inverse_unet", "self_inverse", 3),
    ],
)
def test_two_steps_and_back_from_disk(model, method, dims, heads, tmp_path):
    pipeline = pipeline_of(heads, model, method, dims)
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert run.read_status()["status"] == "finished"
    (validation,) = rows_of(run.validation)
    assert list(validation) == ["step", *SCORES, "best_step"]
    assert all(0 <= float(validation[name]) <= 1.5 for name in SCORES)
    assert [p.name for p in (run.path / "samples").glob("*.png")] == ["step_0000002.png"]
    table = rows_of(run.path / "heldout.csv")
    assert [row["method"] for row in table] == ["model", "input"]
    assert ("flicker_forward" in table[0]) == (dims == 2)
    card = (run.path / "model_card.md").read_text()
    assert "synthesis of MRI contrasts, t1 to t2; in reverse, t2 to t1" in card
    assert "Subjects: 2 train, 1 validation, 1 test" in card
    loaded = load_model(run.path, "cpu")
    volume = torch.rand(1, 12, 17, 9) * 2 - 1
    for inverse in (False, True):
        result = translate(loaded, volume, inverse=inverse)
        assert result.shape == volume.shape
        assert torch.isfinite(result).all()
    if model == "involution":
        assert float(validation["cycle_x"]) < 1e-5


def test_the_header_has_what_inference_needs(heads):
    dataset = dataset_of(pipeline_of(heads, "unet", "paired"))
    header = dataset.header()
    assert header["voxel_size"] == pytest.approx([2, 2.5])
    scales = {}
    for name, role in (("t1", "t1n"), ("t2", "t2w")):
        volumes = [
            np.asarray(nib.load(path).dataobj) for path in sorted(heads.glob(f"*/*-{role}.nii.gz"))
        ][:2]
        scales[name] = np.median([np.percentile(v[v > 0], 99.5) for v in volumes])
        assert set(header["ranges"][name]) == {"median", "mask_ml", "inside"}
    assert header["intensity"] == pytest.approx(scales)
    fixed = dataset_of(pipeline_of(heads, "unet", "paired", data={"scale": 1000}))
    assert fixed.header()["intensity"] == {"t1": 1000, "t2": 1000}
    assert dataset.scale == 1
    described = dataset.describe()
    assert [len(described[part]) for part in ("train", "validation", "test")] == [2, 1, 1]
    assert described["test"][0]["shape"] == [14, 13, 12]
    assert len({row["key"] for rows in described.values() for row in rows}) == 4


def test_a_trained_model_translates_files_to_intensities_of_the_training(heads, tmp_path):
    data = {"source": "T1w", "target": "T2w"}  # other names of the same contrasts
    pipeline = pipeline_of(heads, "unet", "paired", data=data)
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    model = load_model(run.path, "cpu")
    path = next(heads.glob("*-00003-000/*-t1n.nii.gz"))
    written = infer_file(path, model=model, output=tmp_path / "out", quick_look=False)
    made, given = nib.load(written[0]), nib.load(path)
    assert np.allclose(made.affine, given.affine, atol=1e-5)
    values, stored = made.get_fdata(), given.get_fdata()
    assert (values[stored == 0] == 0).all()
    dataset = dataset_of(pipeline)
    x, _, mask = dataset.kept("test")[0].whole()
    result = translate(model, x, mask=mask).clamp(min=-1)
    expected = (result + 1) / 2 * dataset.header()["intensity"]["t2"]
    turned = Reorient(given.affine).forward(torch.from_numpy(values)[None])
    assert np.allclose(turned, expected, atol=0.01)
    sidecar = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert "does not say what intensities" not in json.dumps(sidecar)


def test_whole_volumes_are_measured_in_the_brain(heads):
    pipeline = pipeline_of(heads, "resnet", "paired")
    dataset = dataset_of(pipeline)
    torch.manual_seed(0)
    model = Model(translator_of(pipeline), pipeline, 1.0)
    score = validate(model, dataset)
    x, y, mask = dataset.kept("validation")[0].whole()
    inside = mask > 0
    fake = translate(model, x).clamp(min=-1)
    assert score.values["nmae_forward"] == pytest.approx(
        float((fake - y)[inside].abs().mean()) / 2, rel=1e-4
    )
    assert score.error == pytest.approx(
        (score.values["nmae_forward"] + score.values["nmae_inverse"]) / 2
    )
    table = heldout(model, dataset, show_progress=False)
    x, y, mask = dataset.kept("test")[0].whole()
    fake = translate(model, y, inverse=True, mask=mask).clamp(min=-1)
    assert table.methods == ("model", "input")
    found, given = heldout_means(table), heldout_means(table, "input")
    assert found["psnr_inverse"] == pytest.approx(measured("psnr", fake, x, mask, value_range=2.0))
    assert found["flicker_inverse"] == pytest.approx(slice_flicker(fake, x, mask, axis=2))
    assert given["psnr_inverse"] == pytest.approx(measured("psnr", y, x, mask, value_range=2.0))
    assert "cycle_x" not in given


def test_what_one_way_is_trained_is_measured_one_way(heads, tmp_path):
    method = {"adversarial_weight": 0, "inverse_weight": 0}
    pipeline = pipeline_of(heads, "unet", "paired", method=method)
    dataset, model = dataset_of(pipeline), Model(translator_of(pipeline), pipeline, 1.0)
    score = validate(model, dataset)
    assert list(score.values) == ["nmae_forward"]
    assert set(heldout_columns(heldout(model, dataset, show_progress=False))) == {
        "nmae_forward", "psnr_forward", "ssim_forward", "flicker_forward",
    }  # fmt: skip
    save_picture(tmp_path / "a.png", model, dataset, "one way", score.first)
    save_picture(tmp_path / "b.png", model, dataset, "training")
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert (tmp_path / "b.png").stat().st_size > 5000
    assert "in reverse" not in dataset.card().task


@pytest.mark.parametrize(
    ("model", "method", "dims"), [("unet", "unpaired", 2), ("involution", "self_inverse", 3)]
)
def test_a_resumed_training_ends_with_the_same_weights(
    model, method, dims, heads, tmp_path, monkeypatch
):
    training = {"steps": 5, "validate_every": 3, "log_every": 2}
    pipeline = pipeline_of(heads, model, method, dims, training=training)
    whole = train(pipeline, tmp_path / "whole", quiet=True, device="cpu")
    original = Trainer.step

    def interrupted(self: Trainer) -> dict[str, float]:
        losses = original(self)
        if self.step_number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        with pytest.raises(TrainingInterrupted, match="stopped at step 2"):
            train(pipeline, tmp_path / "parts", quiet=True, device="cpu")
    parts = train(pipeline, tmp_path / "parts", resume=True, quiet=True, device="cpu")
    for which in ("last", "best"):
        assert parts.weights(which).read_bytes() == whole.weights(which).read_bytes()
    assert (parts.path / "heldout.csv").read_text() == (whole.path / "heldout.csv").read_text()
    assert whole.validation.read_text() == parts.validation.read_text()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"target": "flair"}}, InputError, "has the contrast flair; they have t1, t2"),
        ({"data": {"slices": {"size": 18}}}, ConfigError, "data.slices.size must be a multiple"),
        ({"data": {"slices": {"size": 16, "min_brain": 1}}}, InputError, "none of 12 axial slices"),
        ({"data": {"samples": "patches"}}, ConfigError, "spatial_dims must be 3"),
    ],
)
def test_data_that_cannot_be_trained_on_leaves_nothing_behind(
    changes, error, message, heads, tmp_path
):
    pipeline = pipeline_of(heads, "unet", "paired", **changes)
    with pytest.raises(error, match=message):
        train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_environment_names_the_heads(heads, tmp_path):
    run = train(pipeline_of(heads, "unet", "paired"), tmp_path / "run", quiet=True, device="cpu")
    data = json.loads((run.path / "environment.json").read_text())["data"]
    assert data["validation"][0]["id"] == "BraTS-GLI-00002-000"
    assert data["validation"][0]["mask"] == "nonzero"
