"""Errors of diffusion tensors: RMSE, scalar maps, principal direction, definiteness."""

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti import is_positive_definite, principal_direction, scalar_maps
from medrev.errors import InputError
from medrev.evaluation.masked import Array, as_array, masked_pair

__all__ = [
    "RMSE_UNIT",
    "direction_error",
    "not_positive_definite",
    "scalar_error",
    "tensor_rmse",
]

#: mm²/s in one unit of :func:`tensor_rmse`.
RMSE_UNIT = 1e-5


def tensor_rmse(prediction: Array, reference: Array, mask: Array) -> float:
    """Root mean squared error over the six components, in 1e-5 mm²/s.

    ``sqrt(Σ err² / (6·|mask|))`` over mask voxels and the six stored components, each counted once
    (the off-diagonal ones too): the definition of image quality transfer that RevGAN's Table 3
    follows.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape and frame.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.

    References:
        Alexander et al., Image quality transfer and applications in diffusion MRI, NeuroImage 2017.

    Example:
        >>> import numpy as np
        >>> reference = np.zeros((6, 2, 2, 2))
        >>> round(tensor_rmse(reference + 3e-5, reference, np.ones((2, 2, 2))), 6)
        3.0
    """
    first, second = masked_pair(prediction, reference, mask, channels=6)
    return float(np.sqrt(np.mean((first - second) ** 2)) / RMSE_UNIT)


def scalar_error(prediction: Array, reference: Array, mask: Array) -> dict[str, float]:
    """Mean absolute error of the scalar maps over the mask.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.

    Returns:
        Mean absolute error by map: ``fa`` (no unit), ``md``, ``ad``, ``rd`` (mm²/s).
    """
    first, second = (
        scalar_maps(_column(values)) for values in masked_pair(prediction, reference, mask, 6)
    )
    return {
        name: float(np.abs(as_array(first[name]) - as_array(second[name])).mean())
        for name in ("fa", "md", "ad", "rd")
    }


def direction_error(prediction: Array, reference: Array, mask: Array, fa_min: float = 0.2) -> float:
    """Mean angle between the principal directions, in degrees (0 to 90).

    The mean is taken, unweighted, over mask voxels whose *reference* FA exceeds ``fa_min``: below
    it the direction is mostly noise.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape and frame.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``.
        fa_min: Smallest reference FA that counts.

    Raises:
        InputError: No voxel of the mask has so large an FA.
    """
    first, second = (_column(values) for values in masked_pair(prediction, reference, mask, 6))
    counts = as_array(scalar_maps(second)["fa"]).ravel() > fa_min
    if not counts.any():
        raise InputError(f"direction error needs voxels with FA > {fa_min}, got none in the mask")
    one, two = (as_array(principal_direction(t)).reshape(3, -1)[:, counts] for t in (first, second))
    # atan2 of |a×b| and |a·b| keeps small angles exact where arccos would round them.
    angle = np.arctan2(np.linalg.norm(np.cross(one.T, two.T), axis=1), np.abs((one * two).sum(0)))
    return float(np.degrees(angle).mean())


def not_positive_definite(tensor: Array, mask: Array) -> float:
    """Share (0 to 1) of mask voxels whose tensor has an eigenvalue of zero or below.

    Raises:
        InputError: There are not six components, or a masked one is not finite.
    """
    voxels, _ = masked_pair(tensor, tensor, mask, channels=6)
    good = as_array(is_positive_definite(_column(voxels)))
    return float(1 - good.mean())


def _column(values: NDArray[np.float64]) -> torch.Tensor:
    """Voxels (6, N) as a volume (6, N, 1, 1)."""
    return torch.from_numpy(np.ascontiguousarray(values))[..., None, None]
