"""From the sections of a pipeline to networks."""

from typing import Any

from medrev.config.schema import (
    Discriminator,
    FCN8sModel,
    InvolutionModel,
    Model,
    ResNetModel,
    RevGANModel,
    SelfInverseUNetModel,
    UNetModel,
)
from medrev.errors import ConfigError
from medrev.nets.discriminators import PatchGAN
from medrev.nets.fcn import FCN8s
from medrev.nets.involution import Involution
from medrev.nets.pair import Pair, SelfInverse
from medrev.nets.resnet import ResNet
from medrev.nets.revgan import RevGAN
from medrev.nets.segmenter import Segmenter
from medrev.nets.translator import Translator
from medrev.nets.unet import UNet
from medrev.volumes import PALETTES, Colour, Factor, per_axis

__all__ = ["build_discriminator", "build_translator", "colours_of"]


def build_translator(
    config: Model, *, in_channels: int, out_channels: int, scale_factor: Factor = 1
) -> Translator:
    """Build the translator of a pipeline, its weights drawn from PyTorch's random state.

    Args:
        config: The ``model`` section.
        in_channels: Channels of x.
        out_channels: Channels of y.
        scale_factor: Voxels of the grid of y per voxel of the grid of x, along every axis, or
            along each.

    Raises:
        ConfigError: If options exclude each other, or the kind of network needs equal grids or
            equal channels and they are not.
    """
    options: dict[str, Any] = config.model_dump(exclude={"kind"})
    if isinstance(config, RevGANModel):
        return RevGAN(
            in_channels=in_channels, out_channels=out_channels, scale_factor=scale_factor, **options
        )
    if max(per_axis(scale_factor, config.spatial_dims)) != 1:
        raise ConfigError(
            f"model.kind {config.kind!r} needs input and output on one grid, got grids that differ "
            f"by a factor of {scale_factor}; set data.input_grid=target or model.kind=revgan"
        )
    there = {"in_channels": in_channels, "out_channels": out_channels} | options
    back = there | {"in_channels": out_channels, "out_channels": in_channels}
    match config:
        case ResNetModel():
            return Pair(ResNet(**there), ResNet(**back))
        case UNetModel():
            return Pair(UNet(**there), UNet(**back))
        case SelfInverseUNetModel():
            return SelfInverse(UNet(**there))
        case InvolutionModel():
            if in_channels != out_channels:
                raise ConfigError(
                    "model.kind 'involution' needs as many input as output channels, got "
                    f"{in_channels} and {out_channels}"
                )
            return SelfInverse(Involution(channels=in_channels, **options))
        case FCN8sModel():
            if out_channels != 3:
                raise ConfigError(
                    "model.kind 'fcn8s' makes label images of 3 channels (red, green, blue), the "
                    f"data has {out_channels}"
                )
            del options["colours"]
            colours = colours_of(config)
            net = FCN8s(in_channels=in_channels, classes=len(colours), **options)
            return Segmenter(net, colours)


def colours_of(config: FCN8sModel) -> tuple[Colour, ...]:
    """The colour of each class, in the order of the classes."""
    if isinstance(config.colours, str):
        return tuple(PALETTES[config.colours].values())
    return config.colours


def build_discriminator(
    config: Discriminator, *, in_channels: int, spatial_dims: int = 3
) -> PatchGAN:
    """Build one discriminator of a pipeline.

    Args:
        config: The ``discriminator`` section of an adversarial method.
        in_channels: Channels of what it judges (input and output together if conditional).
        spatial_dims: 2 or 3.
    """
    return PatchGAN(
        in_channels,
        spatial_dims=spatial_dims,
        width=config.width,
        strided_layers=config.strided_layers,
        norm=config.norm,
    )
