"""A training that is stopped and resumed ends with the weights of one that is not, bit by bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from medrev.config import dump_pipeline
from medrev.errors import CheckpointError
from medrev.prediction import engines
from medrev.training import RunFolder, Trainer, TrainingInterrupted, train
from medrev.training.distributed import World

FULL = {
    "ema": 0.9,
    "accumulate": 2,
    "clip_norm": 1.0,
    "steps": 5,
    "log_every": 2,
    "validate_every": 3,
    "schedule": {"kind": "linear", "warmup_steps": 2},
}
METHODS = {
    "paired": {"kind": "paired", "adversarial_weight": 1, "pool_size": 3},
    "unpaired": {"kind": "unpaired", "pool_size": 3, "adversarial_loss": "least_squares"},
    "self_inverse": {"kind": "self_inverse", "pool_size": 3},
}
INVOLUTION = {"model": {"kind": "involution", "downsamplings": 1}, "data": {"input_grid": "target"}}
SMALL_JUDGE = {"discriminator": {"width": 4, "strided_layers": 0}}


def leaves(value, prefix=""):
    """Everything in a state, by path."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{prefix}/{key}")
    elif isinstance(value, list | tuple):
        for number, child in enumerate(value):
            yield from leaves(child, f"{prefix}/{number}")
    else:
        yield prefix, value


def state_of(run):
    content = torch.load(run.state(), weights_only=True)
    return {name: v for name, v in leaves(content["state"]) if not name.endswith("seconds")}


def assert_same(first, second):
    a, b = state_of(first), state_of(second)
    assert a.keys() == b.keys()
    different = [
        name
        for name in a
        if not (torch.equal(a[name], b[name]) if torch.is_tensor(a[name]) else a[name] == b[name])
    ]
    assert different == []
    assert first.weights("last").read_bytes() == second.weights("last").read_bytes()
    assert first.weights("best").read_bytes() == second.weights("best").read_bytes()


def without_seconds(path):
    return [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]


def signal_at(monkeypatch, number, step):
    """Send this process a signal in the middle of a step."""
    original = Trainer.step

    def stepped(self):
        if self.step_number == step - 1:
            os.kill(os.getpid(), number)
        return original(self)

    monkeypatch.setattr(Trainer, "step", stepped)


def noisy_batches(monkeypatch):
    """Let training draw from every global generator, as a network with dropout would."""
    original = Trainer._next_batch

    def noisy(self):
        batch = original(self)
        amount = random.random() + np.random.rand()  # noqa: NPY002
        return {**batch, "x": batch["x"] + 0.01 * amount * torch.randn_like(batch["x"])}

    monkeypatch.setattr(Trainer, "_next_batch", noisy)


@pytest.mark.parametrize(
    ("kind", "number", "stop"),
    [
        ("paired", signal.SIGINT, 3),
        ("unpaired", signal.SIGTERM, 1),
        ("unpaired", signal.SIGINT, 4),
        ("self_inverse", signal.SIGINT, 3),
    ],
)
def test_interrupted_and_resumed_equals_straight(request, kind, number, stop):
    tmp_path, pipeline, monkeypatch = map(
        request.getfixturevalue, ("tmp_path", "pipeline", "monkeypatch")
    )
    noisy_batches(monkeypatch)
    # Batches of a step are two, and the directions take turns: three of them end on the first one.
    training = FULL | ({"accumulate": 1} if kind == "self_inverse" else {})
    other = {"self_inverse": INVOLUTION, "paired": {"model": {"norm": "batch"}}}.get(kind, {})
    chosen = pipeline(method=METHODS[kind] | SMALL_JUDGE, training=training, **other)
    straight = train(chosen, tmp_path / "straight", quiet=True, device="cpu")
    parts = tmp_path / "parts"
    with monkeypatch.context() as patch:
        signal_at(patch, number, stop)
        with pytest.raises(TrainingInterrupted, match=f"stopped at step {stop} of 5") as caught:
            train(chosen, parts, quiet=True, device="cpu")
    assert f"medrev-train --resume --output {parts}" in str(caught.value)
    assert RunFolder(parts).read_status()["status"] == "interrupted"
    resumed = train(chosen, parts, resume=True, quiet=True, device="cpu")
    assert_same(straight, resumed)
    assert without_seconds(straight.metrics) == without_seconds(resumed.metrics)
    assert straight.validation.read_text() == resumed.validation.read_text()
    assert resumed.read_status()["status"] == "finished"


