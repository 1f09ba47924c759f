"""A convolutional network that tells the class of an image, and its features."""

from typing import NoReturn

from torch import Tensor, nn

from medrev.config.schema import ClassifierModel
from medrev.errors import InputError
from medrev.nets.blocks import normalisation
from medrev.nets.translator import Translator
from medrev.reversible import Conv


class Classifier(Translator):
    """Tells x, the class, from y, the image: there is no way from classes to images.

    Three times two 3-convolutions with ReLU, normalised, the first two followed by a pooling to
    half the size; the mean over all pixels is the features, and a linear layer makes scores.

    Example:
        >>> import torch
        >>> net = Classifier(ClassifierModel(width=4), in_channels=1, classes=10)
        >>> net.logits(torch.zeros(2, 1, 28, 28)).shape, net.features(torch.zeros(2, 1, 8, 8)).shape
        (torch.Size([2, 10]), torch.Size([2, 16]))
    """

    has_inverse = False

    def __init__(self, model: ClassifierModel, *, in_channels: int, classes: int) -> None:
        super().__init__()
        dims, width = model.spatial_dims, model.width
        pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dims]
        layers: list[nn.Module] = []
        channels = in_channels
        for level in range(3):
            for _ in range(2):
                layers.append(Conv(dims, channels, width << level, 3))
                channels = width << level
                layers += [normalisation(model.norm, dims, channels), nn.ReLU(inplace=True)]
            if level < 2:
                layers.append(pool(2))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def features(self, y: Tensor) -> Tensor:
        """Features (B, 4 · width) of images (B, C, *spatial) in network range."""
        found: Tensor = self.body(y)
        return found.flatten(2).mean(2)

    def logits(self, y: Tensor) -> Tensor:
        """Scores (B, classes) of images (B, C, *spatial) in network range."""
        scores: Tensor = self.head(self.features(y))
        return scores

    def translate(self, x: Tensor) -> NoReturn:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError("a classifier tells the class of an image; it makes no images")

    def translate_back(self, y: Tensor) -> Tensor:
        """Probabilities (B, classes) of images (B, C, *spatial)."""
        return self.logits(y).softmax(dim=1)

    @property
    def receptive_field(self) -> int:
        """Width of what one feature, before the mean, depends on."""
        return 36

    @property
    def norm_depends_on_window(self) -> bool:
        """True: the mean is over all pixels."""
        return True
