"""Diffusion tensors: orders, frames, symmetries, gradients, fit, maps, positive definiteness.

Tensors are ``(6, I, J, K)``, Dxx, Dxy, Dxz, Dyy, Dyz, Dzz in mm²/s, with more axes where ``…``
stands; zero tensors are background, and stay zero. Affines are voxel → RAS mm, 4×4.
"""

from medrev.dti.convention import (
    COMPONENTS,
    Convention,
    Frame,
    Order,
    convert_order,
    frame_matrix,
    frobenius,
    from_matrix,
    from_voxel_frame,
    read_tensor,
    rotate,
    tensor_convention,
    to_matrix,
    to_voxel_frame,
)
from medrev.dti.fit import LinearFit, Signal, fit_signal, fit_tensor
from medrev.dti.gradients import Gradients, read_gradients
from medrev.dti.maps import (
    color_fa,
    invariant_maps,
    principal_direction,
    scalar_maps,
    scalars,
    sine_squared,
    tensor_maps,
)
from medrev.dti.spd import eigh, exp_euclidean, is_positive_definite, log_euclidean, rebuild, repair
from medrev.dti.symmetry import (
    ENSEMBLES,
    SYMMETRIES,
    apply_symmetry,
    apply_symmetry_scalar,
    ensemble_symmetries,
    symmetries,
)

__all__ = [
    "COMPONENTS",
    "ENSEMBLES",
    "SYMMETRIES",
    "Convention",
    "Frame",
    "Gradients",
    "LinearFit",
    "Order",
    "Signal",
    "apply_symmetry",
    "apply_symmetry_scalar",
    "color_fa",
    "convert_order",
    "eigh",
    "ensemble_symmetries",
    "exp_euclidean",
    "fit_signal",
    "fit_tensor",
    "frame_matrix",
    "frobenius",
    "from_matrix",
    "from_voxel_frame",
    "invariant_maps",
    "is_positive_definite",
    "log_euclidean",
    "principal_direction",
    "read_gradients",
    "read_tensor",
    "rebuild",
    "repair",
    "rotate",
    "scalar_maps",
    "scalars",
    "sine_squared",
    "symmetries",
    "tensor_convention",
    "tensor_maps",
    "to_matrix",
    "to_voxel_frame",
]
