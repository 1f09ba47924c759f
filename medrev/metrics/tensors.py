"""Errors of diffusion tensors: components, scalar maps, principal direction, distances."""

from dataclasses import dataclass

import numpy as np
import torch

from medrev.dti import COMPONENTS, eigh, is_positive_definite, rebuild, scalars
from medrev.dti.spd import FLOOR
from medrev.errors import InputError
from medrev.metrics.deviations import Deviation, of_errors
from medrev.metrics.masked import Array, Floats, masked_pair

__all__ = [
    "FA_MIN",
    "RMSE_UNIT",
    "Tensors",
    "component_rmse",
    "direction_error",
    "direction_error_of",
    "frobenius_distance",
    "frobenius_of",
    "log_euclidean_distance",
    "not_positive_definite",
    "not_positive_definite_of",
    "rmse_of",
    "scalar_error",
    "tensor_rmse",
    "weighted_direction_error",
    "weighted_direction_error_of",
]

#: mm²/s in one unit of :func:`tensor_rmse`.
RMSE_UNIT = 1e-5
#: Smallest FA of the reference where its direction counts in :func:`direction_error`.
FA_MIN = 0.2
#: How often each stored component occurs in the 3×3 matrix.
MULTIPLICITY = np.array([1, 2, 2, 1, 2, 1])[:, None]


@dataclass(frozen=True, eq=False)
class Tensors:
    """Tensors of some voxels, with what the metrics need of them computed once.

    Attributes:
        components: ``(6, N)`` in mm²/s.
        values: Eigenvalues ``(3, N)``, largest first.
        direction: Principal direction ``(3, N)``; zero where the tensor is.
        scalars: ``fa``, ``md``, ``ad``, ``rd``, each ``(N,)``; FA without unit, others in mm²/s.
        logarithm: Matrix logarithm ``(6, N)`` of the tensor with its eigenvalues raised to at
            least 1e-6 mm²/s.
    """

    components: Floats
    values: Floats
    direction: Floats
    scalars: dict[str, Floats]
    logarithm: Floats

    @classmethod
    def of(cls, components: Floats) -> "Tensors":
        """Decompose tensors ``(6, N)``, finite, in mm²/s."""
        values, vectors = eigh(components)
        return cls(
            components,
            values,
            vectors[:, 0] * (components != 0).any(axis=0),
            scalars(values),
            rebuild(np.log(values.clip(min=FLOOR)), vectors),
        )

    def at(self, chosen: np.ndarray) -> "Tensors":
        """The tensors of some of the voxels, ``(N,)`` booleans."""
        return Tensors(
            self.components[:, chosen],
            self.values[:, chosen],
            self.direction[:, chosen],
            {name: values[chosen] for name, values in self.scalars.items()},
            self.logarithm[:, chosen],
        )


def tensor_rmse(prediction: Array, reference: Array, mask: Array | None) -> float:
    """Root mean squared error over the six components, in 1e-5 mm²/s.

    ``sqrt(Σ err² / (6·|mask|))`` over mask voxels and the six stored components, each counted once
    (the off-diagonal ones too): the definition of image quality transfer that RevGAN's Table 3
    follows.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape and frame.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    References:
        Alexander et al., Image quality transfer and applications in diffusion MRI, NeuroImage 2017.

    Example:
        >>> import numpy as np
        >>> reference = np.zeros((6, 2, 2, 2))
        >>> round(tensor_rmse(reference + 3e-5, reference, np.ones((2, 2, 2))), 6)
        3.0
    """
    first, second = masked_pair(prediction, reference, mask, channels=6)
    return rmse_of(first - second)


def rmse_of(errors: Floats) -> float:
    """Root mean square of errors in mm²/s, in 1e-5 mm²/s."""
    return float(np.sqrt(np.mean(errors**2)) / RMSE_UNIT)


def component_rmse(prediction: Array, reference: Array, mask: Array | None) -> dict[str, float]:
    """Root mean squared error of each component, in 1e-5 mm²/s; arguments as `tensor_rmse`'s.

    The root of the mean of their squares is :func:`tensor_rmse`.
    """
    first, second = masked_pair(prediction, reference, mask, channels=6)
    return dict(zip(COMPONENTS, map(rmse_of, first - second), strict=True))


def scalar_error(prediction: Array, reference: Array, mask: Array | None) -> dict[str, Deviation]:
    """Errors of fractional anisotropy and mean, axial and radial diffusivity over the mask.

    Negative eigenvalues count as zero, as in dipy.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.

    Returns:
        Deviation by map: ``fa`` (no unit), ``md``, ``ad``, ``rd`` (mm²/s).
    """
    one, two = (scalars(eigh(voxels)[0]) for voxels in masked_pair(prediction, reference, mask, 6))
    return {name: of_errors(one[name] - two[name]) for name in one}


