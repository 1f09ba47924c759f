"""The U-Net of pix2pix.

References:
    Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*
    (arXiv:1611.07004), section 6.1; Ronneberger et al., *U-Net* (arXiv:1505.04597).
"""

import torch
from torch import Tensor, nn

from medrev.config.schema import SelfInverseUNetModel, UNetModel
from medrev.nets import reach
from medrev.nets.blocks import TRANSPOSED, normalisation
from medrev.nets.initialise import initialise
from medrev.nets.translator import OneWay
from medrev.reversible import Conv

#: Decoder layers, from the coarsest grid on, that pix2pix gives dropout.
_DROPPED = 3


class UNet(OneWay):
    """4-convolutions of stride 2 down, transposed ones up, features of equal size concatenated.

    Encoder: C64-128-256-512-512-… (normalised but for the first and the last, LeakyReLU 0.2);
    decoder: the same widths back (normalised, ReLU), each layer reading its predecessor and the
    encoder's features of that grid. The last encoder layer is not normalised, because on a grid of
    one voxel nothing but zeros would be left. With ``levels: 8`` it is pix2pix's network for 256²
    images, with 7 for 128²; 3D patches of 24³ take 3. Dropout is pix2pix's only source of noise.

    Raises:
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> import torch
        >>> model = UNetModel(spatial_dims=2, width=4, levels=3)
        >>> net = UNet(model, in_channels=3, out_channels=1)
        >>> net(torch.zeros(1, 3, 16, 24)).shape
        torch.Size([1, 1, 16, 24])
    """

    def __init__(
        self,
        model: UNetModel | SelfInverseUNetModel,
        *,
        in_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        spatial_dims, levels, norm = model.spatial_dims, model.levels, model.norm
        self.spatial_dims = spatial_dims
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**levels
        self.norm_depends_on_window = norm == "instance" and levels > 1
        down = [reach.convolution(4, stride=2, padding=1)] * levels
        self.radius = reach.radius([*down, *[reach.transposed(4)] * levels], self.size_multiple)

        widths = [model.width * min(2**i, 8) for i in range(levels)]
        self.down = nn.ModuleList()
        for i, (a, b) in enumerate(zip([in_channels, *widths], widths, strict=False)):
            normalised = 0 < i < levels - 1
            layers: list[nn.Module] = [] if i == 0 else [nn.LeakyReLU(0.2)]
            bias = not (normalised and norm == "batch")  # batch normalisation has its own
            layers.append(Conv(spatial_dims, a, b, 4, stride=2, padding=1, bias=bias))
            if normalised:
                layers.append(normalisation(norm, spatial_dims, b))
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        for i in reversed(range(levels)):  # to the grid i
            a = widths[i] * (1 if i == levels - 1 else 2)
            b = out_channels if i == 0 else widths[i - 1]
            bias = i == 0 or norm != "batch"
            layers = [nn.ReLU(), TRANSPOSED[spatial_dims](a, b, 4, 2, 1, bias=bias)]
            if i > 0:
                layers.append(normalisation(norm, spatial_dims, b))
                if model.dropout and i >= levels - _DROPPED:
                    layers.append(nn.Dropout(model.dropout))
            elif model.final_activation == "tanh":
                layers.append(nn.Tanh())
            self.up.append(nn.Sequential(*layers))
        initialise(self)

    @property
    def last_conv(self) -> nn.ConvTranspose2d | nn.ConvTranspose3d:
        """The convolution that makes the output."""
        layers = self.up[-1]
        assert isinstance(layers, nn.Sequential)
        conv = layers[1]
        assert isinstance(conv, nn.ConvTranspose2d | nn.ConvTranspose3d)
        return conv

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *spatial)."""
        features = []
        for layer in self.down:
            x = layer(x)
            features.append(x)
        x = features.pop()
        for layer in self.up:
            x = layer(x)
            if features:
                x = torch.cat([features.pop(), x], dim=1)
        return x
