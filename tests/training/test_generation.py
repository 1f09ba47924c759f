"""Flows and classifiers train by pipelines, are resumed bit by bit, and are measured."""

import json

import pytest
import torch

from medrev.config import Pipeline
from medrev.errors import ConfigError
from medrev.evaluation import heldout_means
from medrev.nets import translator_of
from medrev.prediction import load_model
from medrev.training import TrainingInterrupted, dry_run, train

LABELS = {"given": "label", "classes": 3, "image_channels": 1}
STAGES = [{"couplings": 2, "hidden": 8}]
SWAPPED = {"coupling": "swapped", "mixing": "none", "initialisation": "default", "zero_init": False}
KINDS = {
    "maximum_likelihood": ({"kind": "flow", "stages": STAGES}, {"noise": 0.05}),
    "latent_adversary": (
        {"kind": "flow", "stages": STAGES, "prior": "restricted", "prior_dimensions": 4} | SWAPPED,
        {"reconstruction_steps": 2, "discriminator": {"hidden": [8, 8]}},
    ),
    "optimal_transport": ({"kind": "flow", "stages": STAGES, "prior": "classes"} | SWAPPED, {}),
    "classification": ({"kind": "classifier", "width": 2}, {}),
}


@pytest.fixture(scope="module")
def digits(write_idx, tmp_path_factory):
    return write_idx(tmp_path_factory.mktemp("digits") / "mnist")


