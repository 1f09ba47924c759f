"""FCN-8s: classes of pixels from a VGG-16 network without fully connected layers.

References:
    Long, Shelhamer and Darrell, *Fully Convolutional Networks for Semantic Segmentation*
    (arXiv:1411.4038), sections 4.1-4.3; Simonyan and Zisserman, *Very Deep Convolutional Networks
    for Large-Scale Image Recognition* (arXiv:1409.1556), configuration D.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from medrev.config.schema import FCN8sModel
from medrev.nets import reach
from medrev.nets.blocks import TRANSPOSED, normalisation, normalised_conv
from medrev.nets.initialise import initialise
from medrev.nets.translator import OneWay
from medrev.reversible import Conv
from medrev.volumes import upsample

#: Convolutions before each of the five poolings of VGG-16.
_CONVOLUTIONS = (2, 2, 3, 3, 3)
_POOLING = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_DROPOUT = {2: nn.Dropout2d, 3: nn.Dropout3d}
#: Up-sampling of the summed scores to the grid of the image.
_STRIDE = 8


class FCN8s(OneWay):
    """VGG-16 as convolutions, with the scores of pool3 and pool4 added on the way back.

    13 convolutions of 3 (two, two, three, three and three) with a pooling by 2 after each group;
    then 7- and 1-convolutions to ``fc_width`` channels (fc6, fc7) and a 1-convolution to scores.
    Those are brought to the grids of pool4 and pool3 by transposed convolutions, which begin as
    bilinear interpolation, and the scores of those grids are added. What remains is an
    interpolation by 8, which the paper fixes as well.

    It differs from the authors' network in three points. They pad the image by 100 voxels and do
    not pad fc6, so that the result must be cropped; here fc6 is padded by 3, so that sizes that
    are multiples of 32 come out as they went in. Their weights come from ImageNet; here they are
    random, wherefore all layers but those that score are normalised unless ``norm`` is none. At the
    border their last interpolation mixes in zeros, this one repeats the outermost score. As in
    theirs, the layers that score start at zero.

    Raises:
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> net = FCN8s(FCN8sModel(width=2, fc_width=4), in_channels=3, classes=5)
        >>> net(torch.zeros(1, 3, 32, 64)).shape
        torch.Size([1, 5, 32, 64])
    """

    def __init__(self, model: FCN8sModel, *, in_channels: int, classes: int) -> None:
        super().__init__()
        spatial_dims, norm, fc_width = model.spatial_dims, model.norm, model.fc_width
        self.spatial_dims = spatial_dims
        self.in_channels, self.out_channels = in_channels, classes
        self.size_multiple = 2 ** len(_CONVOLUTIONS)
        self.norm_depends_on_window = norm == "instance"

        def score(inputs: int) -> Conv:
            return Conv(spatial_dims, inputs, classes, 1)

        widths = [model.width * min(2**i, 8) for i in range(len(_CONVOLUTIONS))]
        groups: list[nn.Module] = []
        channels = in_channels
        for wide, count in zip(widths, _CONVOLUTIONS, strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers += normalised_conv(
                    spatial_dims, channels, wide, 3, padding="zeros", norm=norm
                )
                channels = wide
            groups.append(nn.Sequential(*layers, _POOLING[spatial_dims](2)))
        self.to_pool3 = nn.Sequential(*groups[:3])
        self.to_pool4, self.to_pool5 = groups[3:]
        head: list[nn.Module] = []
        for inputs, kernel in ((channels, 7), (fc_width, 1)):
            fc = Conv(spatial_dims, inputs, fc_width, kernel, bias=norm != "batch")
            head += [fc, normalisation(norm, spatial_dims, fc_width), nn.ReLU(inplace=True)]
            head.append(_DROPOUT[spatial_dims](model.dropout))
        self.head = nn.Sequential(*head)
        self.scores = nn.ModuleDict(
            {"pool3": score(widths[2]), "pool4": score(widths[3]), "fc7": score(fc_width)}
        )
        upsampling = TRANSPOSED[spatial_dims]
        self.up = nn.ModuleDict(
            {
                name: upsampling(classes, classes, 4, stride=2, padding=1, bias=False)
                for name in ("fc7", "pool4")
            }
        )
        self.radius = reach.radius(list(self._reach()), self.size_multiple)
        self._initialise()

    def _reach(self) -> Iterator[reach.Layer]:
        """The longest way through the network."""
        for count in _CONVOLUTIONS:
            yield from [reach.convolution(3)] * count
            yield reach.convolution(2, stride=2, padding=0)
        yield reach.convolution(7)
        yield from [reach.transposed(4)] * 2
        yield reach.linear(_STRIDE)

    def _initialise(self) -> None:
        initialise(self, "kaiming")
        with torch.no_grad():
            for weight in self.scores.parameters():
                weight.zero_()
            for weight in self.up.parameters():
                weight.copy_(bilinear_weight(self.out_channels, self.spatial_dims))

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, in, *spatial) to scores (B, K, *spatial); their softmax are probabilities."""
        pool3 = self.to_pool3(x)
        pool4 = self.to_pool4(pool3)
        score = self.scores["fc7"](self.head(self.to_pool5(pool4)))
        score = self.up["fc7"](score) + self.scores["pool4"](pool4)
        score = self.up["pool4"](score) + self.scores["pool3"](pool3)
        return upsample(score, _STRIDE, "trilinear")


def bilinear_weight(channels: int, spatial_dims: int) -> Tensor:
    """Weights of a transposed 4-convolution of stride 2 that interpolates each channel linearly.

    Returns:
        Tensor of shape (``channels``, ``channels``, 4, …, 4).

    Example:
        >>> bilinear_weight(1, 2)[0, 0, 1]
        tensor([0.1875, 0.5625, 0.5625, 0.1875])
    """
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    kernel = line
    for _ in range(spatial_dims - 1):
        kernel = kernel[..., None] * line
    return torch.einsum("ab,...->ab...", torch.eye(channels), kernel)
