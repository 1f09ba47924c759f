"""A network that tells the class of each pixel, as a translator from image to label image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medrev.errors import ConfigError, InputError
from medrev.nets.translator import OneWay, Translator
from medrev.volumes import Colour


class Segmenter(Translator):
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
        super().__init__()
        if net.out_channels != len(colours):
            raise ConfigError(
                f"a colour for each class is needed, got {len(colours)} for {net.out_channels}"
            )
        self.net = net
        self.size_multiple = net.size_multiple
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

    @property
    def receptive_field(self) -> int:
        """Width in voxels of what one voxel of the result depends on."""
        return 2 * self.net.radius + 1

    @property
    def norm_depends_on_window(self) -> bool:
        """True if the network normalises over the window."""
        return self.net.norm_depends_on_window
