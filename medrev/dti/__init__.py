"""Diffusion tensors: orders, frames, symmetries, gradients, fit, maps, positive definiteness."""

from medrev.dti.convention import Convention, read_tensor, tensor_convention
from medrev.dti.eigen import eigh, rebuild
from medrev.dti.fit import LinearFit, Signal, fit_signal, fit_tensor
from medrev.dti.frame import Frame, frame_matrix, from_voxel_frame, rotate, to_voxel_frame
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
from medrev.dti.order import COMPONENTS, Order, convert_order, frobenius, from_matrix, to_matrix
from medrev.dti.spd import exp_euclidean, is_positive_definite, log_euclidean, repair
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
