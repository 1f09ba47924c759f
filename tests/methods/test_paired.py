import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medrev.config.schema import Paired, ResNetModel, RevGANModel
from medrev.errors import ConfigError
from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.paired import PairedTranslatorPhase
from medrev.nets import Pair, ResNet, RevGAN
from medrev.training.optim import build_optimizer


def values(x: float, y: float) -> dict[str, torch.Tensor]:
    full = lambda value: torch.full((1, 6, 4, 4, 4), value)  # noqa: E731
    return {"x": full(x), "y": full(y), "mask": torch.ones(1, 1, 4, 4, 4)}


@pytest.mark.parametrize(
    ("kind", "forward", "inverse"), [("l1", 3 * 2 - 5, 2 - 2.5), ("l2", 1, 0.5)]
)
def test_equation_12_without_adversary(scaling, kind, forward, inverse):
    config = Paired(pixel_loss=kind, pixel_weight=100, inverse_weight=0.5, adversarial_weight=0)
    loss, logs = PairedTranslatorPhase(scaling, config)(values(2.0, 5.0), {})
    power = 1 if kind == "l1" else 2
    l_f, l_g = abs(forward) ** power, abs(2 - 2.5) ** power
    assert loss.item() == pytest.approx(100 * (l_f + 0.5 * l_g))
    assert {name: value.item() for name, value in logs.items()} == pytest.approx(
        {"pixel_y": l_f, "pixel_x": l_g}
    )


def test_directions_have_losses_of_their_own(scaling):
    config = Paired(
        pixel_loss="l2", inverse_loss="l1", pixel_weight=1, inverse_weight=0.1, adversarial_weight=0
    )
    loss, logs = PairedTranslatorPhase(scaling, config)(values(2.0, 10.0), {})  # F = 6, G = 5
    assert {name: value.item() for name, value in logs.items()} == {"pixel_y": 16, "pixel_x": 3}
    assert loss.item() == pytest.approx(16 + 0.3)


def test_equation_12_with_adversary(scaling):
    judges = nn.Conv3d(6, 1, 1), nn.Conv3d(6, 1, 1)
    config = Paired(adversarial_weight=2, adversarial_loss="log")
    phase = DiscriminatorPhase(*judges, config)
    batch = values(2.0, 5.0)
    loss, logs = PairedTranslatorPhase(scaling, config, phase)(batch, {})
    fool = [
        F.softplus(-judge(fake)).mean().item()
        for judge, fake in zip(judges, (0.5 * batch["y"], 3 * batch["x"]), strict=True)
    ]
    assert logs["adversarial_x"].item() == pytest.approx(fool[0])
    assert logs["adversarial_y"].item() == pytest.approx(fool[1])
    assert loss.item() == pytest.approx(100 * (1 + 0.5) + 2 * sum(fool))


def test_cycle_loss_comes_on_top(scaling):
    config = Paired(adversarial_weight=0, pixel_weight=0, cycle_weight=10)
    loss, _ = PairedTranslatorPhase(scaling, config)(values(2.0, 5.0), {})
    assert loss.item() == pytest.approx(10 * (abs(1.5 * 2 - 2) + abs(1.5 * 5 - 5)))


def test_inverse_direction_that_nothing_asks_for_is_not_computed(scaling):
    config = Paired(adversarial_weight=0, inverse_weight=0)
    phase = PairedTranslatorPhase(scaling, config)
    loss, logs = phase(values(2.0, 5.0), {})
    loss.backward()
    assert set(logs) == {"pixel_y"}
    assert scaling.b.grad is None
    assert not phase.uses_all_parameters


@pytest.mark.parametrize("factor", [1, 2])
def test_masked_loss_sees_brain_only(method, batch, factor):
    masked = method(
        {"kind": "paired", "masked": True, "adversarial_weight": 0},
        factor=2,
        grid="low" if factor == 2 else "target",
    )
    before, _ = masked.phases["translator"](batch(factor), {})
    changed = batch(factor)
    outside = changed["mask"].expand_as(changed["y"]) == 0
    cache: dict[str, torch.Tensor] = {}
    masked.phases["translator"](changed, cache)
    # The target outside of the brain does not count in the forward direction.
    moved = {**changed, "y": torch.where(outside, changed["y"] + 9, changed["y"])}
    _, first = masked.phases["translator"](changed, {})
    _, second = masked.phases["translator"](moved, {})
    assert first["pixel_y"] == second["pixel_y"]
    full = method(
        {"kind": "paired", "adversarial_weight": 0},
        factor=2,
        grid="low" if factor == 2 else "target",
    )
    _, third = full.phases["translator"](moved, {})
    assert third["pixel_y"] > first["pixel_y"] + 1
    assert torch.isfinite(before)


