"""From an image to the feature space where a core works, and back."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import NoisyConv, downsampling_conv, normalisation, upsampling_conv
from medrev.nets.checks import check_choice
from medrev.reversible import Conv


def widths_of(width: int, downsamplings: int) -> list[int]:
    """Channels on each grid, from the finest to the core's: doubled at every down-sampling."""
    return [width * 2**i for i in range(downsamplings + 1)]


def lift(
    spatial_dims: int,
    channels: int,
    widths: Sequence[int],
    kernel: int,
    *,
    norm: str = "instance",
    padding: str = "reflect",
    downsampling: str = "strided",
    downsampling_padding: str | None = None,
    first_norm: bool = True,
    noise: int = 0,
) -> nn.Sequential:
    """Build the lift: a convolution on the fine grid, then one to each coarser grid.

    Args:
        spatial_dims: 2 or 3.
        channels: Channels of the image.
        widths: Channels on each grid, from the finest to the coarsest.
        kernel: Kernel of the first convolution, odd.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        downsampling: ``"strided"`` or ``"subpixel"``.
        downsampling_padding: Padding of the down-sampling convolutions; None: as ``padding``.
        first_norm: Normalisation and ReLU after the first convolution.
        noise: Channels of noise that the first convolution reads beside the image.
    """
    _check_kernel("lift_kernel", kernel)
    build = partial(NoisyConv, noise=noise) if noise else Conv
    bias = not (first_norm and norm == "batch")
    layers: list[nn.Module] = [
        build(spatial_dims, channels, widths[0], kernel, padding_mode=padding, bias=bias)
    ]
    if first_norm:
        layers += [normalisation(norm, spatial_dims, widths[0]), nn.ReLU(inplace=True)]
    for a, b in pairwise(widths):
        layers += downsampling_conv(
            spatial_dims,
            a,
            b,
            kind=downsampling,
            padding=padding if downsampling_padding is None else downsampling_padding,
            norm=norm,
        )
    return nn.Sequential(*layers)


def project(
    spatial_dims: int,
    channels: int,
    widths: Sequence[int],
    kernel: int,
    *,
    norm: str = "instance",
    padding: str = "reflect",
    upsampling: str = "transposed",
    final_activation: str = "none",
) -> nn.Sequential:
    """Build the projection: a convolution to each finer grid, then one to the image.

    Args:
        spatial_dims: 2 or 3.
        channels: Channels of the image.
        widths: Channels on each grid, from the finest to the coarsest.
        kernel: Kernel of the last convolution, odd.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        upsampling: ``"transposed"``, ``"subpixel"``, ``"nearest"`` or ``"trilinear"``.
        final_activation: ``"none"`` or ``"tanh"``.
    """
    _check_kernel("project_kernel", kernel)
    check_choice("final_activation", final_activation, ("none", "tanh"))
    layers: list[nn.Module] = []
    for a, b in pairwise(reversed(widths)):
        layers += upsampling_conv(spatial_dims, a, b, kind=upsampling, padding=padding, norm=norm)
    layers.append(Conv(spatial_dims, widths[0], channels, kernel, padding_mode=padding))
    if final_activation == "tanh":
        layers.append(nn.Tanh())
    return nn.Sequential(*layers)


def lift_reach(kernel: int, downsamplings: int, downsampling: str) -> list[reach.Layer]:
    """Reach of the layers of `lift`."""
    strided = [reach.convolution(3, stride=2)]
    subpixel = [reach.space_to_depth(), reach.convolution(3)]
    return [
        reach.convolution(kernel),
        *(strided if downsampling == "strided" else subpixel) * downsamplings,
    ]


def project_reach(kernel: int, downsamplings: int, upsampling: str) -> list[reach.Layer]:
    """Reach of the layers of `project`."""
    kinds = {
        "transposed": [reach.transposed(3)],
        "subpixel": [reach.convolution(3), reach.depth_to_space()],
        "nearest": [reach.depth_to_space(), reach.convolution(3)],
        "trilinear": [reach.linear(), reach.convolution(3)],
    }
    return [*kinds[upsampling] * downsamplings, reach.convolution(kernel)]


def last_convolution(layers: nn.Sequential) -> Conv:
    """Return the last convolution of a projection."""
    return [layer for layer in layers if isinstance(layer, Conv)][-1]


def _check_kernel(name: str, kernel: int) -> None:
    if kernel < 1 or kernel % 2 == 0:
        raise ConfigError(f"{name} must be an odd number, got {kernel}")
