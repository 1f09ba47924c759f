"""A direction of a translator of contrasts or images as one module, in network range."""

import torch
from torch import Tensor, nn

from medrev.errors import InputError
from medrev.nets import Translator
from medrev.prediction import Model

#: Fewest voxels or pixels of the input along every axis: the networks' own paddings need some.
_LEAST = 16


class NetworkTranslator(nn.Module):
    """Volumes or images in network range, -1 to 1, to such.

    Scaling is not inside: intensities of MRI have no unit, and each volume has a scale of its own
    (`medrev.domains.intensity.intensity_scale`).

    Args:
        translator: The network.
        channels: Of the input.
        spatial_dims: 2 or 3.
        inverse: From y to x.

    Attributes:
        multiple: Voxels of the input along every axis must be a multiple of this.
        least: Fewest voxels of the input along every axis.
    """

    def __init__(
        self, translator: Translator, *, channels: int, spatial_dims: int, inverse: bool = False
    ) -> None:
        super().__init__()
        self.translator, self.inverse = translator, inverse
        self.channels, self.spatial_dims = channels, spatial_dims
        self.multiple = translator.size_multiple
        self.least = -(-_LEAST // self.multiple) * self.multiple

    @classmethod
    def of(cls, model: Model, *, inverse: bool = False) -> "NetworkTranslator":
        """A direction of a loaded model, on the CPU.

        Raises:
            InputError: The model has no inverse direction.
        """
        if inverse and not model.translator.has_inverse:
            raise InputError(f"{model.pipeline.name} has no inverse direction")
        data = model.pipeline.data
        made = cls(
            model.translator,
            channels=data.channels[inverse],
            spatial_dims=data.spatial_dims,
            inverse=inverse,
        )
        return made.cpu().eval().requires_grad_(False)

    def example(self, number: int) -> Tensor:
        """Values in network range; every number has other sizes, all different."""
        generator = torch.Generator().manual_seed(number)
        steps = (1, 0, 2)[: self.spatial_dims]
        sizes = (self.least + self.multiple * (number + step) for step in steps)
        return 2 * torch.rand(1, self.channels, *sizes, generator=generator) - 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C', *spatial), both −1 to 1."""
        y: Tensor = self.translator(x, inverse=self.inverse)
        return y
