"""Table 5 and Figure 6b of the RevGAN paper: memory of a training step by depth.

"Model" is weights, their gradients and Adam's two moments of all networks, the discriminators
included; "activations" is what forward and backward passes take beyond that at their peak. The
paper read the use of a whole GPU, so its "model" contains the CUDA context too.

References:
    van der Ouderaa and Worrall, *Reversible GANs for Memory-efficient Image-to-Image Translation*,
    CVPR 2019 (arXiv:1902.02729), section 5.4.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from medrev.config.schema import Discriminator, Unpaired
from medrev.methods import Cache, Method, Phase
from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.unpaired import UnpairedTranslatorPhase
from medrev.nets import PatchGAN, RevGAN
from medrev.progress import Bar
from reversible_benchmark.cyclegan import CHANNELS, cyclegan, revgan_2d
from reversible_benchmark.memory import measure_memory
from reversible_benchmark.variants import VARIANTS

__all__ = ["DEPTHS", "PAPER", "Footprint", "Setup", "measure_footprints", "setups", "to_csv"]

#: Depths of Table 5.
DEPTHS = (6, 9, 12, 18, 30)
#: MiB of the paper's Table 5 by network and depth: model, activations.
PAPER = {
    "cyclegan": dict(
        zip(DEPTHS, [(434.3, 752.0), (482.3, 949.0), (530.3, 1148.1), (626.3, 1543.9),
                     (818.7, 2335.8)], strict=True)
    ),
    "revgan": dict(
        zip(DEPTHS, [(374.4, 646.1), (385.4, 646.1), (398.5, 646.1), (423.4, 646.1),
                     (626.3, 646.1)], strict=True)
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """A network whose footprint is measured.

    Attributes:
        name: ``"cyclegan"``, ``"revgan"``, ``"revgan-64"`` or ``"revgan-64-plain"``.
        title: Its name in tables and figures.
        build: Makes the translator of a depth.
        size: Edge of its images in pixels.
        judge_width: Channels of the discriminators' first layer.
    """

    name: str
    title: str
    build: Callable[[int], RevGAN]
    size: int
    judge_width: int = 64

    def units(self, depth: int) -> int:
        """Units of progress: about proportional to the time of a step."""
        times = {"cyclegan": 2, "revgan": 4, "revgan-64": 1, "revgan-64-plain": 1}
        return times[self.name] * (depth + 4)


def setups(size: int = 256) -> tuple[tuple[Setup, Setup], tuple[Setup, Setup]]:
    """Return the two networks of Table 5 and the two of Figure 6b.

    Table 5: K = 32 and K = 56, both with 3.9 million parameters at depth 6, on Maps images of 256².
    Figure 6b: K = 64 on Cityscapes images of 128², and beside it the same network under ordinary
    autograd.

    Args:
        size: Edge of the images of Table 5; those of Figure 6b have half of it.
    """
    plain = VARIANTS["plain-fast"]
    return (
        Setup("cyclegan", "CycleGAN, K = 32", partial(cyclegan, 32), size),
        Setup("revgan", "unpaired RevGAN, K = 56", partial(revgan_2d, 56), size),
    ), (
        Setup("revgan-64", "RevGAN, K = 64", partial(revgan_2d, 64), size // 2),
        Setup(
            "revgan-64-plain", "RevGAN, K = 64, plain autograd",
            lambda depth: plain.of(revgan_2d(64, depth)), size // 2,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory of one training step.

    Attributes:
        setup: What was trained.
        depth: Its depth.
        parameters: Number of parameters of the generators, both directions.
        model: Bytes of weights, gradients and Adam's moments, discriminators included.
        activations: Bytes that the step takes beyond that at its peak.
    """

    setup: Setup
    depth: int
    parameters: int
    model: int
    activations: int


def measure_footprints(
    setups: Sequence[Setup], depths: Sequence[int], device: torch.device, bar: Bar
) -> list[Footprint]:
    """Measure each network at each depth.

    Args:
        setups: Networks.
        depths: Numbers of blocks.
        device: Where to run.
        bar: Advanced by `Setup.units` for each.
    """
    found = []
    for setup in setups:
        for depth in depths:
            found.append(_footprint(setup, depth, device))
            bar.advance(setup.units(depth), text=f"{setup.title}, depth {depth}")
    return found


def to_csv(footprints: Sequence[Footprint]) -> str:
    """One row per network and depth, with the paper's figures where it has any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["network", "image", "depth", "parameters", "model_bytes", "activation_bytes",
         "paper_model_mib", "paper_activation_mib"]
    )  # fmt: skip
    for f in footprints:
        paper = PAPER.get(f.setup.name, {}).get(f.depth, ("", ""))
        writer.writerow(
            [f.setup.name, f.setup.size, f.depth, f.parameters, f.model, f.activations, *paper]
        )
    return text.getvalue()


def _footprint(setup: Setup, depth: int, device: torch.device) -> Footprint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        translator = setup.build(depth).to(device).train()
        method = _unpaired(translator, setup.judge_width).to(device).train()
        shape = (1, CHANNELS, setup.size, setup.size)
        batch = {name: torch.randn(shape).to(device) for name in "xy"}
    cache = Cache()
    peaks = [
        measure_memory(
            partial(_gradients, phase, batch, cache), list(phase.parameters()), device
        ).peak_without_gradients
        for phase in method.phases.values()
    ]
    weights = sum(p.nbytes for phase in method.phases.values() for p in phase.parameters())
    return Footprint(
        setup=setup,
        depth=depth,
        parameters=sum(p.numel() for p in translator.parameters()),
        model=4 * weights,
        activations=max(peaks),
    )


def _unpaired(translator: RevGAN, judge_width: int) -> Method:
    config = Unpaired(discriminator=Discriminator(width=judge_width, strided_layers=3))
    judges = [PatchGAN(config.discriminator, in_channels=CHANNELS, spatial_dims=2) for _ in "xy"]
    adversary = DiscriminatorPhase(*judges, config)
    generator = UnpairedTranslatorPhase(translator, config, adversary)
    return Method(translator, {"translator": generator, "discriminator": adversary})


def _gradients(
    phase: Phase, batch: dict[str, Tensor], cache: Cache, mark: Callable[[], None]
) -> None:
    """Run a phase forward and backward, without the optimiser's step."""
    loss, _ = phase(batch, cache)
    mark()
    loss.backward()