def test_the_inverse_can_be_trained_on_a_share_of_each_batch(scaling):
    config = Paired(inverse_share=0.3, adversarial_weight=0)
    phase = PairedTranslatorPhase(scaling, config)
    batch = {"x": torch.randn(4, 6, 4, 4, 4), "y": torch.randn(4, 6, 4, 4, 4)}
    _, logs = phase(batch | {"mask": torch.ones(4, 1, 4, 4, 4)}, {})
    first = phase.translator.inverse(batch["y"][:2])
    torch.testing.assert_close(logs["pixel_x"], (first - batch["x"][:2]).abs().mean())


@pytest.mark.parametrize("other", [{"adversarial_weight": 1}, {"cycle_weight": 1}])
def test_a_share_excludes_terms_that_need_every_sample(method, other):
    section = {"kind": "paired", "inverse_share": 0.5, "adversarial_weight": 0} | other
    with pytest.raises(ConfigError, match="inverse_share below 1 needs"):
        method(section)


def small_revgan() -> RevGAN:
    torch.manual_seed(0)
    model = RevGANModel(width=4, depth=1, norm="none")
    return RevGAN(model, in_channels=6, out_channels=6, scale_factor=2)


def test_layers_that_only_the_inverse_has_learn_slower_by_the_weight_of_its_loss():
    """Adam's first step is the learning rate, whatever the size of the gradient."""
    net = small_revgan()
    phase = PairedTranslatorPhase(net, Paired(adversarial_weight=0, inverse_weight=0.1))
    optimizer = build_optimizer(phase.optimizer, phase.groups())
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["share"]
    batch = {
        "x": torch.randn(1, 6, 4, 4, 4),
        "y": torch.randn(1, 6, 8, 8, 8),
        "mask": torch.ones(1, 1, 8, 8, 8),
    }
    phase(batch, {})[0].backward()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer.step()
    moved = {n: float((p.detach() - before[n]).abs().max()) for n, p in net.named_parameters()}
    rate = phase.optimizer.lr
    assert moved["project_y.0.weight"] == pytest.approx(rate, rel=1e-3)
    assert moved["project_x.0.weight"] == pytest.approx(0.1 * rate, rel=1e-3)
    assert moved["lift_y.0.weight"] <= 0.1 * rate * 1.001


@pytest.mark.parametrize(
    "config",
    [
        Paired(adversarial_weight=0, inverse_weight=1),
        Paired(adversarial_weight=0, inverse_weight=0),
        Paired(adversarial_weight=0, inverse_weight=0.1, cycle_weight=1),
    ],
)
def test_otherwise_all_layers_learn_alike(config):
    phase = PairedTranslatorPhase(small_revgan(), config)
    ((parameters, share),) = phase.groups()
    assert share == 1
    assert len(parameters) == len(list(phase.parameters()))


def test_a_pair_of_networks_slows_the_one_from_y_to_x():
    model = ResNetModel(spatial_dims=2, width=4, depth=1)

    def net(a: int, b: int) -> ResNet:
        return ResNet(model, in_channels=a, out_channels=b)

    pair = Pair(net(1, 3), net(3, 1))
    phase = PairedTranslatorPhase(pair, Paired(adversarial_weight=0, inverse_weight=0.5))
    (_, one), (slower, share) = phase.groups()
    assert (one, share) == (1, 0.5)
    assert {id(p) for p in slower} == {id(p) for p in pair.net_x.parameters()}


@pytest.mark.parametrize("terms", [{"pixel_weight": 0, "cycle_weight": 10}, {"cycle_weight": 0}])
def test_with_a_mask_no_term_sees_what_lies_outside(scaling, terms):
    """Both directions and both cycles, worked out by hand on the half that is brain."""
    batch = values(2.0, 5.0)
    batch["mask"][:, :, :2] = 0
    outside = batch["mask"].expand_as(batch["x"]) == 0
    strange = {
        "x": torch.where(outside, 70.0, batch["x"]),
        "y": torch.where(outside, -90.0, batch["y"]),
        "mask": batch["mask"],
    }
    config = Paired(masked=True, adversarial_weight=0, **terms)
    _, logs = PairedTranslatorPhase(scaling, config)(strange, {})
    expected = {"pixel_y": 1.0, "pixel_x": 0.5}  # |3·2 − 5|, |0.5·5 − 2|
    if config.cycle_weight:
        expected |= {"cycle_x": 1.0, "cycle_y": 2.5}  # |1.5·2 − 2|, |1.5·5 − 5|
    found = {name: value.item() for name, value in logs.items()}
    assert found == pytest.approx({name: expected[name] for name in found})
    assert set(found) == set(expected)
