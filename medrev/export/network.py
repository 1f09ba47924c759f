"""A direction of a translator of contrasts or images as one module, in network range."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from monai.data.meta_tensor import MetaTensor
from torch import Tensor, nn

from medrev.config.schema import PosteriorModel, RevGANModel
from medrev.dti import COMPONENTS
from medrev.errors import InputError
from medrev.nets import Translator, build_translator
from medrev.prediction import MIN_VOXELS, Model
from medrev.volumes import block_mean, upsample


class PhysicalTranslator(nn.Module):
    """Diffusion tensors in mm²/s on one grid to such on the other.

    Args:
        model: The ``model`` section of a pipeline.
        factor: Fine voxels per coarse voxel along every axis.
        input_grid: ``low`` or ``target``: where the network works (``data.input_grid``).
        upsampling: How the input is brought to the target grid (``data.upsampling``).
        scale: Diffusivity (mm²/s) that is 1 in the network.
        inverse: From the fine to the coarse grid.

    Attributes:
        multiple: Voxels of the input along every axis must be a multiple of this.
        least: Fewest voxels of the input along every axis.

    Example:
        >>> import torch
        >>> net = PhysicalTranslator({"width": 8, "depth": 1}, factor=2, scale=1e-3)
        >>> net(torch.zeros(1, 6, 4, 5, 6)).shape
        torch.Size([1, 6, 8, 10, 12])
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        *,
        factor: int,
        scale: float,
        input_grid: str = "low",
        upsampling: str = "nearest",
        inverse: bool = False,
    ) -> None:
        super().__init__()
        section = RevGANModel.model_validate(dict(model))
        self.factor, self.scale, self.inverse = factor, scale, inverse
        self.on_target_grid, self.upsampling = input_grid == "target", upsampling
        self.translator = build_translator(
            section,
            in_channels=len(COMPONENTS),
            out_channels=len(COMPONENTS),
            scale_factor=1 if self.on_target_grid else factor,
        )
        cell = 2**section.downsamplings
        if self.on_target_grid:
            self.multiple = math.lcm(cell, factor) if inverse else cell // math.gcd(cell, factor)
        else:
            self.multiple = cell * (factor if inverse else 1)
        least = MIN_VOXELS * (factor if inverse else 1)
        self.least = math.ceil(least / self.multiple) * self.multiple

    @classmethod
    def of(cls, model: Model, *, inverse: bool = False) -> "PhysicalTranslator":
        """A direction of a loaded model, with a copy of its weights, on the CPU.

        Of a model with a posterior it is the point estimate.
        """
        made = cls(**cls.arguments(model, inverse=inverse))
        own, known = made.translator.state_dict(), model.translator.state_dict()
        state = {name: known[name].cpu() for name in own}
        made.translator.load_state_dict(state)
        return made.eval().requires_grad_(False)

    @staticmethod
    def arguments(model: Model, *, inverse: bool = False) -> dict[str, Any]:
        """The arguments that make the module of a loaded model, as plain values."""
        data, section = model.pipeline.dti, model.pipeline.model.model_dump(mode="json")
        if isinstance(model.pipeline.model, PosteriorModel):
            section = {key: section[key] for key in RevGANModel.model_fields} | {"kind": "revgan"}
        return {
            "model": section,
            "factor": model.factor,
            "scale": model.scale,
            "input_grid": data.input_grid,
            "upsampling": data.upsampling,
            "inverse": inverse,
        }

    def example(self, number: int) -> Tensor:
        """Tensors of plausible size; every number has other sizes, all different."""
        generator = torch.Generator().manual_seed(number)
        sizes = (self.least + self.multiple * (number + step) for step in (1, 0, 2))
        return 1e-3 * torch.randn(1, len(COMPONENTS), *sizes, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map tensors (B, 6, I, J, K) in mm²/s, in the voxel frame, to the other grid."""
        if isinstance(x, MetaTensor):  # MONAI's; its geometry is not that of the result
            x = x.as_tensor()
        x = x / self.scale
        if self.on_target_grid and not self.inverse:
            x = upsample(x, self.factor, self.upsampling)
        y: Tensor = self.translator(x, inverse=self.inverse)
        if self.on_target_grid and self.inverse:
            y = block_mean(y, self.factor)
        return y * self.scale


#: Fewest voxels or pixels of the input along every axis: the networks' own paddings need some.
_LEAST = 16


class NetworkTranslator(nn.Module):
    """Volumes or images in network range, -1 to 1, to such.

    Scaling is not inside: intensities of MRI have no unit, and each volume has a scale of its own
    (`medrev.domains.intensity.intensity_scale`).

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
