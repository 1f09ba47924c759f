"""Two processes that torchrun starts train as one process on the joint batch."""

import csv
import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from medrev.config import dump_pipeline
from medrev.errors import ConfigError
from medrev.training import RunFolder, train
from medrev.training.distributed import join_world

ADVERSARIAL = {
    "kind": "paired",
    "adversarial_weight": 1,
    "discriminator": {"width": 4, "strided_layers": 0},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def torchrun(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run medrev-train in several processes, as the user would."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"),
            *(f"--master-port={free_port()}", "-m", "medrev.cli.train", *arguments),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_two_processes_equal_one_on_the_joint_batch(tmp_path, pipeline):
    training = {"steps": 3, "accumulate": 2, "clip_norm": 1.0, "ema": 0.9, "log_every": 1}
    # Without normalisation, because biases before it have a gradient of rounding errors only.
    model = {"width": 4, "depth": 2, "norm": "none"}
    chosen = pipeline(method=ADVERSARIAL, training=training, model=model)
    (tmp_path / "small.yaml").write_text(dump_pipeline(chosen))
    two = RunFolder(tmp_path / "two")
    done = torchrun(2, str(tmp_path / "small.yaml"), "--output", str(two.path), "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(two.path)
    one = train(chosen, tmp_path / "one", quiet=True, device="cpu")

    losses = [list(csv.DictReader(run.metrics.open())) for run in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 3
    for first, second in zip(*losses, strict=True):
        for name in first.keys() - {"seconds"}:
            assert float(first[name]) == pytest.approx(float(second[name]), rel=2e-5), name
    first, second = (load_file(run.weights("last")) for run in (one, two))
    for name, value in first.items():
        assert torch.allclose(value, second[name], rtol=1e-5, atol=1e-7), name
    states = [torch.load(run.state(), weights_only=True)["state"]["trainer"] for run in (one, two)]
    assert [len(state["processes"]) for state in states] == [1, 2]
    assert two.read_status()["status"] == "finished"


def test_part_of_torchruns_variables_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with (
        pytest.raises(ConfigError, match="MASTER_ADDR, MASTER_PORT is not set"),
        join_world(torch.device("cpu")),
    ):
        pass
