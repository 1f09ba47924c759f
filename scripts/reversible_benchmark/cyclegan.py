"""CycleGAN's pair of ResNet generators: the paper's baseline in Table 5.

References:
    Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*
    (arXiv:1703.10593), appendix 7.2; van der Ouderaa and Worrall (arXiv:1902.02729), section 4.1.
"""

from typing import Any

from torch import Tensor, nn

from medrev.config.schema import RevGANModel
from medrev.nets import RevGAN, initialise
from medrev.reversible import Conv, InstanceNorm
from reversible_benchmark.trial import with_core

__all__ = ["cyclegan", "revgan_2d"]

CHANNELS = 3


def revgan_2d(width: int, depth: int) -> RevGAN:
    """Build the 2D RevGAN of the paper: conv7, two strided convolutions, core, and back.

    Args:
        width: Channels K of the first layer; the core has 4 K.
        depth: Reversible blocks.
    """
    model = RevGANModel(
        spatial_dims=2,
        width=width,
        depth=depth,
        downsamplings=2,
        lift_kernel=7,
        project_kernel=7,
        final_activation="tanh",
        subnet_final_norm=True,
        zero_init=False,
    )
    return RevGAN(model, in_channels=CHANNELS, out_channels=CHANNELS)


def cyclegan(width: int, depth: int) -> RevGAN:
    """Build two ResNet generators, X → Y and Y → X: RevGAN's ends around separate residual blocks.

    Args:
        width: Channels K of the first layer; the residual blocks have 4 K.
        depth: Residual blocks in each of the two.
    """
    net = with_core(revgan_2d(width, 0), _TwoTrunks(4 * width, depth))
    initialise(net)
    return net


class _TwoTrunks(nn.Module):
    """Residual blocks for each direction where RevGAN has one core for both."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.there = nn.Sequential(*(_ResidualBlock(channels) for _ in range(depth)))
        self.back = nn.Sequential(*(_ResidualBlock(channels) for _ in range(depth)))

    def forward(self, x: Any) -> Any:
        """Run the blocks of X → Y."""
        return self.there(x)

    def inverse(self, y: Any) -> Any:
        """Run the blocks of Y → X (which undo nothing)."""
        return self.back(y)


class _ResidualBlock(nn.Module):
    """x + (pad, conv3, norm, ReLU, pad, conv3, norm)(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv(2, channels, channels, 3, padding_mode="reflect"),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            Conv(2, channels, channels, 3, padding_mode="reflect"),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to ``x``, shape (B, C, I, J)."""
        y: Tensor = x + self.layers(x)
        return y
