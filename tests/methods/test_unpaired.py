import pytest
import torch

from medrev.config.schema import Unpaired
from medrev.errors import ConfigError
from medrev.methods.unpaired import UnpairedTranslatorPhase


def test_equation_13_without_adversary(scaling):
    config = Unpaired(cycle_weight=10, identity_weight=0.5, adversarial_weight=0)
    x, y = torch.full((1, 6, 4, 4, 4), 2.0), torch.full((1, 6, 4, 4, 4), 5.0)
    cache: dict[str, torch.Tensor] = {}
    loss, logs = UnpairedTranslatorPhase(scaling, config)({"x": x, "y": y}, cache)
    cycles = abs(1.5 * 2 - 2) + abs(1.5 * 5 - 5)
    identities = abs(3 * 5 - 5) + abs(0.5 * 2 - 2)
    assert loss.item() == pytest.approx(10 * cycles + 5 * identities)
    assert set(logs) == {"cycle_x", "cycle_y", "identity_x", "identity_y"}
    assert torch.equal(cache["fake_y"], 3 * x)
    assert torch.equal(cache["fake_x"], 0.5 * y)


@pytest.mark.parametrize("depth", [0, 1], ids=["non-reversible twin", "reversible"])
def test_both_directions_learn_from_cycles(method, batch, depth):
    unpaired = method({"kind": "unpaired", "cycle_weight": 10}, depth=depth)
    phases = unpaired.phases
    optimizers = [torch.optim.Adam(p.parameters(), 5e-3) for p in phases.values()]
    cycles = []
    for _ in range(12):
        cache: dict[str, torch.Tensor] = {}
        for phase, optimizer in zip(phases.values(), optimizers, strict=True):
            optimizer.zero_grad()
            loss, logs = phase(batch(), cache)
            loss.backward()
            optimizer.step()
            if "cycle_x" in logs:
                cycles.append((logs["cycle_x"] + logs["cycle_y"]).item())
    assert cycles[-1] < cycles[0]


def test_pairs_and_equal_grids_are_asked_for_where_needed(method):
    with pytest.raises(ConfigError, match="conditional must be false"):
        method({"kind": "unpaired", "discriminator": {"conditional": True}})
    with pytest.raises(ConfigError, match="identity_weight needs input and output on one grid"):
        method({"kind": "unpaired", "identity_weight": 0.5})
    method({"kind": "unpaired", "identity_weight": 0.5}, grid="target")
