import pytest
import torch

from medrev.export import PhysicalTranslator
from medrev.prediction import translate

OPTIONS = [
    {},
    {"norm": "batch", "downsamplings": 1},
    {"data": {"input_grid": "target", "upsampling": "cubic"}},
    {"data": {"input_grid": "target"}, "downsamplings": 2},
    {"data": {"degradation": {"factor": 3}, "patches": {"size": 24}}, "coupling": "affine"},
    {"kind": "posterior", "couplings": 1, "flow_hidden": 4, "features": 4},
]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_computes_what_the_model_does(saved, options, inverse):
    model = saved(**options)
    network = PhysicalTranslator.of(model, inverse=inverse)
    sizes = [network.least + network.multiple * step for step in (0, 1, 2)]
    volume = 1e-3 * torch.randn(6, *sizes)
    expected = translate(model, volume / model.scale, inverse=inverse) * model.scale
    difference = (network(volume[None])[0] - expected).abs().max()
    assert difference <= 1e-3 * expected.std()


def test_it_is_made_again_from_plain_values_and_a_state_dict(saved):
    model = saved(norm="batch")
    network = PhysicalTranslator.of(model)
    again = PhysicalTranslator(**PhysicalTranslator.arguments(model))
    again.load_state_dict(network.state_dict())
    volume = 1e-3 * torch.randn(1, 6, 4, 5, 6)
    assert torch.equal(again.eval()(volume), network(volume))
    assert not network.training
