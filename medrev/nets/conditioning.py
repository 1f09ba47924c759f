"""What conditional flows are told: features of a condition, and a head for every coupling.

References:
    Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
    (arXiv:1907.02392), sections 3.3 and 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.nets.blocks import TRANSPOSED, normalisation
from medrev.reversible import Conv


@dataclass(frozen=True, kw_only=True)
class FeatureStage:
    """Convolutions of a `ConditioningNet` that share their width.

    Attributes:
        width: Output channels of each convolution.
        convolutions: How many.
        stride: Of the last one: 2 halves the size.
        dilation: Of all of them.
        upsample: The first is a transposed convolution to twice the size instead.
    """

    width: int
    convolutions: int = 2
    stride: int = 1
    dilation: int = 1
    upsample: bool = False


class ConditioningNet(nn.Sequential):
    """The conditioning network h: an ordinary convolutional network that makes features.

    3-convolutions with zero padding, each followed by ReLU, each stage by a normalisation. It needs
    no inverse and is trained together with the flow, or frozen.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the condition.
        stages: From the condition to the features.
        norm: ``"batch"``, ``"instance"`` or ``"none"``.

    Raises:
        ConfigError: If there is no stage.

    Example:
        >>> import torch
        >>> net = ConditioningNet(2, 1, [FeatureStage(width=16, stride=2), FeatureStage(width=32)])
        >>> net(torch.zeros(1, 1, 32, 32)).shape
        torch.Size([1, 32, 16, 16])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        stages: Sequence[FeatureStage],
        *,
        norm: str = "batch",
    ) -> None:
        if not stages:
            raise ConfigError("a conditioning network needs at least one stage, got none")
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in stages:
            for i in range(stage.convolutions):
                if stage.upsample and i == 0:
                    layers.append(
                        TRANSPOSED[spatial_dims](channels, stage.width, 4, stride=2, padding=1)
                    )
                else:
                    stride = stage.stride if i == stage.convolutions - 1 else 1
                    layers.append(
                        Conv(
                            spatial_dims,
                            channels,
                            stage.width,
                            3,
                            stride=stride,
                            dilation=stage.dilation,
                        )
                    )
                layers.append(nn.ReLU(inplace=True))
                channels = stage.width
            layers.append(normalisation(norm, spatial_dims, channels))
        super().__init__(*layers)
        self.out_channels = channels


def zhang_features(in_channels: int = 1, *, width: int = 64) -> ConditioningNet:
    """Build the network of Zhang et al., cut off before its second-to-last convolution.

    It makes 4 · ``width`` (256) feature maps at a quarter of the edge: (B, 1, 256, 256) →
    (B, 256, 64, 64).

    Args:
        in_channels: Channels of the condition; 1 for a grey image.
        width: Channels of the first convolutions; 64 in the paper.

    References:
        Zhang et al., *Colorful Image Colorization* (arXiv:1603.08511), table 4.
    """
    stages = [
        FeatureStage(width=width, convolutions=2, stride=2),
        FeatureStage(width=2 * width, convolutions=2, stride=2),
        FeatureStage(width=4 * width, convolutions=3, stride=2),
        FeatureStage(width=8 * width, convolutions=3),
        FeatureStage(width=8 * width, convolutions=3, dilation=2),
        FeatureStage(width=8 * width, convolutions=3, dilation=2),
        FeatureStage(width=8 * width, convolutions=3),
        FeatureStage(width=4 * width, convolutions=2, upsample=True),
    ]
    return ConditioningNet(2, in_channels, stages)


class ConvHead(nn.Sequential):
    """The head h_k of one coupling: features at the coupling's size, by strided convolutions.

    ``levels`` 3-convolutions of stride 2 with leaky ReLU, one more of stride 1, and a batch
    normalisation. For fully connected couplings the mean over all voxels is taken in the end.

    Args:
        spatial_dims: Axes of the features, 2 or 3.
        in_channels: Their channels.
        out_channels: Channels of the result.
        levels: How often the size is halved.
        vector: Give (B, ``out_channels``).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        levels: int,
        vector: bool = False,
    ) -> None:
        layers: list[nn.Module] = []
        for level in range(levels):
            inputs = in_channels if level == 0 else out_channels
            layers += [Conv(spatial_dims, inputs, out_channels, 3, stride=2), nn.LeakyReLU(0.2)]
        inputs = out_channels if levels else in_channels
        layers.append(Conv(spatial_dims, inputs, out_channels, 3))
        layers.append(normalisation("batch", spatial_dims, out_channels))
        super().__init__(*layers)
        self.vector = vector

    def forward(self, condition: Tensor) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *(spatial / 2^levels)), or to (B, out)."""
        y: Tensor = super().forward(condition)
        return y.flatten(2).mean(2) if self.vector else y


class ResizeHead(nn.Module):
    """A head without parameters: the condition itself, brought to the coupling's size.

    Blocks of voxels are averaged, or voxels repeated. Vectors (B, C) pass as they are.

    Args:
        size: Size of the stream; empty for fully connected couplings: the mean over all voxels.
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, condition: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C, *size)."""
        if condition.dim() == 2 or condition.shape[2:] == self.size:
            return condition
        if not self.size:
            return condition.flatten(2).mean(2)
        if all(n <= m for n, m in zip(self.size, condition.shape[2:], strict=True)):
            return F.interpolate(condition, self.size, mode="area")
        return F.interpolate(condition, self.size, mode="nearest-exact")

    def extra_repr(self) -> str:
        """Show the size."""
        return f"{self.size}"
