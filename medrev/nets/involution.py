"""A network that is its own inverse by construction.

Self-inverse networks are trained towards f = f⁻¹ (Shen et al., arXiv:1909.04104) and reach it
nearly. Here it holds for all weights, because a reflection conjugated by an invertible map undoes
itself: (φ⁻¹ s φ)(φ⁻¹ s φ) = φ⁻¹ s s φ = 1.
"""

import torch
from torch import Tensor, nn

from medrev.config.schema import InvolutionModel, UNetModel
from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.initialise import initialise
from medrev.nets.translator import OneWay
from medrev.nets.unet import UNet
from medrev.reversible import (
    AdditiveCoupling,
    AffineCoupling,
    Checkerboard,
    Coupling,
    ReversibleSequence,
)


class Involution(OneWay):
    r"""The involution f = φ⁻¹ ∘ s ∘ φ: φ is reversible, s reflects one of two streams.

    .. math:: f(f(x)) = x, \quad s(a, b) = (a, m(a) - b)

    A `medrev.reversible.Checkerboard` turns blocks of 2 × … × 2 voxels into channels, whose halves,
    the two colours of the board, are the streams of a `medrev.reversible.ReversibleSequence` φ. It
    ends with half a coupling, which changes a by what b says; then m, of a, says about which sum b
    is reflected. Sub-networks are U-Nets on this half grid. With ``zero_init`` f begins with the
    sign of every other voxel changed. The activations kept for backward do not grow with ``depth``
    from 2 on.

    Half a coupling and the reflection (depth 1) are v = a + h(b), b' = m(v) − b, a' = v − h(b').
    They translate where v says, in a form that is the same for both contrasts, what the head is
    like, and m what the contrasts add up to.

    With additive couplings f keeps volumes (the determinant of its Jacobian is 1 or −1); affine
    ones lift that restriction.

    In float32 the identity holds up to the rounding of the features and of f(x), about 1e-7 of the
    largest one, times what f makes of a small change. A network whose results stay in the range of
    images keeps it to 1e-6; random weights that enlarge x twenty times, or affine couplings without
    normalisation, do not (1e-5, even if the couplings are computed in float64). With ``exact`` it
    holds bit for bit, where x is a multiple of 2⁻¹⁶ (other values are rounded to that, by 7.6e-6 at
    most) below 256 in magnitude (`medrev.reversible.ReversibleSequence`). Batch normalisation
    would make f another function in every training step.

    Raises:
        ConfigError: If two options exclude each other.
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> f = Involution(InvolutionModel(spatial_dims=2, width=8, exact=True), channels=1)
        >>> x = torch.randint(0, 256, (1, 1, 16, 16)) / 128 - 1
        >>> torch.equal(f(f(x)), x), torch.equal(f(x), x)
        (True, False)
    """

    def __init__(self, model: InvolutionModel, *, channels: int) -> None:
        super().__init__()
        if model.exact and model.coupling != "additive":
            raise ConfigError(f"exact needs coupling 'additive', got {model.coupling!r}")
        dims, depth, norm = model.spatial_dims, model.depth, model.norm
        self.spatial_dims = dims
        self.in_channels = self.out_channels = channels
        self.size_multiple = 2**model.downsamplings
        self.norm_depends_on_window = norm == "instance"
        levels = model.downsamplings - 1
        inside = [reach.convolution(2 * SubNetwork.radius + 1)]
        if levels:
            down = [reach.convolution(4, stride=2, padding=1)] * levels
            inside = [*down, *[reach.transposed(4)] * levels]
        evaluated = 4 * depth - 1  # the sub-networks of φ twice, m once
        layers = [reach.space_to_depth(), *inside * evaluated, reach.depth_to_space()]
        self.radius = reach.radius(layers, self.size_multiple)

        stream = channels * 2**dims // 2
        affine = model.coupling == "affine"
        changed = stream * (2 if affine else 1)

        def net(out_channels: int = changed) -> nn.Module:
            if not levels:
                zero_init, hidden = model.zero_init, model.width
                return SubNetwork(
                    dims, stream, out_channels, hidden=hidden, norm=norm, zero_init=zero_init
                )
            unet = UNetModel(spatial_dims=dims, width=model.width, levels=levels, norm=norm)
            return UNet(unet, in_channels=stream, out_channels=out_channels)

        couple: type[Coupling] = AffineCoupling if affine else AdditiveCoupling
        self.squeeze = Checkerboard(dims)
        blocks = [*(couple(net(), net()) for _ in range(depth - 1)), couple(net())]
        self.sequence = ReversibleSequence(blocks, exact=model.exact, keep_graph=depth == 1)
        self.mirror = net(stream)
        initialise(self, model.initialisation)
        if model.zero_init:
            for module in self.modules():
                if isinstance(module, UNet | SubNetwork):
                    nn.init.zeros_(module.last_conv.weight)

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to the other domain, same shape."""
        first, second = self.sequence(self.squeeze(x)).chunk(2, dim=1)
        mirror = self.mirror(first)
        if self.sequence.exact:
            mirror = self.sequence.grid.round(mirror)
        reflected = torch.cat([first, mirror - second], dim=1)
        y: Tensor = self.squeeze.inverse(self.sequence.inverse(reflected))
        return y
