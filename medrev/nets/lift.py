"""From an image to the feature space where a core works, and back."""

from functools import partial
from itertools import pairwise

from torch import nn

from medrev.config.schema import ResNetModel, RevGANModel
from medrev.nets import reach
from medrev.nets.blocks import (
    TRANSPOSED,
    DepthToSpace,
    Interpolation,
    NoisyConv,
    normalisation,
    normalised_conv,
)
from medrev.reversible import Conv, SpaceToDepth

Lifting = RevGANModel | ResNetModel


def widths_of(model: Lifting) -> list[int]:
    """Channels on each grid, from the finest to the core's: doubled at every down-sampling."""
    return [model.width * 2**i for i in range(model.downsamplings + 1)]


def lift(
    model: Lifting, channels: int, *, first_norm: bool = True, noise: int = 0
) -> nn.Sequential:
    """Build the lift: a convolution on the fine grid, then one to each coarser grid.

    Args:
        model: Section of the pipeline.
        channels: Channels of the image.
        first_norm: Normalisation and ReLU after the first convolution.
        noise: Channels of noise that the first convolution reads beside the image.
    """
    dims, norm, widths = model.spatial_dims, model.norm, widths_of(model)
    build = partial(NoisyConv, noise=noise) if noise else Conv
    bias = not (first_norm and norm == "batch")
    layers: list[nn.Module] = [
        build(dims, channels, widths[0], model.lift_kernel, padding_mode=model.padding, bias=bias)
    ]
    if first_norm:
        layers += [normalisation(norm, dims, widths[0]), nn.ReLU(inplace=True)]
    for a, b in pairwise(widths):
        layers += _to_half(model, a, b)
    return nn.Sequential(*layers)


def _to_half(model: Lifting, inputs: int, outputs: int) -> list[nn.Module]:
    """List layers to half the size: 3-convolution, normalisation, ReLU.

    strided: a convolution of stride 2. subpixel: every block of 2 × … × 2 voxels becomes channels,
    then a convolution on the coarse grid.
    """
    dims, norm = model.spatial_dims, model.norm
    padding = model.downsampling_padding or model.padding
    if model.downsampling == "strided":
        return normalised_conv(dims, inputs, outputs, 3, stride=2, padding=padding, norm=norm)
    wide = inputs * 2**dims
    conv = normalised_conv(dims, wide, outputs, 3, padding=padding, norm=norm)
    return [SpaceToDepth(2, dims), *conv]


def project(model: Lifting, channels: int) -> nn.Sequential:
    """Build the projection: a convolution to each finer grid, then one to the image."""
    dims, widths = model.spatial_dims, widths_of(model)
    layers: list[nn.Module] = []
    for a, b in pairwise(reversed(widths)):
        layers += _to_double(model, a, b)
    kernel, padding = model.project_kernel, model.padding
    layers.append(Conv(dims, widths[0], channels, kernel, padding_mode=padding))
    if model.final_activation == "tanh":
        layers.append(nn.Tanh())
    return nn.Sequential(*layers)


def _to_double(model: Lifting, inputs: int, outputs: int) -> list[nn.Module]:
    """List layers to twice the size: 3-convolution, normalisation, ReLU.

    transposed: a fractionally-strided convolution. subpixel: a convolution on the coarse grid to
    2 × … × 2 times the channels, which become voxels (Shi et al., arXiv:1609.05158). nearest and
    trilinear (bilinear in 2D): interpolation, then a convolution on the fine grid (Odena et al.,
    *Deconvolution and Checkerboard Artifacts*).
    """
    dims, norm, padding = model.spatial_dims, model.norm, model.padding
    if model.upsampling in ("nearest", "trilinear"):
        conv = normalised_conv(dims, inputs, outputs, 3, padding=padding, norm=norm)
        return [Interpolation(model.upsampling), *conv]
    bias = norm != "batch"
    if model.upsampling == "transposed":
        layers: list[nn.Module] = [
            TRANSPOSED[dims](inputs, outputs, 3, 2, 1, output_padding=1, bias=bias)
        ]
    else:
        wide = outputs * 2**dims
        layers = [
            Conv(dims, inputs, wide, 3, padding_mode=padding, bias=bias),
            DepthToSpace(2, dims),
        ]
    return [*layers, normalisation(norm, dims, outputs), nn.ReLU(inplace=True)]


def lift_reach(model: Lifting) -> list[reach.Layer]:
    """Reach of the layers of `lift`."""
    strided = [reach.convolution(3, stride=2)]
    subpixel = [reach.space_to_depth(), reach.convolution(3)]
    down = strided if model.downsampling == "strided" else subpixel
    return [reach.convolution(model.lift_kernel), *down * model.downsamplings]


def project_reach(model: Lifting) -> list[reach.Layer]:
    """Reach of the layers of `project`."""
    kinds = {
        "transposed": [reach.transposed(3)],
        "subpixel": [reach.convolution(3), reach.depth_to_space()],
        "nearest": [reach.depth_to_space(), reach.convolution(3)],
        "trilinear": [reach.linear(), reach.convolution(3)],
    }
    up = kinds[model.upsampling] * model.downsamplings
    return [*up, reach.convolution(model.project_kernel)]


def last_convolution(layers: nn.Sequential) -> Conv:
    """Return the last convolution of a projection."""
    return [layer for layer in layers if isinstance(layer, Conv)][-1]
