"""Translators made of one-way networks: two of them, one that is its own inverse, a segmenter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError, InputError
from medrev.nets.translator import OneWay, Translator
from medrev.volumes import Colour


class Pair(Translator):
    """Two networks that share nothing, one for each direction, as in pix2pix and CycleGAN.

    Raises:
        ConfigError: If the output of one is no input of the other.

    Example:
        >>> import torch
        >>> from medrev.config.schema import ResNetModel
        >>> from medrev.nets import ResNet
        >>> model = ResNetModel(spatial_dims=2, width=4, depth=1)
        >>> def net(a, b):
        ...     return ResNet(model, in_channels=a, out_channels=b)
        >>> pair = Pair(net(1, 3), net(3, 1))
        >>> y = pair(torch.zeros(1, 1, 16, 16))
        >>> y.shape, pair.inverse(y).shape
        (torch.Size([1, 3, 16, 16]), torch.Size([1, 1, 16, 16]))
    """

    def __init__(self, net_y: OneWay, net_x: OneWay) -> None:
        super().__init__()
        there = (net_y.spatial_dims, net_y.in_channels, net_y.out_channels, net_y.size_multiple)
        back = (net_x.spatial_dims, net_x.out_channels, net_x.in_channels, net_x.size_multiple)
        if there != back:
            raise ConfigError(
                "the networks of a pair must have (axes, channels of x, channels of y, multiple of "
                f"sizes) in common, got {there} and {back}"
            )
        self.net_y = net_y
        self.net_x = net_x
        self.size_multiple = net_y.size_multiple

    def translate(self, x: Tensor) -> Tensor:
        """Map x with shape (B, C_x, *spatial) to y with shape (B, C_y, *spatial)."""
        y: Tensor = self.net_y(x)
        return y

    def translate_back(self, y: Tensor) -> Tensor:
        """Map y with shape (B, C_y, *spatial) to x with shape (B, C_x, *spatial)."""
        x: Tensor = self.net_x(y)
        return x

    def inverse_parameters(self) -> list[nn.Parameter]:
        """Those of the network from y to x."""
        return list(self.net_x.parameters())

    @property
    def receptive_field(self) -> int:
        """Width in voxels of what one voxel of the result depends on, in either direction."""
        return 2 * max(self.net_y.radius, self.net_x.radius) + 1

    @property
    def norm_depends_on_window(self) -> bool:
        """True if either network normalises over the window."""
        return self.net_y.norm_depends_on_window or self.net_x.norm_depends_on_window


class OneNetwork(Translator):
    """A translator that is one network."""

    def __init__(self, net: OneWay) -> None:
        super().__init__()
        self.net = net
        self.size_multiple = net.size_multiple

    @property
    def receptive_field(self) -> int:
        """Width in voxels of what one voxel of the result depends on."""
        return 2 * self.net.radius + 1

    @property
    def norm_depends_on_window(self) -> bool:
        """True if the network normalises over the window."""
        return self.net.norm_depends_on_window


class SelfInverse(OneNetwork):
    r"""One network f for both directions, which learns :math:`f = f^{-1}`.

    With half the parameters of a `Pair`. How nearly f(f(x)) = x depends on the training, except
    for a network that is an involution by construction, `medrev.nets.Involution`.

    References:
        Shen et al., *Towards Learning a Self-inverse Network for Bidirectional Image-to-image
        Translation* (arXiv:1909.04104).

    Raises:
        ConfigError: If the numbers of channels differ.

    Example:
        >>> import torch
        >>> from medrev.config.schema import SelfInverseUNetModel
        >>> from medrev.nets import UNet
        >>> model = SelfInverseUNetModel(spatial_dims=2, width=4, levels=2)
        >>> f = SelfInverse(UNet(model, in_channels=1, out_channels=1))
        >>> f = f.eval()
        >>> x = torch.randn(1, 1, 8, 8)
        >>> torch.equal(f(x), f.inverse(x))
        True
    """

    def __init__(self, net: OneWay) -> None:
        super().__init__(net)
        if net.in_channels != net.out_channels:
            raise ConfigError(
                "a self-inverse network needs as many input as output channels, got "
                f"{net.in_channels} and {net.out_channels}"
            )

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to the other domain, same shape."""
        y: Tensor = self.net(x)
        return y

    def translate_back(self, y: Tensor) -> Tensor:
        """Do the same as `translate`."""
        return self.translate(y)


class Segmenter(OneNetwork):
    """Paints every pixel in the colour of its most likely class; there is no way back.

    Args:
        net: From (B, C, *spatial) to the scores (B, K, *spatial) of K classes.
        colours: Colour of each class, 0 to 255.

    Attributes:
        colours: The same.
        palette: Colours in network range, (K, 3).

    Raises:
        ConfigError: If there are not as many colours as classes.

    Example:
        >>> from medrev.config.schema import FCN8sModel
        >>> from medrev.nets import FCN8s
        >>> net = FCN8s(FCN8sModel(width=2, fc_width=4), in_channels=3, classes=2)
        >>> segmenter = Segmenter(net, [(0, 0, 255), (255, 0, 0)]).eval()
        >>> segmenter(torch.zeros(1, 3, 32, 32))[0, :, 0, 0]
        tensor([-1., -1.,  1.])
    """

    has_inverse = False
    palette: Tensor

    def __init__(self, net: OneWay, colours: Sequence[Colour]) -> None:
        super().__init__(net)
        if net.out_channels != len(colours):
            raise ConfigError(
                f"a colour for each class is needed, got {len(colours)} for {net.out_channels}"
            )
        self.colours = tuple(colours)
        palette = torch.tensor(self.colours, dtype=torch.float32) / 127.5 - 1
        self.register_buffer("palette", palette, persistent=False)

    def logits(self, x: Tensor) -> Tensor:
        """Scores (B, K, *spatial) of the classes for images (B, C, *spatial) in network range."""
        scores: Tensor = self.net(x)
        return scores

    def translate(self, x: Tensor) -> Tensor:
        """Map images (B, C, *spatial) to label images (B, 3, *spatial), both −1 to 1."""
        return self.palette[self.logits(x).argmax(dim=1)].movedim(-1, 1)

    def translate_back(self, y: Tensor) -> Tensor:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "a segmentation network goes from image to labels only; it has no inverse direction"
        )
