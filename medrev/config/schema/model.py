"""The ``model`` section: the network."""

from typing import Annotated, Literal

from pydantic import Field

from medrev.config.schema.section import Count, Positive, Section

__all__ = ["RevGANModel"]


class RevGANModel(Section):
    """Lift, reversible core, project, in both directions (RevGAN, section 3, eq. 10-11)."""

    kind: Literal["revgan"] = "revgan"
    spatial_dims: Literal[2, 3] = 3
    width: Annotated[int, Field(ge=2)] = 32
    """Channels K of the first lift layer."""
    depth: Annotated[int, Field(ge=0)] = 4
    """Reversible blocks R in the core; 0 gives the non-reversible 3D-SRCNN pair."""
    downsamplings: Annotated[int, Field(ge=0, le=4)] = 0
    """Stride-2 layers in the lift and the project (2 in the 2D networks of the paper)."""
    hidden: Count | None = None
    """Channels between the two convolutions of a sub-network (default: half the core's)."""
    norm: Literal["instance", "batch", "none"] = "instance"
    """batch uses running statistics at inference, so that tiles never change the result."""
    padding: Literal["reflect", "replicate", "zeros"] = "reflect"
    lift_kernel: Literal[1, 3, 5, 7] = 3
    project_kernel: Literal[1, 3, 5, 7] = 1
    lift_norm: bool = True
    """Normalisation and ReLU after the lift's convolutions."""
    subnet_final_norm: bool = False
    """Normalisation after the second convolution of a sub-network (2D networks of the paper)."""
    zero_init: bool = True
    """Second convolution of every sub-network starts at zero: the core starts as identity. With a
    global residual G's last layer too: G starts as the block mean."""
    coupling: Literal["additive", "affine"] = "additive"
    core: Literal["reversible", "ode"] = "reversible"
    """ode: continuous depth (appendix B), which needs torchdiffeq; depth is its Runge-Kutta steps,
    and the inverse is as exact as the solver."""
    ode_tolerance: Positive | None = None
    """With core ode: steps chosen by the solver to this error, instead of depth equal ones."""
    final_activation: Literal["none", "tanh"] = "none"
    global_residual: Literal["none", "nearest", "trilinear", "cubic"] = "none"
    """The network adds to this interpolation of its input (and to the block mean, in reverse)."""
    initialisation: Literal["normal", "kaiming"] = "normal"
    """normal: N(0, 0.02), the paper's. kaiming: He's for the core and PyTorch's own for the lifts,
    which networks without normalisation need."""
