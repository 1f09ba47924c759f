"""Consensus optimisation, against finite differences of the penalty."""

import pytest
import torch
from torch import nn

from medrev.config.schema import Paired, Unpaired
from medrev.errors import ConfigError
from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.consensus import ConsensusDiscriminatorPhase, ConsensusTranslatorPhase
from medrev.methods.paired import PairedTranslatorPhase
from medrev.methods.unpaired import UnpairedTranslatorPhase
from medrev.reversible import ReversibleSequence

WEIGHT = 0.7
RESNET = {"kind": "resnet", "width": 2, "depth": 1}


def game(scaling, kind):
    """A translator of two numbers and discriminators of one voxel, in float64."""
    torch.manual_seed(0)
    judges = [
        nn.Sequential(nn.Conv3d(6, 2, 1), nn.Tanh(), nn.Conv3d(2, 1, 1)).double() for _ in "xy"
    ]
    loss = {"adversarial_loss": "log"}
    paired = kind == "paired"
    config = Paired(pixel_weight=2, pixel_loss="l2", **loss) if paired else Unpaired(**loss)
    adversary = DiscriminatorPhase(*judges, config)
    phase = {"paired": PairedTranslatorPhase, "unpaired": UnpairedTranslatorPhase}[kind]
    inner = phase(scaling.double(), config, adversary)
    shape = (2, 6, 2, 2, 2)
    batch = {name: torch.randn(shape, dtype=torch.float64) for name in "xy"}
    return inner, adversary, batch | {"mask": torch.ones(2, 1, 2, 2, 2)}


def penalty(inner, adversary, batch):
    """R by plain autograd: each player's own gradient of its own loss."""
    cache: dict[str, torch.Tensor] = {}
    loss, _ = inner(batch, cache)
    mine = torch.autograd.grad(loss, list(inner.parameters()))
    told, _ = adversary(batch, cache)
    theirs = torch.autograd.grad(told, list(adversary.parameters()))
    return 0.5 * sum(float(g.square().sum()) for g in (*mine, *theirs))


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_both_players_get_the_gradient_of_the_penalty(scaling, kind):
    inner, adversary, batch = game(scaling, kind)
    plain: dict[str, torch.Tensor] = {}
    before = [
        torch.autograd.grad(phase(batch, plain)[0], list(phase.parameters()))
        for phase in (inner, adversary)
    ]
    cache: dict[str, torch.Tensor] = {}
    phases = (
        ConsensusTranslatorPhase(inner, adversary, WEIGHT),
        ConsensusDiscriminatorPhase(adversary),
    )
    logs = {}
    for number, phase in enumerate(phases):
        loss, found = phase(batch, cache)
        loss.backward()
        logs |= found
        if number == 0:
            assert all(p.grad is None and p.requires_grad for p in adversary.parameters())
    assert logs["consensus"].item() == pytest.approx(penalty(inner, adversary, batch))
    step = 1e-6
    for phase, without in zip((inner, adversary), before, strict=True):
        for p, gradient in zip(phase.parameters(), without, strict=True):
            flat, first = p.data.view(-1), float(p.data.view(-1)[0])
            values = []
            for sign in (1, -1):
                flat[0] = first + sign * step
                values.append(penalty(inner, adversary, batch))
            flat[0] = first
            slope = WEIGHT * (values[0] - values[1]) / (2 * step)
            found = float((p.grad - gradient).view(-1)[0])
            assert found == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_pipeline_builds_it_and_its_pools_are_remembered(method, batch):
    config = {"kind": "unpaired", "consensus_weight": 0.1, "pool_size": 2}
    built = method(dict(config), grid="target", model=RESNET)
    for _ in range(3):
        cache: dict[str, torch.Tensor] = {}
        for phase in built.phases.values():
            phase(batch(1), cache)[0].backward()
    for phase in built.phases.values():
        assert all(torch.isfinite(p.grad).all() for p in phase.parameters())
    again = method(dict(config), grid="target", model=RESNET)
    again.load_memory(built.memory())
    assert len(again.phases["discriminator"].inner.pools["x"]) == 2


@pytest.mark.parametrize(
    "model", [{"width": 4, "depth": 2}, {"kind": "involution"}], ids=["revgan", "involution"]
)
def test_a_reversible_core_keeps_its_graph_for_it(method, batch, model):
    built = method({"kind": "paired", "consensus_weight": 1}, grid="target", model=model)
    given = batch(1)
    translator, discriminator = built.phases.values()
    sequences = [m for m in translator.modules() if isinstance(m, ReversibleSequence)]
    assert sequences
    assert all(each.keep_graph for each in sequences)
    loss, logs = translator(given, {})
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in translator.parameters())
    for each in sequences:  # the constant-memory gradients are the same
        each.keep_graph = False
    wanted = penalty(translator.inner, discriminator.inner, given)
    assert logs["consensus"].item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"width": 4, "depth": 1, "core": "ode"}, "got model.core ode"),
        ({"kind": "involution", "exact": True}, "got model.exact true"),
    ],
)
def test_cores_without_second_derivatives_are_refused(method, model, words):
    with pytest.raises(ConfigError, match=f"takes second derivatives.*{words}"):
        method({"kind": "paired", "consensus_weight": 1}, grid="target", model=model)


def test_it_needs_an_adversary(method):
    config = {"kind": "paired", "consensus_weight": 1, "adversarial_weight": 0}
    with pytest.raises(ConfigError, match="consensus_weight needs an adversary"):
        method(config, grid="target", model=RESNET)
