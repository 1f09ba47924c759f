"""RevGAN: two translators that share one reversible core.

References:
    van der Ouderaa and Worrall, *Reversible GANs for Memory-efficient Image-to-Image Translation*,
    CVPR 2019 (arXiv:1902.02729), section 3 and appendix A.
"""

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.checks import check_choice, check_input
from medrev.nets.initialise import Initialisation, initialise
from medrev.nets.lift import (
    last_convolution,
    lift,
    lift_reach,
    project,
    project_reach,
    widths_of,
)
from medrev.nets.translator import Translator
from medrev.reversible import (
    AdditiveCoupling,
    AffineCoupling,
    Coupling,
    ODECore,
    ReversibleSequence,
    SpaceToDepth,
)
from medrev.volumes.resample import Factor, block_mean, onto_means, upsample

_RESIDUAL_RADIUS = {"none": 0, "nearest": 0, "trilinear": 1, "cubic": 2}


class RevGAN(Translator):
    r"""Lift, reversible core, project; and back through the same core.

    .. math:: F(x) = P_Y(C(L_X(x))), \qquad G(y) = P_X(C^{-1}(L_Y(y)))

    With the defaults it is the 3D form of the paper: a 3³ lift with normalisation and ReLU, zero
    to many blocks, a 1³ projection; depth 0 is the 3D-SRCNN pair. The 2D form is ``RevGAN(
    spatial_dims=2, downsamplings=2, lift_kernel=7, project_kernel=7, final_activation="tanh",
    subnet_final_norm=True, zero_init=False)``. The authors' public 3D code differs: ``padding=
    "replicate", lift_norm=False, norm="batch"``; their 2D code pads the strided convolutions with
    zeros: ``downsampling_padding="zeros"``.

    With ``scale_factor`` r > 1 the core works on the coarse grid of x: P_Y ends in a convolution to
    C_y·r^d channels that depth-to-space spreads over the fine grid, and L_Y begins with
    space-to-depth. With r = 1 both grids are the same (x is interpolated beforehand).

    With ``core="ode"`` the core is continuous in depth (appendix B): one `SubNetwork` of all its
    channels gives the slope of an `medrev.reversible.ODECore`, and C⁻¹ undoes C up to the solver's
    error only.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels C_x.
        out_channels: Channels C_y.
        width: Channels K of the first lift layer; the core has K · 2^downsamplings.
        depth: Number R of reversible blocks, each with two sub-networks; with ``core="ode"`` the
            number of Runge–Kutta steps, each with four evaluations of the one sub-network.
        downsamplings: Stride-2 layers in each lift, and stride-½ layers in each projection.
        hidden: Channels between the convolutions of a sub-network; None: half the core's.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        padding: ``"reflect"``, ``"replicate"`` or ``"zeros"``.
        downsampling_padding: The same for the down-sampling convolutions; None: as ``padding``.
        downsampling: ``"strided"`` or ``"subpixel"`` (appendix B).
        upsampling: ``"transposed"``, ``"subpixel"``, ``"nearest"`` or ``"trilinear"`` (bilinear in
            2D), the last three as in appendix B.
        lift_kernel: Kernel of the first convolution, odd.
        project_kernel: Kernel of the last convolution, odd.
        noise_channels: Channels of noise z that the first convolution of each lift reads, F(x, z)
            and G(y, z) (`medrev.nets.blocks.NoisyConv`).
        lift_norm: Normalisation and ReLU after the first convolution.
        subnet_final_norm: Normalisation after a sub-network's second convolution.
        zero_init: Sub-networks start at zero, hence the core as the identity. With a global
            residual the last layer of G starts at zero too, hence G as the block mean, which is
            nearly right from the first step.
        bounded: Sub-networks end in tanh (`SubNetwork`).
        coupling: ``"additive"`` or ``"affine"``.
        core: ``"reversible"`` or ``"ode"`` (needs torchdiffeq).
        ode_tolerance: With ``core="ode"``, steps chosen by the solver to this relative and absolute
            error instead of ``depth`` equal ones. The result then depends on the whole window.
        final_activation: ``"none"`` or ``"tanh"``; applied before the global residual is added.
        global_residual: ``"nearest"``, ``"trilinear"`` or ``"cubic"``: F adds to this
            interpolation of x, and G to the block mean of y (both the identity at r = 1);
            ``"none"``.
        consistency: ``"exact"``: F ends in the step to the nearest y whose block mean is x, and G
            is the block mean, so that G(F(x)) = x. ``"learnt"``: the block mean of F(x) may differ
            from x by ``consistency_bound``: ``b tanh((mean F(x) − x) / b)``. ``"none"``.
        consistency_bound: b, in the network's numbers.
        initialisation: ``"normal"`` (the paper's N(0, 0.02)) or ``"kaiming"``: He's for the core,
            PyTorch's own for the lifts, N(0, 0.02) for the last convolution of each projection.
        scale_factor: Voxels r of the grid of y per voxel of the grid of x, along every axis, or
            along each.

    Raises:
        ConfigError: If an option has a value that is not listed, or two exclude each other.
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> import torch
        >>> net = RevGAN(in_channels=6, out_channels=6, width=8, depth=2, scale_factor=2)
        >>> y = net(torch.zeros(1, 6, 6, 6, 6))
        >>> y.shape, net.inverse(y).shape
        (torch.Size([1, 6, 12, 12, 12]), torch.Size([1, 6, 6, 6, 6]))
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        spatial_dims: int = 3,
        width: int = 32,
        depth: int = 4,
        downsamplings: int = 0,
        hidden: int | None = None,
        norm: str = "instance",
        padding: str = "reflect",
        downsampling_padding: str | None = None,
        downsampling: str = "strided",
        upsampling: str = "transposed",
        lift_kernel: int = 3,
        project_kernel: int = 1,
        noise_channels: int = 0,
        lift_norm: bool = True,
        subnet_final_norm: bool = False,
        zero_init: bool = True,
        bounded: bool = False,
        coupling: str = "additive",
        core: str = "reversible",
        ode_tolerance: float | None = None,
        final_activation: str = "none",
        global_residual: str = "none",
        consistency: str = "none",
        consistency_bound: float = 0.1,
        initialisation: Initialisation = "normal",
        scale_factor: Factor = 1,
    ) -> None:
        super().__init__()
        check_choice("spatial_dims", spatial_dims, (2, 3))
        check_choice("coupling", coupling, ("additive", "affine"))
        _check_core(core, coupling, depth, ode_tolerance)
        check_choice("global_residual", global_residual, tuple(_RESIDUAL_RADIUS))
        if global_residual != "none" and in_channels != out_channels:
            raise ConfigError(
                "global_residual needs as many input as output channels, got "
                f"{in_channels} and {out_channels}; set global_residual to none"
            )
        check_choice("consistency", consistency, ("none", "exact", "learnt"))
        self.consistency, self.consistency_bound = consistency, consistency_bound
        self.learns_inverse = consistency == "none"
        self.spatial_dims, self.scale_factor = spatial_dims, scale_factor
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**downsamplings
        self._size_multiple_y: Factor = (
            self.size_multiple * scale_factor
            if isinstance(scale_factor, int)
            else tuple(self.size_multiple * r for r in scale_factor)
        )
        self._sees_window = ode_tolerance is not None or (
            norm == "instance" and (lift_norm or downsamplings + depth > 0)
        )
        self.global_residual = global_residual
        evaluated = depth * (4 if core == "ode" else 2)  # sub-networks one behind the other

        self.squeeze = SpaceToDepth(scale_factor, spatial_dims)
        squeezed = out_channels * self.squeeze.block
        if consistency != "none" and (in_channels != out_channels or self.squeeze.block == 1):
            raise ConfigError(
                f"model.consistency {consistency} needs y on a finer grid than x and as many "
                f"channels, got a factor of {scale_factor}, {in_channels} and {out_channels} "
                "channels; set data.input_grid low, or model.consistency none"
            )
        widths = widths_of(width, downsamplings)

        def build_lift(channels: int) -> nn.Sequential:
            return lift(
                spatial_dims,
                channels,
                widths,
                lift_kernel,
                norm=norm,
                padding=padding,
                downsampling=downsampling,
                downsampling_padding=downsampling_padding,
                first_norm=lift_norm,
                noise=noise_channels,
            )

        def build_project(channels: int) -> nn.Sequential:
            return project(
                spatial_dims,
                channels,
                widths,
                project_kernel,
                norm=norm,
                padding=padding,
                upsampling=upsampling,
                final_activation=final_activation,
            )

        streams = (widths[-1] - widths[-1] // 2, widths[-1] // 2)

        def subnetwork(inputs: int, outputs: int) -> SubNetwork:
            return SubNetwork(
                spatial_dims,
                inputs,
                outputs * (2 if coupling == "affine" else 1),
                hidden=hidden or streams[1],
                norm=norm,
                padding=padding,
                final_norm=subnet_final_norm,
                zero_init=zero_init,
                bounded=bounded,
            )

        couple: type[Coupling] = AffineCoupling if coupling == "affine" else AdditiveCoupling
        self.lift_x = build_lift(in_channels)
        self.lift_y = build_lift(squeezed) if self.learns_inverse else nn.Sequential()
        self.core: ReversibleSequence | ODECore = (
            _ode_core(subnetwork(widths[-1], widths[-1]), depth, ode_tolerance)
            if core == "ode"
            else ReversibleSequence(
                [couple(subnetwork(*streams[::-1]), subnetwork(*streams)) for _ in range(depth)],
                split=streams[0],
            )
        )
        self.project_y = build_project(squeezed)
        self.project_x = build_project(in_channels) if self.learns_inverse else nn.Sequential()
        there = lift_reach(lift_kernel, downsamplings, downsampling)
        core_reach = [reach.convolution(2 * SubNetwork.radius + 1)] * evaluated
        back = project_reach(project_kernel, downsamplings, upsampling)
        self._radius = reach.radius([*there, *core_reach, *back], self.size_multiple)
        #: Voxels of the core to each side that the lift, and the projection, depend on.
        self.lift_radius = reach.cells_of_lift(there, self.size_multiple)
        self.project_radius = reach.cells_of_project(back, self.size_multiple)
        if initialisation == "normal":
            initialise(self)
        else:  # the lifts keep PyTorch's own initialisation
            initialise(self.core, initialisation)
            initialise(last_convolution(self.project_y))
            if self.learns_inverse:
                initialise(last_convolution(self.project_x))
        if global_residual != "none" and zero_init and self.learns_inverse:
            self.untrained_inverse = "the block mean of its input"
            nn.init.zeros_(last_convolution(self.project_x).weight)

    def translate(self, x: Tensor) -> Tensor:
        """Compute F: (B, C_x, *spatial) to (B, C_y, *(spatial · r))."""
        check_input(
            x,
            spatial_dims=self.spatial_dims,
            channels=self.in_channels,
            multiple=self.size_multiple,
        )
        y = self.squeeze.inverse(self.project_y(self.core(self.lift_x(x))))
        if self.global_residual != "none":
            y = y + upsample(x, self.scale_factor, self.global_residual)
        return self.onto(y, x)

    def onto(self, y: Tensor, x: Tensor) -> Tensor:
        """Move the blocks of y as ``consistency`` says, so that their means are x or near it.

        Args:
            y: (B, C, *(spatial · r)).
            x: (B, C, *spatial).
        """
        if self.consistency == "none":
            return y
        y = y.to(x.dtype)  # a mean of bfloat16 would not be exact
        if self.consistency == "exact":
            return onto_means(y, x, self.scale_factor)
        bound = self.consistency_bound
        off = torch.tanh((block_mean(y, self.scale_factor) - x) / bound)
        return onto_means(y, x + bound * off, self.scale_factor)

    def translate_back(self, y: Tensor) -> Tensor:
        """Compute G: (B, C_y, *(spatial · r)) to (B, C_x, *spatial)."""
        check_input(
            y,
            spatial_dims=self.spatial_dims,
            channels=self.out_channels,
            multiple=self._size_multiple_y,
        )
        if not self.learns_inverse:
            return block_mean(y, self.scale_factor)
        x: Tensor = self.project_x(self.core.inverse(self.lift_y(self.squeeze(y))))
        if self.global_residual != "none":
            x = x + block_mean(y, self.scale_factor)
        return x

    def inverse_parameters(self) -> list[nn.Parameter]:
        """Those of L_Y and P_X."""
        return [*self.lift_y.parameters(), *self.project_x.parameters()]

    @property
    def receptive_field(self) -> int:
        """Width, in voxels of x, of what one voxel of the result depends on, F or G."""
        residual = _RESIDUAL_RADIUS[self.global_residual] if self.squeeze.block > 1 else 0
        return 2 * max(self._radius, residual) + 1

    @property
    def norm_depends_on_window(self) -> bool:
        """True if there is any instance normalisation, or a solver that chooses its steps."""
        return self._sees_window


def _check_core(core: str, coupling: str, depth: int, ode_tolerance: float | None) -> None:
    check_choice("core", core, ("reversible", "ode"))
    if core == "reversible" and ode_tolerance is not None:
        raise ConfigError(f"ode_tolerance needs core 'ode', got {ode_tolerance} and {core!r}")
    if core == "ode" and coupling != "additive":
        raise ConfigError(f"core 'ode' has no coupling: leave it at 'additive', got {coupling!r}")
    if core == "ode" and depth < 1:
        raise ConfigError(f"depth must be 1 or more with core 'ode', got {depth}")


def _ode_core(slope: nn.Module, steps: int, tolerance: float | None) -> ODECore:
    if tolerance is None:
        return ODECore(slope, method="rk4", steps=steps)
    return ODECore(slope, method="dopri5", rtol=tolerance, atol=tolerance)
