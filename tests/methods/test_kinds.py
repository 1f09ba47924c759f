"""Every kind of model learns by every method that suits it, in 2D and in 3D."""

import pytest
import torch
from pydantic import TypeAdapter

from medrev.config.schema import (
    ConditionalDiscriminator,
    Discriminator,
    Model,
    Paired,
    SelfInverse,
    Unpaired,
)
from medrev.methods import Phase
from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.paired import PairedTranslatorPhase
from medrev.methods.self_inverse import SelfInverseTranslatorPhase, SharedDiscriminatorPhase
from medrev.methods.unpaired import UnpairedTranslatorPhase
from medrev.nets import PatchGAN, Translator, build_translator

MODELS = {
    "revgan": {"width": 4, "depth": 1, "downsamplings": 1},
    "revgan, sub-pixel": {
        "width": 4,
        "depth": 1,
        "downsamplings": 1,
        "downsampling": "subpixel",
        "upsampling": "subpixel",
    },
    "revgan, nearest": {"width": 4, "depth": 1, "downsamplings": 1, "upsampling": "nearest"},
    "resnet": {"kind": "resnet", "width": 2, "depth": 1},
    "unet": {"kind": "unet", "width": 2, "levels": 2, "dropout": 0.5},
    "self-inverse U-Net": {"kind": "self_inverse_unet", "width": 2, "levels": 2},
    "involution": {"kind": "involution", "width": 2, "depth": 1},
    "exact involution": {"kind": "involution", "width": 2, "depth": 1, "exact": True},
}
SMALL = {"width": 2, "strided_layers": 1}
PAIRS = Discriminator(conditional=True, norm="batch", **SMALL)
METHODS = {
    "pix2pix": Paired(discriminator=PAIRS),
    "cyclegan": Unpaired(
        adversarial_loss="least_squares",
        pool_size=2,
        identity_weight=0.5,
        discriminator=Discriminator(**SMALL),
    ),
    "cyclegan, log loss, no pool": Unpaired(pool_size=0, discriminator=Discriminator(**SMALL)),
    "one2one": SelfInverse(discriminator=ConditionalDiscriminator(**SMALL)),
}


def phases_of(
    config: Paired | Unpaired | SelfInverse, net: Translator, channels: int, dims: int
) -> list[Phase]:
    judged = config.discriminator
    judges = [
        PatchGAN(judged, in_channels=channels * (1 + judged.conditional), spatial_dims=dims)
        for _ in "xy"
    ]
    if isinstance(config, SelfInverse):
        shared = SharedDiscriminatorPhase(judges[0], config)
        return [SelfInverseTranslatorPhase(net, config, shared), shared]
    both = DiscriminatorPhase(*judges, config)
    kind = PairedTranslatorPhase if isinstance(config, Paired) else UnpairedTranslatorPhase
    return [kind(net, config, both), both]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_two_steps_change_every_network(model: str, method: str, dims: int) -> None:
    torch.manual_seed(0)
    section = TypeAdapter(Model).validate_python(MODELS[model] | {"spatial_dims": dims})
    if method == "one2one" and not section.self_inverse:
        pytest.skip("not its own inverse")
    channels = 3 if dims == 2 else 1
    net = build_translator(section, in_channels=channels, out_channels=channels)
    phases = phases_of(METHODS[method], net, channels, dims)
    optimizers = [torch.optim.Adam(phase.parameters(), 1e-2) for phase in phases]
    before = [torch.cat([p.detach().flatten() for p in phase.parameters()]) for phase in phases]
    shape = (2, channels, *[12] * dims)
    for _ in range(2):
        batch = {"x": torch.randn(shape), "y": torch.randn(shape)}
        cache: dict[str, torch.Tensor] = {}
        for phase, optimizer in zip(phases, optimizers, strict=True):
            optimizer.zero_grad()
            loss, _ = phase(batch, cache)
            loss.backward()
            optimizer.step()
            assert torch.isfinite(loss)
    for phase, old in zip(phases, before, strict=True):
        new = torch.cat([p.detach().flatten() for p in phase.parameters()])
        assert torch.isfinite(new).all()
        assert (new != old).float().mean() > 0.5