def pipeline_of(root, kind, *, training=None, method=None, **data):
    model, own = KINDS[kind]
    return Pipeline.model_validate(
        {
            "name": "small",
            "data": {
                "kind": "single_images",
                "root": str(root),
                "crop_size": 8,
                "split": {"validation": 6},
                "batch_size": 6,
            }
            | LABELS
            | data,
            "model": model,
            "method": {"kind": kind} | own | (method or {}),
            "training": {
                "steps": 4,
                "validate_every": 2,
                "log_every": 1,
                "schedule": {"kind": "plateau", "plateau_patience": 1},
            }
            | (training or {}),
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_ends_with_the_same_weights(kind, digits, tmp_path, monkeypatch):
    pipeline = pipeline_of(digits, kind)
    whole = train(pipeline, tmp_path / "whole", quiet=True, device="cpu")

    from medrev.training.trainer import Trainer

    step = Trainer.step

    def stopped(self):
        losses = step(self)
        if self.step_number == 3:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return losses

    monkeypatch.setattr(Trainer, "step", stopped)
    with pytest.raises(TrainingInterrupted):
        train(pipeline, tmp_path / "parts", quiet=True, device="cpu")
    monkeypatch.setattr(Trainer, "step", step)
    parts = train(pipeline, tmp_path / "parts", resume=True, quiet=True, device="cpu")
    for name, value in load_model(whole.weights("last"), "cpu").translator.state_dict().items():
        other = load_model(parts.weights("last"), "cpu").translator.state_dict()[name]
        assert torch.equal(value, other), name
    rows = [(run.path / "validation.csv").read_text() for run in (whole, parts)]
    assert rows[0] == rows[1]


def test_a_flow_is_measured_in_bits_per_dimension_of_grey_levels(digits, tmp_path):
    pipeline = pipeline_of(digits, "maximum_likelihood", method={"noise": 0})
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    model = load_model(run.path, "cpu")
    from medrev.domains.kinds import dataset_of

    data = dataset_of(pipeline)
    samples = list(data.part("test"))
    x = torch.stack([data.x.encode(s.x, 1.0) for s in samples])
    y = torch.stack([data.y.encode(s.y, 255.0) for s in samples])
    with torch.no_grad():
        nats = -model.translator.log_prob(y, x).double() / 64
    wanted = (nats / torch.log(torch.tensor(2.0)) + torch.log2(torch.tensor(127.5))).mean()
    heldout = json.loads((run.path / "heldout.json").read_text())["summary"]["model"]
    assert heldout["bits_per_dim"]["mean"] == pytest.approx(wanted.item(), abs=1e-5)
    assert heldout["inversion"]["mean"] < 1e-6
    assert "a flow of 2 affine couplings" in (run.path / "model_card.md").read_text()


def test_optimal_transport_counts_the_dimensions_that_classes_use(digits, tmp_path):
    pipeline = pipeline_of(digits, "optimal_transport", training={"steps": 1})
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    deviations = load_model(run.path, "cpu").translator.prior.log_std.detach().exp()
    wanted = float((deviations > 0.1).sum(dim=1).double().mean())
    assert heldout_means(run.heldout)["used_dimensions"] == wanted > 0


def test_likelihood_falls_by_training(digits, tmp_path):
    training = {"steps": 60, "validate_every": 20, "schedule": {"kind": "constant"}}
    method = {"optimizer": {"lr": 5e-3}}
    pipeline = pipeline_of(digits, "maximum_likelihood", training=training, method=method)
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    rows = (run.path / "validation.csv").read_text().splitlines()
    bits = [float(row.split(",")[1]) for row in rows[1:]]
    assert bits[-1] < bits[0] - 0.3


def test_a_classifier_learns_the_bars(digits, tmp_path):
    training = {"steps": 60, "validate_every": 30, "schedule": {"kind": "constant"}}
    method = {"optimizer": {"lr": 1e-2}}
    pipeline = pipeline_of(digits, "classification", training=training, method=method)
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert heldout_means(run.heldout)["label_accuracy"] == 1


def test_the_learning_rate_falls_on_plateaus(digits, tmp_path):
    method = {"optimizer": {"lr": 1e-30}}  # nothing changes
    pipeline = pipeline_of(digits, "maximum_likelihood", method=method)
    train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    lines = [r.split(",") for r in (tmp_path / "run/metrics.csv").read_text().splitlines()]
    rates = [float(row[lines[0].index("lr")]) for row in lines[1:]]
    assert rates == pytest.approx([1e-30] * 4)
    training = {"steps": 6}
    train(
        pipeline_of(digits, "maximum_likelihood", method=method, training=training),
        tmp_path / "longer",
        quiet=True,
        device="cpu",
    )
    lines = [r.split(",") for r in (tmp_path / "longer/metrics.csv").read_text().splitlines()]
    rates = [float(row[lines[0].index("lr")]) for row in lines[1:]]
    assert rates == pytest.approx([1e-30] * 4 + [2e-31] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_measures_steps(kind, digits):
    estimate = dry_run(pipeline_of(digits, kind, batch_size=12), "cpu", measured=1)
    net = translator_of(pipeline_of(digits, kind))
    assert estimate.parameters["translator"] == sum(p.numel() for p in net.parameters())
    assert estimate.activations > 0


def write_photos(root, count=12):
    import numpy as np
    from PIL import Image

    root.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((20, 16)).save(root / f"{number}.png")
    return root


def colouring(root, model="flow", *, training=None, width=2, couplings=2, frozen=0):
    flow = model == "flow"
    stage = {"couplings": couplings, "hidden": 4, "condition_width": 2}
    document = {
        "name": "colours",
        "data": {
            "kind": "single_images",
            "root": str(root),
            "given": "lightness",
            "centre": "square",
            "load_size": 8,
            "crop_size": 8,
            "split": {"validation": 2, "test": 3},
            "batch_size": 4,
        },
        "model": {
            "kind": "flow",
            "conditioner": "small",
            "conditioner_width": width,
            "stages": [stage],
        }
        if flow
        else {"kind": "unet", "spatial_dims": 2, "width": 2, "levels": 2},
        "method": {"kind": "maximum_likelihood", "noise": 0.05, "frozen_steps": frozen}
        if flow
        else {"kind": "paired", "pixel_loss": "l2", "adversarial_weight": 0, "inverse_weight": 0},
        "training": {"steps": 2, "validate_every": 1, "keep": "last"} | (training or {}),
    }
    return Pipeline.model_validate(document)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Photographs, and runs that colour them."""
    folder = tmp_path_factory.mktemp("colours")
    root = write_photos(folder / "photos")
    return root, {
        model: train(colouring(root, model), folder / model, quiet=True, device="cpu")
        for model in ("flow", "unet")
    }


@pytest.mark.parametrize("model", ["flow", "unet"])
def test_colours_are_compared_as_draws_whatever_makes_them(model, colours):
    run = colours[1][model]
    flow = model == "flow"
    means = heldout_means(run.heldout)
    assert means["best_mse"] > 0
    assert (means["draw_variance"] > 0) == flow
    assert len(run.heldout.subjects) == 3 + flow


def test_a_flow_starts_with_the_conditioning_network_of_another(colours, tmp_path):
    root, runs = colours
    other = tmp_path / "other.safetensors"
    other.write_bytes(runs["flow"].weights("last").read_bytes())
    start = {"conditioner_from": str(other)}
    chosen = [
        colouring(root, training=start | {"steps": steps}, couplings=1, frozen=9)
        for steps in (1, 2)
    ]
    run = train(chosen[0], tmp_path / "run", quiet=True, device="cpu")
    other.unlink()
    train(chosen[1], run.path, resume=True, quiet=True, device="cpu")
    given, taken = (
        dict(load_model(r.weights("last"), "cpu").translator.flow.conditioner.named_parameters())
        for r in (runs["flow"], run)
    )
    assert given
    assert all(torch.equal(taken[name], value) for name, value in given.items())


@pytest.mark.parametrize(
    ("other", "own", "width", "words"),
    [
        ("flow", "flow", 3, r"of .* is another than .* 0\.bias has shape \(2,\), \(3,\) is"),
        ("unet", "flow", 2, r"unet.* has no conditioning network"),
        ("flow", "unet", 2, r"the pipeline's model has no conditioning network"),
    ],
)
def test_conditioning_networks_that_do_not_fit_are_refused(
    other, own, width, words, colours, tmp_path
):
    root, runs = colours
    start = {"conditioner_from": str(runs[other].path)}
    with pytest.raises(ConfigError, match=rf"training\.conditioner_from: .*{words}"):
        train(colouring(root, own, training=start, width=width), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
