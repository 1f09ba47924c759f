"""The building stones of the generators: normalised convolutions and the coupling's sub-network.

References:
    van der Ouderaa and Worrall, *Reversible GANs* (arXiv:1902.02729), figures 12 (2D) and 14 (3D).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from medrev.errors import ConfigError
from medrev.nets.two_way import BATCH_NORMS, TwoWayBatchNorm
from medrev.reversible import Conv, InstanceNorm, SpaceToDepth
from medrev.volumes.resample import upsample

#: Transposed convolutions by number of axes.
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise ConfigError unless an option has one of the allowed values."""
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ConfigError(f"{name} must be one of {choices}, got {value!r}")


def normalisation(kind: str, spatial_dims: int, channels: int) -> nn.Module:
    """Build a normalisation layer for tensors (B, ``channels``, *spatial).

    Args:
        kind: ``"instance"`` (statistics of the window, no parameters), ``"batch"`` (learnt scale
            and shift; statistics gathered in training are used in ``eval()``, so that the result
            does not depend on the window) or ``"none"``.
        spatial_dims: 1, 2 or 3.
        channels: Number of channels.

    Raises:
        ConfigError: If ``kind`` is not one of the above.
    """
    if kind == "instance":
        return InstanceNorm(channels)
    if kind == "batch":
        return BATCH_NORMS[spatial_dims](channels)
    if kind == "none":
        return nn.Identity()
    raise ConfigError(f"norm must be 'instance', 'batch' or 'none', got {kind!r}")


class NoisyConv(Conv):
    """A convolution of its input and of noise z, both of one size (pix2pix: F(x, z)).

    In training z is drawn from N(0, 1) in every call. In evaluation it is 0, its mean, unless
    `medrev.nets.evaluating` applies the network as it was trained.

    Args:
        spatial_dims: 1, 2 or 3.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel width.
        noise: Channels of z; the last that ``weight`` reads.
        options: Those of `medrev.reversible.Conv`.

    Example:
        >>> conv = NoisyConv(2, 1, 4, 3, noise=1)
        >>> x = torch.zeros(1, 1, 8, 8)
        >>> torch.equal(conv(x), conv(x)), torch.equal(conv.eval()(x), conv(x))
        (False, True)
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        noise: int,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels + noise, out_channels, kernel_size, **options)
        self.in_channels, self.noise = in_channels, noise

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` with shape (B, in, *spatial) into (B, out, *spatial')."""
        draw = torch.randn if self.training else torch.zeros
        z = draw(len(x), self.noise, *x.shape[2:], dtype=x.dtype, device=x.device)
        return super().forward(torch.cat([x, z], dim=1))


def normalised_conv(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: str = "reflect",
    norm: str = "instance",
) -> list[nn.Module]:
    """List the layers pad + convolution, normalisation, ReLU."""
    conv = Conv(
        spatial_dims,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding_mode=padding,
        bias=norm != "batch",  # batch normalisation brings its own shift
    )
    return [conv, normalisation(norm, spatial_dims, out_channels), nn.ReLU(inplace=True)]


