"""The residual generator of CycleGAN.

References:
    Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*
    (arXiv:1703.10593), appendix; Johnson et al., *Perceptual Losses* (arXiv:1603.08155).
"""

from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.checks import check_choice
from medrev.nets.initialise import initialise
from medrev.nets.lift import lift, lift_reach, project, project_reach, widths_of
from medrev.nets.translator import OneWay


class ResidualBlock(nn.Module):
    """x + NN(x), with the sub-network of RevGAN's coupling on all channels.

    Args:
        net: NN, from (B, C, *spatial) to the same shape.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return x + NN(x)."""
        y: Tensor = x + self.net(x)
        return y


class ResNet(OneWay):
    """Lift to a coarser grid, residual blocks there, projection back.

    In 2D with ``depth=9, final_activation="tanh", downsampling_padding="zeros"`` it is CycleGAN's
    generator (whose ``width`` is 64; RevGAN's tables compare with 32).

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        width: Channels K of the first layer; the blocks have K · 2^downsamplings.
        depth: Number R of residual blocks.
        downsamplings: Stride-2 layers at the beginning, and stride-½ layers at the end.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        downsampling_padding: The same for the down-sampling convolutions; None: as ``padding``.
        downsampling: ``"strided"`` or ``"subpixel"``.
        upsampling: ``"transposed"``, ``"subpixel"``, ``"nearest"`` or ``"trilinear"``.
        lift_kernel: Kernel of the first convolution, odd.
        project_kernel: Kernel of the last convolution, odd.
        final_activation: ``"none"`` or ``"tanh"``.

    Raises:
        ConfigError: If an option has a value that is not listed.
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> import torch
        >>> net = ResNet(in_channels=1, out_channels=2, spatial_dims=3, width=4, depth=1)
        >>> net(torch.zeros(1, 1, 8, 12, 8)).shape
        torch.Size([1, 2, 8, 12, 8])
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        spatial_dims: int = 3,
        width: int = 32,
        depth: int = 6,
        downsamplings: int = 2,
        norm: str = "instance",
        padding: str = "reflect",
        downsampling_padding: str | None = None,
        downsampling: str = "strided",
        upsampling: str = "transposed",
        lift_kernel: int = 7,
        project_kernel: int = 7,
        final_activation: str = "none",
    ) -> None:
        super().__init__()
        check_choice("spatial_dims", spatial_dims, (2, 3))
        if depth < 0:
            raise ConfigError(f"depth must be 0 or more, got {depth}")
        self.spatial_dims = spatial_dims
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**downsamplings
        self.norm_depends_on_window = norm == "instance"
        widths = widths_of(width, downsamplings)
        self.lift = lift(
            spatial_dims,
            in_channels,
            widths,
            lift_kernel,
            norm=norm,
            padding=padding,
            downsampling=downsampling,
            downsampling_padding=downsampling_padding,
        )
        self.blocks = nn.Sequential(
            *[
                ResidualBlock(
                    SubNetwork(
                        spatial_dims,
                        widths[-1],
                        widths[-1],
                        hidden=widths[-1],
                        norm=norm,
                        padding=padding,
                        final_norm=True,
                        zero_init=False,
                    )
                )
                for _ in range(depth)
            ]
        )
        self.project = project(
            spatial_dims,
            out_channels,
            widths,
            project_kernel,
            norm=norm,
            padding=padding,
            upsampling=upsampling,
            final_activation=final_activation,
        )
        self.radius = reach.radius(
            [
                *lift_reach(lift_kernel, downsamplings, downsampling),
                *[reach.convolution(3)] * (2 * depth),
                *project_reach(project_kernel, downsamplings, upsampling),
            ],
            self.size_multiple,
        )
        initialise(self)

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *spatial)."""
        y: Tensor = self.project(self.blocks(self.lift(x)))
        return y
