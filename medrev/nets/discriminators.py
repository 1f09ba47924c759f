"""PatchGAN: a convolutional critic that judges overlapping patches.

References:
    Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*
    (arXiv:1611.07004); van der Ouderaa and Worrall (arXiv:1902.02729), section 7.2.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from medrev.config.schema import Discriminator
from medrev.nets.blocks import normalisation
from medrev.nets.initialise import initialise
from medrev.reversible import Conv


class LatentDiscriminator(nn.Module):
    """Scores codes: fully connected, concatenated ReLU, ReLU, spectral normalisation.

    Args:
        dimensions: Numbers of a code.
        hidden: Units of the two hidden layers; concatenated ReLU doubles the first.

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), 3.1;
        Miyato et al. (arXiv:1802.05957), one power iteration for each forward pass.

    Example:
        >>> LatentDiscriminator(64)(torch.zeros(5, 64)).shape
        torch.Size([5])
    """

    def __init__(self, dimensions: int, hidden: tuple[int, int] = (400, 800)) -> None:
        super().__init__()
        first, second = hidden
        self.first = spectral_norm(nn.Linear(dimensions, first))
        self.second = spectral_norm(nn.Linear(2 * first, second))
        self.last = spectral_norm(nn.Linear(second, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, D) to scores (B,), high for codes of the prior."""
        h = self.first(z)
        h = torch.cat([h.relu(), (-h).relu()], dim=1)
        scores: Tensor = self.last(self.second(h).relu())
        return scores.squeeze(1)


class PatchGAN(nn.Module):
    """4-convolutions with LeakyReLU 0.2; one score per patch, without sigmoid.

    Stride-2 layers (the first without normalisation) from ``width`` channels, doubling up to 8
    times ``width``; then one stride-1 layer and a stride-1 convolution to one channel. With three
    stride-2 layers in 2D it is the 70×70 PatchGAN (128² → 14², 256² → 30²), with two in 3D the
    discriminator of RevGAN's public 3D code (24³ → 4³).

    RevGAN's section 7.2 has four stride-2 layers and a 1×1 convolution right after them
    (``head: pointwise, strided_layers: 4``: 128² → 8², 256² → 16²).

    Args:
        config: The options, ``discriminator`` of an adversarial method.
        in_channels: Channels of what is judged; input and output together when conditional.
        spatial_dims: 2 or 3.

    Example:
        >>> import torch
        >>> config = Discriminator(strided_layers=3, width=4)
        >>> critic = PatchGAN(config, in_channels=3, spatial_dims=2)
        >>> critic(torch.zeros(1, 3, 128, 128)).shape
        torch.Size([1, 1, 14, 14])
    """

    def __init__(self, config: Discriminator, *, in_channels: int, spatial_dims: int = 3) -> None:
        super().__init__()
        norm, patch = config.norm, config.head == "patch"
        strides = [2] * config.strided_layers + [1] * patch

        def conv(inputs: int, outputs: int, stride: int, *, bias: bool = True) -> Conv:
            return Conv(spatial_dims, inputs, outputs, 4, stride=stride, padding=1, bias=bias)

        layers: list[nn.Module] = []
        channels = in_channels
        for i, stride in enumerate(strides):
            outputs = config.width * min(2**i, 8)
            normalised = i > 0
            bias = not (normalised and norm == "batch")
            layers.append(conv(channels, outputs, stride=stride, bias=bias))
            if normalised:
                layers.append(normalisation(norm, spatial_dims, outputs))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = outputs
        layers.append(conv(channels, 1, stride=1) if patch else Conv(spatial_dims, channels, 1, 1))
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Score (B, C, *spatial) as logits (B, 1, *patches)."""
        scores: Tensor = self.layers(x)
        return scores
