"""One network for both directions: whose turn it is, what is judged, what is remembered."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medrev.config.schema import SelfInverse
from medrev.errors import ConfigError
from medrev.methods.self_inverse import SelfInverseTranslatorPhase, SharedDiscriminatorPhase

UNET = {"kind": "self_inverse_unet", "width": 2, "levels": 2, "norm": "instance"}
INVOLUTION = {"kind": "involution", "width": 2, "depth": 1, "downsamplings": 1}


def values(x: float, y: float) -> dict[str, torch.Tensor]:
    full = lambda value: torch.full((1, 6, 4, 4, 4), value)  # noqa: E731
    return {"x": full(x), "y": full(y), "mask": torch.ones(1, 1, 4, 4, 4)}


def judge(conditional: bool = True, pool_size: int = 0) -> SharedDiscriminatorPhase:
    torch.manual_seed(0)
    config = SelfInverse(
        adversarial_loss="log", pool_size=pool_size, discriminator={"conditional": conditional}
    )
    return SharedDiscriminatorPhase(nn.Conv3d(12 if conditional else 6, 1, 1), config)


def test_the_directions_take_turns(scaling):
    """f(u) = 3u: |3·2 − 5| = 1, then |3·5 − 2| = 13, and again."""
    phase = SelfInverseTranslatorPhase(scaling, SelfInverse(adversarial_weight=0))
    losses = [phase(values(2.0, 5.0), {})[0].item() for _ in range(4)]
    assert losses == pytest.approx([100, 1300, 100, 1300])


@pytest.mark.parametrize("conditional", [True, False])
def test_one_discriminator_judges_both_domains(scaling, conditional):
    adversary = judge(conditional)
    config = SelfInverse(adversarial_weight=2)
    phase = SelfInverseTranslatorPhase(scaling, config, adversary)
    batch = values(2.0, 5.0)
    for given, target in ((batch["x"], batch["y"]), (batch["y"], batch["x"])):
        cache: dict[str, torch.Tensor] = {}
        loss, logs = phase(batch, cache)
        fake = 3 * given
        seen = [torch.cat([given, s], 1) if conditional else s for s in (target, fake)]
        real_score, fake_score = (adversary.discriminator(s) for s in seen)
        pixel = (fake - target).abs().mean()
        fool = F.softplus(-fake_score).mean()
        assert logs["pixel"].item() == pytest.approx(pixel.item())
        assert loss.item() == pytest.approx((100 * pixel + 2 * fool).item())
        told = 0.5 * (F.softplus(-real_score).mean() + F.softplus(fake_score).mean())
        assert adversary(batch, cache)[0].item() == pytest.approx(told.item())


def test_voxels_outside_of_the_mask_do_not_count(scaling):
    phase = SelfInverseTranslatorPhase(scaling, SelfInverse(adversarial_weight=0, masked=True))
    batch = values(2.0, 5.0)
    batch["mask"][..., 2:] = 0
    batch["y"][..., 2:] = 99
    assert phase(batch, {})[0].item() == pytest.approx(100)


@pytest.mark.parametrize("model", [UNET, INVOLUTION], ids=lambda model: model["kind"])
def test_phases_optimise_their_own_parameters_only(method, batch, model):
    built = method({"kind": "self_inverse"}, grid="target", model=model)
    translator, discriminator = built.phases.values()
    cache: dict[str, torch.Tensor] = {}
    translator(batch(1), cache)[0].backward()
    assert all(p.grad is not None for p in translator.parameters())
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())
    before = [p.grad.clone() for p in translator.parameters()]
    discriminator(batch(1), cache)[0].backward()
    assert all(p.grad is not None for p in discriminator.parameters())
    after = [p.grad for p in translator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert discriminator.discriminator.layers[0].in_channels == 12


def test_turn_and_pool_are_remembered(method, batch):
    config = {"kind": "self_inverse", "pool_size": 2}
    first = method(dict(config), grid="target", model=UNET)
    for _ in range(3):
        cache: dict[str, torch.Tensor] = {}
        for phase in first.phases.values():
            phase(batch(1), cache)
    second = method(dict(config), grid="target", model=UNET)
    second.load_memory(first.memory())
    assert second.phases["translator"].backwards
    for _ in range(4):
        results = []
        for built in (first, second):
            cache = {}
            results.append([phase(batch(1), cache)[0] for phase in built.phases.values()])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("model", [UNET, INVOLUTION], ids=lambda model: model["kind"])
def test_it_learns_both_directions(method, model):
    """y = −x is its own inverse: f can learn it."""
    built = method(
        {"kind": "self_inverse", "adversarial_weight": 0, "pixel_weight": 1},
        grid="target",
        model=model | {"width": 8},
    )
    phase = built.phases["translator"]
    optimizer = torch.optim.Adam(phase.parameters(), 5e-3)
    torch.manual_seed(0)
    x = F.interpolate(torch.randn(1, 6, 4, 4, 4), scale_factor=3.0, mode="trilinear")
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        loss, _ = phase({"x": x, "y": -x}, {})
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert sum(errors[-2:]) < 0.8 * sum(errors[:2])


@pytest.mark.parametrize("kind", ["revgan", "resnet", "unet"])
def test_a_network_that_is_not_its_own_inverse_is_refused(method, kind):
    with pytest.raises(ConfigError, match=rf"self_inverse_unet or involution, got {kind}"):
        method({"kind": "self_inverse"}, grid="target", model={"kind": kind})


def test_something_must_be_minimised(method):
    nothing = {"kind": "self_inverse", "adversarial_weight": 0, "pixel_weight": 0}
    with pytest.raises(ConfigError, match="one of pixel_weight, adversarial_weight must be above"):
        method(nothing, grid="target", model=UNET)


def test_each_pair_is_learnt_in_both_directions_one_after_the_other():
    """Figure 4: (x, y) at step j and (y, x) of the same pair at step j + 1."""
    assert SelfInverse().turns == 2
    assert SelfInverse(doubled=False).turns == 1
