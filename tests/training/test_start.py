"""A training that starts from another: its weights, its scale, a posterior around it."""

import pytest
import torch
from safetensors.torch import load_file

from medrev.errors import ConfigError
from medrev.prediction import load_model
from medrev.training import train


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
