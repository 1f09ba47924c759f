"""What a training leaves behind, and how it ends."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from medrev.cli.train import main
from medrev.config import dump_pipeline, load_pipeline
from medrev.errors import InputError, OutputError
from medrev.prediction import load_model, translate
from medrev.training import RunFolder, Score, Trainer, TrainingInterrupted, train
from medrev.training.loop import Loop

from .tensors import without_table


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_run_folder_tells_its_whole_story(finished):
    run, pipeline = finished
    assert {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()} >= {
        "pipeline.yaml",
        "run.json",
        "environment.json",
        "metrics.csv",
        "validation.csv",
        "samples/step_0000006.png",
        "checkpoints/last/weights.safetensors",
        "checkpoints/last/state.pt",
        "checkpoints/best/weights.safetensors",
        "checkpoints/best/state.pt",
        "heldout.csv",
        "heldout.json",
        "heldout.md",
        "model_card.md",
    }
    assert load_pipeline(run.path / "pipeline.yaml") == pipeline
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["seed"] == 3
    assert environment["packages"]["torch"]
    assert [s["id"] for s in environment["data"]["train"]] == ["s0", "s1"]
    assert environment["data"]["test"][0]["degradation"] == "tensor"
    assert environment["data"]["test"][0]["key"]


def test_losses_are_logged_every_so_many_steps(finished):
    found = rows(finished[0].metrics)
    assert [int(row["step"]) for row in found] == [1, 2, 4, 6]
    assert [int(row["epoch"]) for row in found] == [0, 0, 1, 1]
    names = {"step", "epoch", "lr", "loss_translator", "pixel_y", "pixel_x", "seconds"}
    assert set(found[0]) == names
    assert all(math.isfinite(float(value)) for row in found for value in row.values())


def test_the_table_has_the_model_the_baselines_and_the_noise_floor(finished):
    run, _ = finished
    methods = ("model", "nearest", "trilinear", "cubic", "bspline", "noise floor")
    assert run.heldout.methods == methods
    assert run.heldout.subjects == ("s3",)
    assert all(f"| {name} |" in (run.path / "model_card.md").read_text() for name in methods)


def test_inference_finds_and_loads_the_run(finished):
    run, pipeline = finished
    model = load_model(run.path, "cpu")
    assert model.pipeline == pipeline
    assert model.metadata["degradation"] == ["tensor"]
    assert model.metadata["voxel_size"] == [4.0, 4.0]
    ranges = model.metadata["ranges"]
    assert set(ranges) == {"md_p5", "md_p50", "md_p95", "mask_ml"}
    assert all(low <= high for low, high in ranges.values())
    assert translate(model, torch.zeros(6, 8, 8, 8)).shape == (6, 16, 16, 16)


def test_saved_weights_are_the_moving_average(finished):
    run, _ = finished
    state = torch.load(run.state(), weights_only=True)["state"]["trainer"]
    saved = load_file(run.weights("last"))
    assert all(torch.equal(saved[k], v) for k, v in state["average"]["module"].items())
    trained = state["phases"]["translator"]
    assert any(not torch.equal(saved[k], trained[f"translator.{k}"]) for k in saved)


def test_an_existing_folder_is_kept_unless_told(tmp_path, pipeline):
    chosen = pipeline(training={"steps": 1})
    run = train(chosen, tmp_path / "run", quiet=True)
    before = run.weights().stat().st_mtime_ns
    with pytest.raises(OutputError, match="exists and is not empty"):
        train(chosen, run.path, quiet=True)
    assert run.weights().stat().st_mtime_ns == before
    train(chosen, run.path, overwrite=True, quiet=True)
    assert run.weights().stat().st_mtime_ns > before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(OutputError, match="is no run folder"):
        train(chosen, tmp_path / "photos", overwrite=True, quiet=True)
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_a_run_that_saves_nothing_does_not_replace_the_old_one(tmp_path, pipeline, monkeypatch):
    chosen = pipeline(training={"steps": 1})
    run = train(chosen, tmp_path / "run", quiet=True)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    def fail(self):
        raise RuntimeError("at once")

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "train", fail)
        with pytest.raises(RuntimeError, match="at once"):
            train(chosen, run.path, overwrite=True, quiet=True)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_two_trainings_do_not_share_a_folder(tmp_path, pipeline):
    run = RunFolder(tmp_path / "run")
    for choice in ({}, {"resume": True}, {"overwrite": True}):
        with run.folder.owned():
            (run.path / "pipeline.yaml").touch()
            with pytest.raises(OutputError, match=r"run is in use by .* \(process \d+ on "):
                train(pipeline(), run.path, quiet=True, **choice)


def test_a_full_disk_does_not_leave_a_run_running(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a disk is not allowed here")
    try:
        run = RunFolder(place)
        run.write_status("running", step=3)
        with pytest.raises(OSError, match="No space"), (place / "weights").open("wb") as stream:
            while True:
                stream.write(bytes(1024))
        run.end("failed", step=4)
        status = run.read_status()
        assert (status["status"], status["step"]) == ("failed", 4)
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)


def test_bad_input_writes_nothing(tmp_path, pipeline):
    chosen = pipeline(data={"root": str(tmp_path / "nowhere"), "table": None})
    with pytest.raises(InputError, match="not found"):
        train(chosen, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_training_stops_early_and_keeps_the_best(tmp_path, pipeline, monkeypatch):
    errors = iter([5.0, 3.0, 4.0, 4.0, 2.0])

    def score(model, dataset):
        error = next(errors)
        return Score(error, {"rmse": error}, "")

    monkeypatch.setattr("medrev.training.loop.validate", score)
    early = {"steps": 50, "validate_every": 1, "early_stop": {"patience": 2}}
    run = train(pipeline(training=early), tmp_path / "run", quiet=True)
    assert [float(row["rmse"]) for row in rows(run.validation)] == [5, 3, 4, 4]
    assert run.read_status()["step"] == 4
    assert run.read_status()["best_step"] == 2
    assert load_model(run.path).metadata["step"] == 2


def test_without_validation_subjects_the_best_is_the_last(tmp_path, pipeline):
    chosen = without_table(pipeline, tmp_path / "tensors", test=0, training={"steps": 2})
    run = train(chosen, tmp_path / "run", quiet=True)
    assert run.weights("best").read_bytes() == run.weights("last").read_bytes()
    assert run.heldout is None
    assert "No test subjects" in (run.path / "model_card.md").read_text()
    assert run.sample(2).is_file()


def test_bfloat16_trains(tmp_path, pipeline):
    chosen = pipeline(training={"steps": 2, "precision": "bf16"})
    run = train(chosen, tmp_path / "run", quiet=True)
    assert {value.dtype for value in load_file(run.weights()).values()} == {torch.float32}


def test_the_command_exits_with_130_when_interrupted(tmp_path, pipeline, monkeypatch, capfd):
    original = Trainer.step

    def stepped(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    monkeypatch.setattr(Trainer, "step", stepped)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(dump_pipeline(pipeline()))
    assert main(["small.yaml", "--device", "cpu"]) == 130
    assert "medrev-train --resume --output runs/small" in capfd.readouterr().err
    monkeypatch.setattr(Trainer, "step", original)
    assert main(["--resume", "--output", "runs/small", "--device", "cpu"]) == 0
    captured = capfd.readouterr()
    assert captured.out.strip() == "runs/small"
    assert "noise floor" in captured.err


def test_a_signal_in_the_last_step_leaves_the_last_validation_to_resume(
    tmp_path, pipeline, monkeypatch
):
    chosen = pipeline(training={"steps": 2, "validate_every": 100})
    original = Trainer.step

    def stepped(self):
        if self.step_number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    monkeypatch.setattr(Trainer, "step", stepped)
    with pytest.raises(TrainingInterrupted, match="stopped at step 2 of 2"):
        train(chosen, tmp_path / "run", quiet=True)
    run = train(chosen, tmp_path / "run", resume=True, quiet=True)
    assert [row["step"] for row in rows(run.validation)] == ["2"]
    assert run.read_status()["status"] == "finished"


def test_ctrl_c_in_the_final_table_counts_as_interrupted(tmp_path, pipeline, monkeypatch):
    chosen = pipeline(training={"steps": 1})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_heldout", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(chosen, tmp_path / "run", quiet=True)
    assert RunFolder(tmp_path / "run").read_status()["status"] == "interrupted"
    run = train(chosen, tmp_path / "run", resume=True, quiet=True)
    assert run.heldout is not None
    assert run.read_status()["status"] == "finished"


def test_the_result_is_the_end_of_the_training_where_it_is_asked_for(
    tmp_path, pipeline, monkeypatch
):
    errors = iter([3.0, 2.0, 4.0])

    def score(model, dataset):
        error = next(errors)
        return Score(error, {"rmse": error}, "")

    monkeypatch.setattr("medrev.training.loop.validate", score)
    chosen = pipeline(training={"steps": 3, "validate_every": 1, "keep": "last"})
    run = train(chosen, tmp_path / "run", quiet=True)
    assert run.read_status()["best_step"] == 3
    assert load_model(run.path).metadata["step"] == 3


def test_a_training_that_cannot_write_its_pipeline_leaves_nothing_in_the_way(
    pipeline, tmp_path, monkeypatch
):
    """As on a full disk: the next call begins, and is not told of a folder that is not its own."""

    def full(*_: object) -> None:
        raise OutputError("no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(RunFolder, "write_text", full)
        with pytest.raises(OutputError, match="no space left"):
            train(pipeline(training={"steps": 1}), tmp_path / "run", device="cpu", quiet=True)
    assert RunFolder(tmp_path / "run").folder.is_empty
    run = train(pipeline(training={"steps": 1}), tmp_path / "run", device="cpu", quiet=True)
    assert run.read_status()["status"] == "finished"
