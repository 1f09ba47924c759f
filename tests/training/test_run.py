"""What a training leaves behind, and how it ends."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from medrev.cli.train import main
from medrev.config import dump_pipeline, load_pipeline
from medrev.errors import ConfigError, DivergedError, InputError, OutputError
from medrev.evaluation import Record, Results
from medrev.prediction import load_model, translate
from medrev.report import write_run_report
from medrev.training import (
    RunFolder,
    Score,
    Trainer,
    TrainingInterrupted,
    result_warnings,
    train,
)
from medrev.training.loop import Loop


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pipeline):
    """A small finished run and its pipeline."""
    chosen = pipeline(training={"steps": 6, "log_every": 2, "ema": 0.5})
    return train(chosen, tmp_path_factory.mktemp("runs") / "small", quiet=True), chosen


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


def test_a_training_starts_from_the_weights_and_the_scale_of_another(finished, tmp_path, pipeline):
    run, _ = finished
    standing = {"lr": 1e-30, "weight_decay": 0}
    chosen = pipeline(
        training={"steps": 1, "start_from": str(run.path)},
        method={"kind": "paired", "adversarial_weight": 0, "optimizer": standing},
        data={"augmentation": {"diffusivity": 0.3}},
    )
    second = train(chosen, tmp_path / "run", quiet=True)
    before, after = load_file(run.weights("best")), load_file(second.weights("best"))
    assert all(torch.allclose(after[k], before[k], atol=1e-12) for k in before)
    first = load_model(run.path, "cpu")
    assert load_model(second.path, "cpu").scale == first.scale


def test_a_training_that_began_elsewhere_is_resumed_without_that(finished, tmp_path, pipeline):
    run, _ = finished
    start = tmp_path / "start.safetensors"
    start.write_bytes(run.weights("best").read_bytes())
    chosen = {"steps": 2, "start_from": str(start)}
    second = train(pipeline(training={**chosen, "steps": 1}), tmp_path / "run", quiet=True)
    start.unlink()
    train(pipeline(training=chosen), second.path, resume=True, quiet=True)
    assert second.read_status()["step"] == 2


def test_a_training_does_not_start_from_another_network(finished, tmp_path, pipeline):
    run, _ = finished
    chosen = pipeline(training={"steps": 1, "start_from": str(run.path)}, model={"width": 10})
    with pytest.raises(ConfigError, match=r"training.start_from: .* is another network than"):
        train(chosen, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_posterior_is_learnt_around_a_trained_model_that_stays(finished, tmp_path, pipeline):
    run, _ = finished
    small = {"kind": "posterior", "couplings": 2, "flow_hidden": 4, "features": 4}
    method = {"kind": "maximum_likelihood", "optimizer": {"lr": 1e-2}}

    def chosen(steps, start):
        return pipeline(
            training={"steps": steps, "start_from": str(start), "log_every": 1, "keep": "last"},
            model=small,
            method=method,
        )

    whole = train(chosen(2, run.path), tmp_path / "whole", quiet=True)
    before, after = load_file(run.weights("best")), load_file(whole.weights("best"))
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert not torch.equal(after["residual.root"], torch.eye(48))
    rows = whole.metrics.read_text().splitlines()
    assert rows[0].split(",")[4:6] == ["nats_per_dim", "gaussian"]
    first = dict(zip(rows[0].split(","), map(float, rows[1].split(",")), strict=True))
    assert first["nats_per_dim"] == pytest.approx(first["gaussian"], rel=1e-5)

    parts = train(chosen(1, run.path), tmp_path / "parts", quiet=True)
    again = train(chosen(2, run.path), parts.path, resume=True, quiet=True)
    assert all(torch.equal(load_file(again.weights("last"))[k], v) for k, v in after.items())

    further = train(chosen(1, whole.path), tmp_path / "further", quiet=True)
    kept = load_file(further.weights("best"))["residual.root"]
    assert torch.equal(kept, after["residual.root"])


def test_a_posterior_needs_a_trained_model(tmp_path, pipeline):
    chosen = pipeline(
        training={"steps": 1}, model={"kind": "posterior"}, method={"kind": "maximum_likelihood"}
    )
    with pytest.raises(ConfigError, match=r"give that model as training\.start_from"):
        train(chosen, tmp_path / "run", quiet=True)


def test_a_posterior_is_not_trained_as_a_translator_is(finished, tmp_path, pipeline):
    run, _ = finished
    chosen = pipeline(
        training={"steps": 1, "start_from": str(run.path)}, model={"kind": "posterior"}
    )
    with pytest.raises(ConfigError, match=r"posterior is trained by method\.kind"):
        train(chosen, tmp_path / "run", quiet=True)


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


@pytest.mark.parametrize("bad", ["weights", "gradient"])
def test_divergence_names_the_step_and_the_last_good_checkpoint(
    tmp_path, pipeline, monkeypatch, bad
):
    original = Trainer._next_batch

    def poisoned(self):
        batch = original(self)
        if self.step_number == 3:
            batch["y"] = batch["y"] * (math.nan if bad == "weights" else 1e38)
        return batch

    monkeypatch.setattr(Trainer, "_next_batch", poisoned)
    chosen = pipeline(training={"steps": 9, "checkpoint_every": 2, "validate_every": 99})
    message = r"step 4: loss or gradient is not .*; last good checkpoint: step 2, .*last"
    with pytest.raises(DivergedError, match=message):
        train(chosen, tmp_path / "run", quiet=True)
    run = RunFolder(tmp_path / "run")
    assert run.read_status()["status"] == "failed"
    weights = load_file(run.weights("last"))
    assert all(torch.isfinite(value).all() for value in weights.values())


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
    tensors_only(pipeline().data.root, tmp_path / "tensors")
    chosen = pipeline(
        data={
            "root": str(tmp_path / "tensors"),
            "table": None,
            "split": {"validation": 0, "test": 0},
        },
        training={"steps": 2},
    )
    run = train(chosen, tmp_path / "run", quiet=True)
    assert run.weights("best").read_bytes() == run.weights("last").read_bytes()
    assert run.heldout is None
    assert "No test subjects" in (run.path / "model_card.md").read_text()
    assert run.sample(2).is_file()


def tensors_only(source, target):
    target.mkdir()
    for file in source.glob("*_tensor.nii.gz"):
        (target / file.name).symlink_to(file)


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


def test_what_speaks_against_a_model_is_told_wherever_it_is_read(tmp_path, pipeline, caplog):
    """Here: a loss that runs away, no validation, and errors above those of interpolation."""
    tensors_only(pipeline().data.root, tmp_path / "tensors")
    chosen = pipeline(
        data={
            "root": str(tmp_path / "tensors"),
            "table": None,
            "split": {"validation": 0, "test": 1},
        },
        method={"kind": "paired", "adversarial_weight": 0, "optimizer": {"lr": 1.0}},
        training={"steps": 6},
    )
    run = train(chosen, tmp_path / "run", quiet=True)
    missing, loss, worse = run.warnings
    assert missing.startswith("no validation subjects: nothing tells which weights are best")
    assert re.fullmatch(
        r"step \d: the loss is \S+, in the beginning it was \S+: training runs away; .*", loss
    )
    assert re.fullmatch(
        r"the model is worse than \w+ \(RMSE interior \[1e-5 mm²/s\]: model \S+, \w+ \S+\): "
        "do not use it",
        worse,
    )
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"warning: {line}" for line in run.warnings
    ]
    card = (run.path / "model_card.md").read_text()
    page = write_run_report(run.path).read_text()
    assert all(f"- Warning: {line}.\n" in card for line in run.warnings)
    assert all(f"<li>{line}</li>" in page for line in run.warnings)


def test_a_step_that_is_skipped_for_its_loss_is_told(tmp_path, pipeline, monkeypatch):
    tensors_only(pipeline().data.root, tmp_path / "tensors")
    chosen = pipeline(
        data={"root": str(tmp_path / "tensors"), "table": None, "split": {"test": 1}},
        method={"kind": "paired", "adversarial_weight": 0, "optimizer": {"lr": 1.0}},
        training={"steps": 6, "skip_above": 2},
    )
    monkeypatch.setattr("medrev.training.trainer.LEAST", 1)
    run = train(chosen, tmp_path / "run", quiet=True)
    told = [line for line in run.warnings if "nothing is learnt of this step" in line]
    assert len(told) == 1
    assert re.match(r"step \d: the loss is \S+, usually it is \S+: .*skip_above=2 times", told[0])


def test_what_a_later_result_shows_takes_the_place_of_an_earlier_ones(tmp_path):
    """A training that goes on may become better than interpolation; how it went stays told."""
    run = RunFolder(tmp_path)
    run.warn("no validation subjects")
    run.warn_of_result(["worse than cubic"])
    run.warn("training runs away")
    run.warn_of_result(["worse than trilinear"])
    assert run.warnings == (
        "no validation subjects", "training runs away", "worse than trilinear"
    )  # fmt: skip
    run.warn_of_result([])
    assert RunFolder(tmp_path).warnings == ("no validation subjects", "training runs away")


def test_a_good_run_is_told_nothing(finished, tmp_path, pipeline):
    records = [
        Record("s", method, "rmse", "mask", None, value, "1e-5 mm²/s")
        for method, value in (("model", 2.0), ("cubic", 3.0), ("noise floor", 1.0))
    ]
    assert result_warnings(Results.of(records)) == ()
    assert not any("training" in line for line in finished[0].warnings)


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