def test_a_finished_training_can_be_made_longer(tmp_path, pipeline):
    constant = FULL | {"schedule": {"kind": "constant"}}
    straight = train(pipeline(training=constant), tmp_path / "straight", quiet=True)
    shorter = train(pipeline(training=constant | {"steps": 3}), tmp_path / "parts", quiet=True)
    longer = train(pipeline(training=constant), shorter.path, resume=True, quiet=True)
    assert_same(straight, longer)


def test_a_training_is_not_made_shorter_than_it_was(tmp_path, pipeline):
    run = train(pipeline(training={"steps": 3}), tmp_path / "run", quiet=True)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"3 steps are done, more than the 2 .*steps=3 or"):
        train(pipeline(training={"steps": 2}), run.path, resume=True, quiet=True)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_a_resumed_training_keeps_the_precision_that_was_chosen(tmp_path, pipeline, monkeypatch):
    chosen = {steps: pipeline(training={"steps": steps, "precision": "auto"}) for steps in (1, 2)}
    monkeypatch.setattr(engines, "bfloat16_speedup", lambda device: 2.0)
    run = train(chosen[1], tmp_path / "run", quiet=True, device="cpu")
    monkeypatch.setattr(engines, "bfloat16_speedup", lambda device: 0.5)  # another machine
    train(chosen[2], run.path, resume=True, quiet=True, device="cpu")
    assert json.loads((run.path / "environment.json").read_text())["precision"] == "bf16"
    assert "bf16" in (run.path / "model_card.md").read_text()


def test_the_first_of_several_processes_chooses_the_precision_of_all(
    tmp_path, pipeline, monkeypatch
):
    chosen = pipeline(training={"steps": 1, "precision": "auto"})
    monkeypatch.setattr(engines, "bfloat16_speedup", lambda device: 0.5)
    own = {"fp32": "bf16"}  # of the first process, where the others would take float32
    monkeypatch.setattr(World, "broadcast", lambda self, value: own.get(str(value), value))
    run = train(chosen, tmp_path / "run", quiet=True, device="cpu")
    assert json.loads((run.path / "environment.json").read_text())["precision"] == "bf16"


def test_other_settings_or_nothing_to_resume_are_refused(tmp_path, pipeline):
    run = train(pipeline(training={"steps": 1}), tmp_path / "run", quiet=True)
    before = run.state().read_bytes()
    with pytest.raises(CheckpointError, match=r"data.batch_size was 2, is 3"):
        train(pipeline(data={"batch_size": 3}), run.path, resume=True, quiet=True)
    assert run.state().read_bytes() == before
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(pipeline(), tmp_path / "other", resume=True, quiet=True)
    assert not (tmp_path / "other").exists()


def test_a_moved_cohort_is_resumed_and_a_changed_one_refused(tmp_path, pipeline, cohort):
    run = train(pipeline(training={"steps": 1}), tmp_path / "run", quiet=True)
    moved = shutil.copytree(cohort.parent, tmp_path / "moved")
    data = {"root": str(moved), "table": str(moved / cohort.name)}
    chosen = pipeline(data=data, training={"steps": 2})
    resumed = train(chosen, run.path, resume=True, quiet=True)
    assert resumed.read_status()["step"] == 2
    shutil.copy(moved / "s1_tensor.nii.gz", moved / "s0_tensor.nii.gz")
    with pytest.raises(CheckpointError, match="content"):
        train(pipeline(data=data, training={"steps": 3}), run.path, resume=True, quiet=True)


def test_killed_and_resumed_equals_straight(tmp_path, pipeline):
    training = FULL | {"steps": 40, "checkpoint_every": 1, "validate_every": 1000}
    chosen = pipeline(method=METHODS["paired"] | SMALL_JUDGE, training=training)
    (tmp_path / "small.yaml").write_text(dump_pipeline(chosen))
    parts = RunFolder(tmp_path / "parts")
    command = [sys.executable, "-m", "medrev.cli.train", str(tmp_path / "small.yaml")]
    process = subprocess.Popen(
        [*command, "--output", str(parts.path), "--device", "cpu"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 120
        while not (parts.state().is_file() and parts.read_status().get("step", 0) >= 4):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(30)
    assert parts.read_status()["status"] == "running"
    assert 4 <= parts.read_status()["step"] < 40
    resumed = train(chosen, parts.path, resume=True, quiet=True, device="cpu")
    straight = train(chosen, tmp_path / "straight", quiet=True, device="cpu")
    assert_same(straight, resumed)
