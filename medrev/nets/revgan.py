"""RevGAN: two translators that share one reversible core.

References:
    van der Ouderaa and Worrall, *Reversible GANs for Memory-efficient Image-to-Image Translation*,
    CVPR 2019 (arXiv:1902.02729), section 3 and appendix A.
"""

from functools import partial

import torch
from torch import Tensor, nn

from medrev.config.schema import RevGANModel
from medrev.errors import ConfigError
from medrev.nets import reach
from medrev.nets.blocks import SubNetwork
from medrev.nets.initialise import initialise
from medrev.nets.lift import last_convolution, lift, lift_reach, project, project_reach, widths_of
from medrev.nets.translator import Translator, check_input
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
    to many blocks, a 1³ projection; depth 0 is the 3D-SRCNN pair. The 2D form has ``spatial_dims:
    2, downsamplings: 2, lift_kernel: 7, project_kernel: 7, final_activation: tanh,
    subnet_final_norm: true, zero_init: false``. The authors' public 3D code differs: ``padding:
    replicate, lift_norm: false, norm: batch``; their 2D code pads the strided convolutions with
    zeros: ``downsampling_padding: zeros``.

    With ``scale_factor`` r > 1 the core works on the coarse grid of x: P_Y ends in a convolution to
    C_y·r^d channels that depth-to-space spreads over the fine grid, and L_Y begins with
    space-to-depth. With r = 1 both grids are the same (x is interpolated beforehand).

    With ``norm: batch`` the core's normalisations gather statistics for each direction apart
    (`TwoWayBatchNorm`): in training each batch is normalised by its own, and features of x and of y
    are not alike. In ``eval()`` C⁻¹ then undoes C only where both have the same statistics.

    With ``core: ode`` the core is continuous in depth (appendix B): one `SubNetwork` of all its
    channels gives the slope of an `medrev.reversible.ODECore`, with four evaluations in each step,
    and C⁻¹ undoes C up to the solver's error only. Steps chosen by ``ode_tolerance`` depend on the
    whole window.

    With ``consistency: exact`` F ends in the step to the nearest y whose block mean is x, and G is
    the block mean, so that G(F(x)) = x. With ``learnt`` and a bound b the block mean of F(x) may
    differ from x by ``b tanh((mean F(x) − x) / b)``.

    Args:
        model: The options, a section of the pipeline.
        in_channels: Channels C_x.
        out_channels: Channels C_y.
        scale_factor: Voxels r of the grid of y per voxel of the grid of x, along every axis, or
            along each.

    Raises:
        ConfigError: If two options exclude each other, or do not suit channels and grids.
        InputError: On use, if channels or sizes do not fit.

    Example:
        >>> import torch
        >>> model = RevGANModel(width=8, depth=2)
        >>> net = RevGAN(model, in_channels=6, out_channels=6, scale_factor=2)
        >>> y = net(torch.zeros(1, 6, 6, 6, 6))
        >>> y.shape, net.inverse(y).shape
        (torch.Size([1, 6, 12, 12, 12]), torch.Size([1, 6, 6, 6, 6]))
    """

    def __init__(
        self,
        model: RevGANModel,
        *,
        in_channels: int,
        out_channels: int,
        scale_factor: Factor = 1,
    ) -> None:
        super().__init__()
        _check_core(model)
        if model.global_residual != "none" and in_channels != out_channels:
            raise ConfigError(
                "global_residual needs as many input as output channels, got "
                f"{in_channels} and {out_channels}; set global_residual to none"
            )
        dims, depth = model.spatial_dims, model.depth
        self.consistency, self.consistency_bound = model.consistency, model.consistency_bound
        self.learns_inverse = model.consistency == "none"
        self.spatial_dims, self.scale_factor = dims, scale_factor
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**model.downsamplings
        self._size_multiple_y: Factor = (
            self.size_multiple * scale_factor
            if isinstance(scale_factor, int)
            else tuple(self.size_multiple * r for r in scale_factor)
        )
        self._sees_window = model.ode_tolerance is not None or (
            model.norm == "instance" and (model.lift_norm or model.downsamplings + depth > 0)
        )
        self.global_residual = model.global_residual
        evaluated = depth * (4 if model.core == "ode" else 2)  # sub-networks one behind the other

        self.squeeze = SpaceToDepth(scale_factor, dims)
        squeezed = out_channels * self.squeeze.block
        if not self.learns_inverse and (in_channels != out_channels or self.squeeze.block == 1):
            raise ConfigError(
                f"model.consistency {model.consistency} needs y on a finer grid than x and as many "
                f"channels, got a factor of {scale_factor}, {in_channels} and {out_channels} "
                "channels; set data.input_grid low, or model.consistency none"
            )
        build_lift = partial(lift, model, first_norm=model.lift_norm, noise=model.noise_channels)
        channels = widths_of(model)[-1]
        streams = (channels - channels // 2, channels // 2)
        affine = model.coupling == "affine"

        def subnetwork(inputs: int, outputs: int) -> SubNetwork:
            return SubNetwork(
                dims,
                inputs,
                outputs * (2 if affine else 1),
                hidden=model.hidden or streams[1],
                norm=model.norm,
                padding=model.padding,
                final_norm=model.subnet_final_norm,
                zero_init=model.zero_init,
                bounded=model.bounded,
                two_way=model.core == "reversible",
            )

        couple: type[Coupling] = AffineCoupling if affine else AdditiveCoupling
        self.lift_x = build_lift(in_channels)
        self.lift_y = build_lift(squeezed) if self.learns_inverse else nn.Sequential()
        self.core: ReversibleSequence | ODECore = (
            _ode_core(subnetwork(channels, channels), depth, model.ode_tolerance)
            if model.core == "ode"
            else ReversibleSequence(
                [couple(subnetwork(*streams[::-1]), subnetwork(*streams)) for _ in range(depth)],
                split=streams[0],
            )
        )
        self.project_y = project(model, squeezed)
        self.project_x = project(model, in_channels) if self.learns_inverse else nn.Sequential()
        there = lift_reach(model)
        core_reach = [reach.convolution(2 * SubNetwork.radius + 1)] * evaluated
        back = project_reach(model)
        self._radius = reach.radius([*there, *core_reach, *back], self.size_multiple)
        #: Voxels of the core to each side that the lift, and the projection, depend on.
        self.lift_radius = reach.cells_of_lift(there, self.size_multiple)
        self.project_radius = reach.cells_of_project(back, self.size_multiple)
        if model.initialisation == "normal":
            initialise(self)
        else:  # the lifts keep PyTorch's own initialisation
            initialise(self.core, model.initialisation)
            initialise(last_convolution(self.project_y))
            if self.learns_inverse:
                initialise(last_convolution(self.project_x))
        if model.global_residual != "none" and model.zero_init and self.learns_inverse:
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


def _check_core(model: RevGANModel) -> None:
    if model.core == "reversible" and model.ode_tolerance is not None:
        raise ConfigError(
            f"ode_tolerance needs core 'ode', got {model.ode_tolerance} and {model.core!r}"
        )
    if model.core == "ode" and model.coupling != "additive":
        raise ConfigError(
            f"core 'ode' has no coupling: leave it at 'additive', got {model.coupling!r}"
        )
    if model.core == "ode" and model.depth < 1:
        raise ConfigError(f"depth must be 1 or more with core 'ode', got {model.depth}")


def _ode_core(slope: nn.Module, steps: int, tolerance: float | None) -> ODECore:
    if tolerance is None:
        return ODECore(slope, method="rk4", steps=steps)
    return ODECore(slope, method="dopri5", rtol=tolerance, atol=tolerance)
