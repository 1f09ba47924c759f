"""Likelihood, latent adversary, optimal transport and classification: what their losses are."""

import itertools
import math

import pytest
import torch

from medrev.config import Pipeline
from medrev.errors import ConfigError, DivergedError
from medrev.methods import build_method
from medrev.methods.transport import transport_cost
from medrev.nets import translator_of

STAGES = [{"couplings": 2, "hidden": 4}]
SWAPPED = {"coupling": "swapped", "mixing": "none", "initialisation": "default", "zero_init": False}
LABELS = {"given": "label", "classes": 3, "image_channels": 1}
METHODS = {
    "maximum_likelihood": ({}, LABELS),
    "latent_adversary": ({"prior": "restricted", "prior_dimensions": 5} | SWAPPED, {}),
    "optimal_transport": ({"prior": "classes"} | SWAPPED, LABELS),
}


def method_of(kind, *, model=None, data=None, **method):
    torch.manual_seed(0)
    own, given = METHODS[kind]
    pipeline = Pipeline.model_validate(
        {
            "name": "small",
            "data": {"kind": "single_images", "root": "-", "crop_size": 8} | given | (data or {}),
            "model": {"kind": "flow", "stages": STAGES} | own | (model or {}),
            "method": {"kind": kind} | method,
            "training": {"steps": 1},
        }
    )
    return build_method(pipeline, translator_of(pipeline)).train()


def batch_of(count=12, channels=1, classes=3):
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % max(classes, 1)
    x = torch.eye(classes)[labels] if classes else torch.zeros(count, 0)
    return {"x": x, "y": torch.rand(count, channels, 8, 8, generator=generator) * 2 - 1}


def test_the_likelihood_loss_is_in_nats_per_dimension_with_its_constant():
    phase = method_of("maximum_likelihood").phases["translator"]
    batch = batch_of()
    loss, logs = phase(batch, {})
    z, log_det = phase.translator.flow.encode(batch["y"], batch["x"], log_det=True)
    wanted = z.square().sum(1) / 2 - log_det + 64 / 2 * math.log(2 * math.pi)
    torch.testing.assert_close(loss, wanted.mean() / 64)
    assert logs["nats_per_dim"] == loss.detach()


def test_noise_is_drawn_from_pytorchs_state():
    phase = method_of("maximum_likelihood", noise=0.1).phases["translator"]
    batch = batch_of()
    torch.manual_seed(4)
    first, _ = phase(batch, {})
    second, _ = phase(batch, {})
    torch.manual_seed(4)
    again, _ = phase(batch, {})
    assert first == again != second


def test_a_likelihood_that_is_no_number_names_its_layer():
    phase = method_of("maximum_likelihood").phases["translator"]
    sequence = phase.translator.flow.layers[1]
    next(sequence.blocks[3].parameters()).data.fill_(math.nan)
    with pytest.raises(DivergedError, match=r"is nan: layers.1.blocks.3, AffineCoupling is the"):
        phase(batch_of(), {})


def test_the_conditioning_network_waits_and_its_heads_learn():
    method = method_of(
        "maximum_likelihood",
        model={
            "conditioner": "small",
            "conditioner_width": 2,
            "stages": [{"couplings": 1, "hidden": 4, "condition_width": 2}],
            "zero_init": False,
        },
        data={"given": "lightness", "classes": 0, "image_channels": 3},
        frozen_steps=1,
    )
    phase = method.phases["translator"]
    flow = phase.translator.flow
    batch = {"x": torch.randn(3, 1, 8, 8), "y": torch.randn(3, 2, 8, 8)}
    phase(batch, {})[0].backward()
    assert all(p.grad is None for p in flow.conditioner.parameters())
    heads = [p for name, p in flow.named_parameters() if "head" in name]
    assert heads
    assert all(p.grad is not None for p in heads)
    assert phase.memory() == {"steps": 1}
    phase(batch, {})[0].backward()
    assert all(p.grad is not None for p in flow.conditioner.parameters())


def test_the_transport_is_the_cheapest_assignment():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 3, generator=generator) for _ in range(2))
    b = b * 2 + 1
    costs = torch.cdist(a, b)
    best = min(
        sum(costs[i, j] for i, j in enumerate(order)) / 6
        for order in itertools.permutations(range(6))
    )
    torch.testing.assert_close(transport_cost(a, b), best)


def test_transport_begins_with_the_moments_of_the_untrained_codes():
    method = method_of("optimal_transport")
    batch = batch_of()
    method.begin([batch])
    phase = method.phases["translator"]
    codes = phase.translator.encode(batch["y"], batch["x"])[batch["x"].argmax(1) == 1]
    torch.testing.assert_close(phase.prior.mean[1], codes.mean(0))
    loss, logs = phase(batch, {})
    loss.backward()
    assert {"transport", "perturbation", "used_dimensions"} == set(logs)
    assert all(p.grad is not None for p in phase.parameters())


def test_transport_needs_several_images_of_a_class():
    phase = method_of("optimal_transport").phases["translator"]
    with pytest.raises(ConfigError, match=r"got 3 images of 3 classes; raise data.batch_size"):
        phase(batch_of(3), {})


def test_phase_one_has_no_adversary_and_phase_two_has():
    method = method_of("latent_adversary", reconstruction_steps=1)
    batch = batch_of(channels=3, classes=0)
    method.begin([batch])
    translator, judge = method.phases.values()
    codes = translator.translator.encode(batch["y"], batch["x"])
    widest = codes.double().std(0).topk(5).indices.sort().values
    assert torch.equal(translator.prior.index, widest)

    cache = {}
    _, logs = translator(batch, cache)
    assert set(logs) == {"reconstruction", "code"}
    nothing, _ = judge(batch, cache)
    nothing.backward()
    assert nothing == 0
    assert all(not p.grad.any() for p in judge.parameters())

    loss, logs = translator(batch, cache)
    loss.backward()
    assert set(logs) == {"reconstruction", "code", "adversarial"}
    assert all(not p.grad.any() for p in judge.parameters())
    hinge, _ = judge(batch, cache)
    hinge.backward()
    assert hinge > 0
    assert any(p.grad.any() for p in judge.parameters())


def test_clipped_codes_of_a_network_that_needs_no_clipping_are_reconstructed():
    method = method_of("latent_adversary", model={"prior_dimensions": 192}, clip=1e6)
    _, logs = method.phases["translator"](batch_of(channels=3, classes=0), {})
    assert logs["code"] == 0
    assert logs["reconstruction"] < 1e-6


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        (
            "maximum_likelihood",
            {"prior": "classes"},
            "needs model.kind flow with model.prior normal",
        ),
        (
            "optimal_transport",
            {"prior": "normal"},
            "needs model.kind flow with model.prior classes",
        ),
    ],
)
def test_methods_need_their_prior(kind, model, message):
    with pytest.raises(ConfigError, match=message):
        method_of(kind, model=model)


def test_flows_are_not_translators_of_other_methods():
    pipeline = Pipeline.model_validate(
        {
            "name": "small",
            "data": {"kind": "single_images", "root": "-", "crop_size": 8} | LABELS,
            "model": {"kind": "flow", "stages": STAGES},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )
    with pytest.raises(ConfigError, match=r"is trained by method.kind maximum_likelihood"):
        build_method(pipeline, translator_of(pipeline))