class DepthToSpace(SpaceToDepth):
    """`SpaceToDepth` the other way round: (B, C·r^d, *spatial) to (B, C, *(spatial · r))."""

    def forward(self, x: Tensor) -> Tensor:
        """Move channels into blocks of voxels."""
        return super().inverse(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Move blocks of voxels into channels."""
        return super().forward(y)


class Interpolation(nn.Module):
    """`medrev.volumes.upsample` by 2 as a layer; the field of view is kept."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C, *(2 · spatial))."""
        return upsample(x, 2, self.mode)

    def extra_repr(self) -> str:
        """Show the mode."""
        return self.mode


class SubNetwork(nn.Sequential):
    """NN₁ or NN₂ of a reversible block: pad, conv3, norm, ReLU, pad, conv3 and, in 2D, norm.

    Args:
        spatial_dims: 1, 2 or 3; 0: fully connected, for streams (B, C).
        in_channels: Channels of the stream that is read, and of the conditions together.
        out_channels: Channels of the output: those of the stream that is changed (twice as many
            for affine coupling).
        hidden: Channels between the two convolutions.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        final_norm: Normalise after the second convolution too (the 2D networks of the paper).
        zero_init: `medrev.nets.initialise.initialise` sets the second convolution to zero, so
            that the block starts as the identity (the 3D networks of the paper).
        bounded: End in tanh, so that a stream changes by at most 1 in a half-step: neither
            direction of a core without normalisation can then grow exponentially with depth.
        kernel_size: Kernel width of both convolutions, odd.
        two_way: Batch normalisation gathers statistics for each direction apart
            (`TwoWayBatchNorm`).

    Raises:
        ConfigError: If zero-initialised and normalised at the end: the start would be undefined.
    """

    #: Voxels to each side that an output voxel depends on, with kernels of 3.
    radius = 2

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int,
        norm: str = "instance",
        padding: str = "reflect",
        final_norm: bool = False,
        zero_init: bool = True,
        bounded: bool = False,
        kernel_size: int = 3,
        two_way: bool = False,
    ) -> None:
        keeps_norm = final_norm and norm != "none"
        if keeps_norm and zero_init:
            raise ConfigError(
                "zero_init and subnet_final_norm exclude each other (normalising zeros stops the "
                "learning); set one of them to false"
            )
        bias = not (keeps_norm and norm == "batch")
        if spatial_dims == 0:
            check_choice("norm of a fully connected sub-network", norm, ("batch", "none"))
            last: nn.Module = nn.Linear(hidden, out_channels, bias=bias)
            first = nn.Linear(in_channels, hidden, bias=norm != "batch")
            layers = [first, normalisation(norm, 1, hidden), nn.ReLU(inplace=True)]
        else:
            layers = normalised_conv(
                spatial_dims, in_channels, hidden, kernel_size, padding=padding, norm=norm
            )
            last = Conv(
                spatial_dims, hidden, out_channels, kernel_size, padding_mode=padding, bias=bias
            )
        layers.append(last)
        if keeps_norm:
            layers.append(normalisation(norm, spatial_dims, out_channels))
        if bounded:
            layers.append(nn.Tanh())
        #: Whether `forward` is to be told the direction.
        self.knows_direction = two_way and norm == "batch"
        if self.knows_direction:
            layers = [
                TwoWayBatchNorm(layer.num_features) if isinstance(layer, _BatchNorm) else layer
                for layer in layers
            ]
        super().__init__(*layers)
        self.spatial_dims, self.zero_init = spatial_dims, zero_init

    @property
    def last_conv(self) -> Conv | nn.Linear:
        """The second convolution, or linear layer."""
        conv = self[3]
        assert isinstance(conv, Conv | nn.Linear)
        return conv

    def forward(self, x: Tensor, *condition: Tensor, inverse: bool = False) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *spatial).

        Conditions (B, C, *spatial), or (B, C) for all voxels, are further channels of x.

        Args:
            x: The stream that is read.
            condition: The conditions.
            inverse: The run is an inverse one.

        Raises:
            ValueError: If a condition has another size.
        """
        y = _with_condition(x, condition) if condition else x
        for layer in self:
            two_ways = inverse and isinstance(layer, TwoWayBatchNorm)
            y = layer(y, inverse=True) if two_ways else layer(y)
        return y

    def one_way(self, inverse: bool) -> nn.Sequential:
        """The layers of one direction, with usual batch normalisation; all tensors are shared."""
        return nn.Sequential(
            *(
                layer.one_way(inverse, self.spatial_dims)
                if isinstance(layer, TwoWayBatchNorm)
                else layer
                for layer in self
            )
        )


def _with_condition(x: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
    parts = [x]
    for given in condition:
        c = given
        if c.dim() == 2:
            c = c.reshape(*c.shape, *[1] * (x.dim() - 2)).expand(*c.shape, *x.shape[2:])
        if c.shape[0] != x.shape[0] or c.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"a condition must have the batch and size of the stream, {tuple(x.shape)}, "
                f"got {tuple(c.shape)}"
            )
        parts.append(c.to(x.dtype))
    return torch.cat(parts, 1)