def direction_error(
    prediction: Array, reference: Array, mask: Array | None, fa_min: float = FA_MIN
) -> float:
    """Mean angle between the principal directions, in degrees (0 to 90).

    The mean is taken, unweighted, over mask voxels whose *reference* FA exceeds ``fa_min``: below
    it the direction is mostly noise. A predicted tensor of zeros has no direction: 90°.

    Args:
        prediction: Tensors of shape ``(6, I, J, K)`` in mm²/s.
        reference: Tensors of the same shape and frame.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.
        fa_min: Smallest reference FA that counts.

    Raises:
        InputError: No voxel of the mask has so large an FA.
    """
    return direction_error_of(*_decomposed(prediction, reference, mask), fa_min=fa_min)


def direction_error_of(prediction: Tensors, reference: Tensors, fa_min: float = FA_MIN) -> float:
    """:func:`direction_error` of decomposed tensors."""
    counts = reference.scalars["fa"] > fa_min
    if not counts.any():
        raise InputError(f"direction error needs voxels with FA > {fa_min}, got none in the mask")
    return float(_angles(prediction.direction[:, counts], reference.direction[:, counts]).mean())


def weighted_direction_error(prediction: Array, reference: Array, mask: Array | None) -> float:
    """Mean angle between the principal directions in degrees, weighted by the reference's FA.

    ``Σ FA·θ / Σ FA`` over all mask voxels; arguments as those of :func:`direction_error`.

    Raises:
        InputError: The reference's FA is zero throughout the mask.
    """
    return weighted_direction_error_of(*_decomposed(prediction, reference, mask))


def weighted_direction_error_of(prediction: Tensors, reference: Tensors) -> float:
    """:func:`weighted_direction_error` of decomposed tensors."""
    weights = reference.scalars["fa"]
    if not weights.any():
        raise InputError("the direction error weighted by FA needs voxels with FA above 0")
    return float(np.average(_angles(prediction.direction, reference.direction), weights=weights))


def frobenius_distance(prediction: Array, reference: Array, mask: Array | None) -> float:
    """Mean Frobenius norm of the difference of the 3×3 matrices, in 1e-5 mm²/s.

    Other than in :func:`tensor_rmse`, off-diagonal components count twice. Arguments as there.
    """
    first, second = masked_pair(prediction, reference, mask, channels=6)
    return float(frobenius_of(first - second) / RMSE_UNIT)


def frobenius_of(difference: Floats) -> float:
    """Mean Frobenius norm of symmetric matrices given by their components ``(6, N)``."""
    return float(np.sqrt((MULTIPLICITY * difference**2).sum(axis=0)).mean())


def log_euclidean_distance(prediction: Array, reference: Array, mask: Array | None) -> float:
    """Mean log-Euclidean distance ``‖log prediction − log reference‖``, without unit.

    Eigenvalues below 1e-6 mm²/s are raised to it first, in both, so that every mask voxel counts:
    a tensor that is not positive definite is far from all that are. Arguments as those of
    :func:`tensor_rmse`.

    References:
        Arsigny et al., Log-Euclidean metrics for fast and simple calculus on diffusion tensors,
        MRM 2006.
    """
    one, two = _decomposed(prediction, reference, mask)
    return frobenius_of(one.logarithm - two.logarithm)


def not_positive_definite(tensor: Array, mask: Array | None) -> float:
    """Share (0 to 1) of mask voxels whose tensor has an eigenvalue of zero or below.

    Raises:
        InputError: There are not six components, or a masked one is not finite.
    """
    return not_positive_definite_of(masked_pair(tensor, tensor, mask, channels=6)[0])


def not_positive_definite_of(components: Floats) -> float:
    """:func:`not_positive_definite` of tensors ``(6, N)``."""
    good = is_positive_definite(torch.from_numpy(np.ascontiguousarray(components))[..., None, None])
    return float(1 - good.double().mean())


def _decomposed(prediction: Array, reference: Array, mask: Array | None) -> tuple[Tensors, Tensors]:
    first, second = masked_pair(prediction, reference, mask, channels=6)
    return Tensors.of(first), Tensors.of(second)


def _angles(one: Floats, two: Floats) -> Floats:
    """Angles between lines given by unit vectors ``(3, N)``, in degrees."""
    (a, b, c), (x, y, z) = one, two
    across = np.sqrt((b * z - c * y) ** 2 + (c * x - a * z) ** 2 + (a * y - b * x) ** 2)
    # atan2 of |a×b| and |a·b| keeps small angles exact where arccos would round them.
    angles = np.degrees(np.arctan2(across, np.abs((one * two).sum(axis=0))))
    angles[~one.any(axis=0)] = 90
    return np.asarray(angles)
