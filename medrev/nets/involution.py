"""A network that is its own inverse by construction.

Self-inverse networks are trained towards f = f⁻¹ (Shen et al., arXiv:1909.04104) and reach it
nearly. Here it holds for all weights, because an exchange conjugated by an invertible map undoes
itself: (φ⁻¹ s φ)(φ⁻¹ s φ) = φ⁻¹ s s φ = 1.
"""

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.checks import check_choice
from medrev.nets.initialise import Initialisation, initialise
from medrev.nets.one_way import OneWay
from medrev.reversible import (
    AdditiveCoupling,
    AffineCoupling,
    Checkerboard,
    Coupling,
    ReversibleSequence,
)

__all__ = ["Involution"]


class Involution(OneWay):
    r"""The involution f = φ⁻¹ ∘ s ∘ φ, with φ reversible and s the exchange of its two streams.

    .. math:: f(f(x)) = x

    φ has no lift: at each level a `medrev.reversible.Checkerboard` turns blocks of 2 × … × 2 voxels
    into channels (so one channel becomes 4 in 2D and 8 in 3D, 16 and 64 at the second level),
    whose halves are the streams of a `medrev.reversible.ReversibleSequence`. As the streams are the
    two colours of a checkerboard, f begins (with ``zero_init``) as the exchange of voxels with
    their neighbours, nearly the identity on smooth images. The activations kept for backward do not
    grow with ``depth``.

    With additive couplings f keeps volumes (the determinant of its Jacobian is 1 or −1); affine
    ones lift that restriction.

    In float32 the identity holds up to the rounding of the features, about 1e-6 of the largest one;
    affine couplings without normalisation can make features, and with them the error, large.

    Args:
        channels: Channels C of both domains.
        spatial_dims: 2 or 3.
        width: Channels between the convolutions of a sub-network at the first level; they double
            at each further level.
        depth: Reversible blocks at each level.
        downsamplings: Levels of φ, at least 1; sizes must be multiples of 2^downsamplings.
        norm: Inside the sub-networks: ``"instance"`` or ``"none"``. Batch normalisation would make
            f another function in every training step.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        zero_init: Sub-networks start at zero.
        coupling: ``"additive"`` or ``"affine"``.
        exact: f(f(x)) is x bit for bit, where x is a multiple of 2⁻¹⁶ (other values are rounded to
            that, by 7.6e-6 at most) below 256 in magnitude; additive couplings only. See
            `medrev.reversible.ReversibleSequence` for what else it asks for.
        initialisation: ``"normal"`` or ``"kaiming"``.

    Raises:
        ConfigError: If an option has a value that is not listed, or two exclude each other.
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> f = Involution(channels=1, spatial_dims=2, width=8, depth=2, exact=True)
        >>> x = torch.randint(0, 256, (1, 1, 16, 16)) / 128 - 1
        >>> torch.equal(f(f(x)), x), torch.equal(f(x), x)
        (True, False)
    """

    def __init__(
        self,
        *,
        channels: int,
        spatial_dims: int = 3,
        width: int = 32,
        depth: int = 2,
        downsamplings: int = 2,
        norm: str = "instance",
        padding: str = "reflect",
        zero_init: bool = True,
        coupling: str = "additive",
        exact: bool = False,
        initialisation: Initialisation = "normal",
    ) -> None:
        super().__init__()
        check_choice("spatial_dims", spatial_dims, (2, 3))
        check_choice("norm", norm, ("instance", "none"))
        check_choice("coupling", coupling, ("additive", "affine"))
        if downsamplings < 1:
            raise ConfigError(f"downsamplings must be 1 or more, got {downsamplings}")
        if exact and coupling != "additive":
            raise ConfigError(f"exact needs coupling 'additive', got {coupling!r}")
        self.spatial_dims = spatial_dims
        self.in_channels = self.out_channels = channels
        self.size_multiple = 2**downsamplings
        self.norm_depends_on_window = norm == "instance" and depth > 0
        blocks = [reach.convolution(2 * SubNetwork.radius + 1)] * (2 * depth)
        there = [reach.space_to_depth(), *blocks] * downsamplings
        back = [*blocks, reach.depth_to_space()] * downsamplings
        self.radius = reach.radius([*there, *back], self.size_multiple)

        couple: type[Coupling] = AffineCoupling if coupling == "affine" else AdditiveCoupling

        def sequence(level: int) -> ReversibleSequence:
            stream = channels * 2 ** (spatial_dims * level) // 2

            def net() -> SubNetwork:
                return SubNetwork(
                    spatial_dims,
                    stream,
                    stream * (2 if coupling == "affine" else 1),
                    hidden=width * 2 ** (level - 1),
                    norm=norm,
                    padding=padding,
                    zero_init=zero_init,
                )

            return ReversibleSequence([couple(net(), net()) for _ in range(depth)], exact=exact)

        self.squeeze = Checkerboard(spatial_dims)
        self.levels = nn.ModuleList(sequence(level + 1) for level in range(downsamplings))
        initialise(self, initialisation)

    def translate(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to the other domain, same shape."""
        for level in self.levels:
            x = level(self.squeeze(x))
        first, second = x.chunk(2, dim=1)
        x = torch.cat([second, first], dim=1)
        for level in reversed(self.levels):
            x = self.squeeze.inverse(level.inverse(x))  # type: ignore[operator]
        return x
