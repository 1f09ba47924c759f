"""Generators: a flow with what codes are drawn from; classifiers; the adversary of codes."""

import pytest
import torch

from medrev.config import Pipeline
from medrev.config.schema import ClassifierModel, FlowModel
from medrev.errors import ConfigError, InputError
from medrev.nets import (
    Classifier,
    ClassPrior,
    Generator,
    LatentDiscriminator,
    NormalPrior,
    RestrictedPrior,
    multiscale_flow,
    translator_of,
)


def flow_of(condition=None):
    torch.manual_seed(0)
    model = FlowModel(
        stages=[{"couplings": 2, "hidden": 4}], zero_init=False, clamp_form="unit-slope"
    )
    return multiscale_flow(model, shape=(1, 4, 4), condition_shape=condition).eval()


def generator_of(condition=None, prior=None):
    flow = flow_of(condition)
    return Generator(flow, prior or NormalPrior(flow.dimensions)).eval()


def test_draws_are_decoded_codes_and_repeat_with_their_generator():
    net = generator_of((3,))
    x = torch.eye(3)
    first = net.draw(x, 4, temperature=0.5, generator=torch.Generator().manual_seed(1))
    assert first.shape == (3, 4, 1, 4, 4)
    noise = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(1))
    wanted = net.decode(0.5 * noise[2, 1][None], x[2:])
    torch.testing.assert_close(first[2, 1], wanted[0], atol=1e-5, rtol=1e-5)
    again = net.draw(x, 4, temperature=0.5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again)


def test_temperature_zero_is_the_translation():
    net = generator_of((3,))
    x = torch.eye(3)
    torch.testing.assert_close(net.draw(x, temperature=0)[:, 0], net(x))


def test_what_cannot_be_drawn():
    net = generator_of()
    with pytest.raises(InputError, match="temperature must be 0 or more, got -1"):
        net.draw(torch.zeros(1, 0), temperature=-1)
    with pytest.raises(InputError, match="number of samples must be at least 1, got 0"):
        net.draw(torch.zeros(1, 0), 0)
    with pytest.raises(InputError, match="no inverse direction"):
        net.inverse(torch.zeros(1, 1, 4, 4))


def test_a_restricted_prior_uses_the_dimensions_that_vary_most():
    prior = RestrictedPrior(6, 2)
    scale = torch.tensor([1.0, 5.0, 0.1, 0.2, 7.0, 2.0])
    prior.choose(torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * scale)
    assert prior.index.tolist() == [1, 4]
    z = prior(torch.ones(2, 3, 6), torch.zeros(2, 0))
    assert z[1, 2].tolist() == [0, 1, 0, 0, 1, 0]
    assert prior.restrict(torch.full((1, 6), 3.0), torch.zeros(1, 0)).tolist() == [
        [0, 3, 0, 0, 3, 0]
    ]


def test_a_prior_of_classes_has_the_moments_of_their_codes():
    prior = ClassPrior(2, 3)
    codes = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 5.0], [5.0, 9.0]])
    prior.fit(codes, torch.tensor([0, 0, 2, 2]))
    torch.testing.assert_close(prior.mean[[0, 2]].detach(), torch.tensor([[2.0, 0.0], [5.0, 7.0]]))
    std = prior.log_std.exp().detach()
    torch.testing.assert_close(std[0], torch.tensor([2**0.5, 1e-3]))
    assert prior.used()[0].tolist() == [True, False]
    drawn = prior(torch.ones(1, 1, 2), torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(drawn[0, 0].detach(), torch.tensor([5 + 1e-3, 7 + 8**0.5]))
    z = torch.tensor([[9.0, 9.0]])
    kept = prior.restrict(z, torch.tensor([[1.0, 0.0, 0.0]])).detach()
    torch.testing.assert_close(kept, torch.tensor([[9.0, 0.0]]))


def test_the_adversary_has_spectral_norm_one():
    torch.manual_seed(0)
    net = LatentDiscriminator(8, (16, 12)).train()
    for _ in range(200):
        net(torch.randn(4, 8))
    for layer in (net.first, net.second, net.last):
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)
    assert sum(p.numel() for p in LatentDiscriminator(64).parameters()) == (
        64 * 400 + 400 + 800 * 800 + 800 + 800 + 1
    )


def test_a_classifier_tells_probabilities_in_its_inverse_direction():
    net = Classifier(ClassifierModel(width=2), in_channels=1, classes=3).eval()
    found = net.inverse(torch.zeros(2, 1, 8, 8))
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    with pytest.raises(InputError, match="makes no images"):
        net(torch.zeros(2, 3))


def pipeline_of(model, **data):
    given = {"kind": "single_images", "root": "nowhere", "crop_size": 16}
    return Pipeline.model_validate(
        {
            "name": "small",
            "data": given | data,
            "model": model,
            "method": {"kind": "maximum_likelihood"},
            "training": {"steps": 1},
        }
    )


LABELS = {"given": "label", "classes": 3}
STAGES = [{"couplings": 1, "hidden": 4}]


def test_flows_of_pipelines_are_told_what_is_given():
    net = translator_of(pipeline_of({"kind": "flow", "stages": STAGES}, **LABELS))
    assert net.flow.condition_shape == (3,)
    assert net.flow.shape == (3, 16, 16)
    net = translator_of(pipeline_of({"kind": "flow", "stages": STAGES}))
    assert net.flow.condition_shape is None
    net = translator_of(
        pipeline_of(
            {"kind": "flow", "stages": STAGES, "conditioner": "small", "conditioner_width": 2},
            given="lightness",
            colour_factor=2,
        )
    )
    assert net.flow.condition_shape == (1, 16, 16)
    assert net.flow.shape == (2, 8, 8)
    net = translator_of(
        pipeline_of({"kind": "flow", "stages": STAGES, "prior": "classes"}, **LABELS)
    )
    assert net.flow.condition_shape is None
    assert net.prior.mean.shape == (3, 768)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ({"kind": "flow", "stages": STAGES, "conditioner": "zhang"}, LABELS, "features of images"),
        ({"kind": "flow", "stages": STAGES, "prior": "classes"}, {}, "needs data.given label"),
        ({"kind": "classifier"}, {}, "data.given label is needed"),
        ({"kind": "unet", "spatial_dims": 2}, LABELS, "translates images on one grid"),
        (
            {"kind": "flow", "stages": [{"couplings": 1}] * 5},
            {"crop_size": 16},
            "halves every size",
        ),
    ],
)
def test_networks_that_do_not_suit_the_data(model, data, message):
    with pytest.raises(ConfigError, match=message):
        translator_of(pipeline_of(model, **data))
