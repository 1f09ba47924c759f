"""From the sections of a pipeline to networks."""

from medrev.config.schema import Discriminator, RevGANModel
from medrev.nets.discriminators import PatchGAN
from medrev.nets.revgan import RevGAN
from medrev.nets.translator import Translator

__all__ = ["build_discriminator", "build_translator"]


def build_translator(
    config: RevGANModel, *, in_channels: int, out_channels: int, scale_factor: int = 1
) -> Translator:
    """Build the translator of a pipeline, its weights drawn from PyTorch's random state.

    Args:
        config: The ``model`` section.
        in_channels: Channels of x.
        out_channels: Channels of y.
        scale_factor: Voxels of the grid of y per voxel of the grid of x, along every axis.

    Raises:
        ConfigError: If options exclude each other.
    """
    options = config.model_dump(exclude={"kind"})
    return RevGAN(
        in_channels=in_channels, out_channels=out_channels, scale_factor=scale_factor, **options
    )


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
    )
