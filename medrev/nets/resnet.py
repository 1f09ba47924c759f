"""The residual generator of CycleGAN.

References:
    Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*
    (arXiv:1703.10593), appendix; Johnson et al., *Perceptual Losses* (arXiv:1603.08155).
"""

from torch import Tensor, nn

from medrev.config.schema import ResNetModel
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.initialise import initialise
from medrev.nets.lift import lift, lift_reach, project, project_reach, widths_of
from medrev.nets.translator import OneWay


class ResidualBlock(nn.Module):
    """x + NN(x), with the sub-network of RevGAN's coupling on all channels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return x + NN(x)."""
        y: Tensor = x + self.net(x)
        return y


class ResNet(OneWay):
    """Lift to a coarser grid, residual blocks there, projection back.

    In 2D with ``depth: 9, final_activation: tanh, downsampling_padding: zeros`` it is CycleGAN's
    generator (whose ``width`` is 64; RevGAN's tables compare with 32).

    Raises:
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> import torch
        >>> net = ResNet(ResNetModel(width=4, depth=1), in_channels=1, out_channels=2)
        >>> net(torch.zeros(1, 1, 8, 12, 8)).shape
        torch.Size([1, 2, 8, 12, 8])
    """

    def __init__(self, model: ResNetModel, *, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.spatial_dims = model.spatial_dims
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**model.downsamplings
        self.norm_depends_on_window = model.norm == "instance"
        channels = widths_of(model)[-1]

        def block() -> ResidualBlock:
            net = SubNetwork(
                model.spatial_dims,
                channels,
                channels,
                hidden=channels,
                norm=model.norm,
                padding=model.padding,
                final_norm=True,
                zero_init=False,
            )
            return ResidualBlock(net)

        self.lift = lift(model, in_channels)
        self.blocks = nn.Sequential(*[block() for _ in range(model.depth)])
        self.project = project(model, out_channels)
        blocks = [reach.convolution(3)] * (2 * model.depth)
        layers = [*lift_reach(model), *blocks, *project_reach(model)]
        self.radius = reach.radius(layers, self.size_multiple)
        initialise(self)

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *spatial)."""
        y: Tensor = self.project(self.blocks(self.lift(x)))
        return y
