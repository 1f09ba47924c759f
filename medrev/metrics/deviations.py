"""Deviations: of values, of tensors, of round trips, of scores when the input changes."""

from dataclasses import dataclass

import numpy as np
import torch

from medrev.dti import eigh, is_positive_definite, rebuild, scalars
from medrev.dti.spd import FLOOR
from medrev.errors import InputError
from medrev.metrics.masked import Array, Floats, masked_pair


def mae(errors: Floats) -> float:
    """Mean absolute error, in the unit of the errors (prediction minus reference)."""
    return float(np.abs(errors).mean())


def rmse(errors: Floats) -> float:
    """Root mean squared error, in the unit of the errors."""
    return float(np.sqrt(np.mean(errors**2)))


def bias(errors: Floats) -> float:
    """Mean signed error, in the unit of the errors."""
    return float(errors.mean())


def nmse(prediction: Floats, reference: Floats) -> float:
    """Normalised mean squared error ``Σ (prediction − reference)² / Σ reference²``.

    Raises:
        InputError: The reference is zero throughout.

    References:
        Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, 2018.
    """
    power = float((reference**2).sum())
    if power == 0:
        raise InputError("NMSE is undefined: the reference is zero throughout the region")
    return float(((prediction - reference) ** 2).sum() / power)


def wrapped_mae(prediction: Floats, reference: Floats) -> float:
    """Mean of the differences of bytes that wrap around below 0: no error, but a published number.

    The MAE of RevGAN's Table 4, 130 and more at a PSNR of 26 dB, is possible in this way only: a
    difference of −1 counts as 255. Values are from 0 to 255.

    Example:
        >>> import numpy as np
        >>> wrapped_mae(np.array([[10.0, 10.0]]), np.array([[9.0, 11.0]]))
        128.0
    """
    one, two = (np.rint(values).clip(0, 255).astype(np.int64) for values in (prediction, reference))
    return float(((one - two) % 256).mean())


@dataclass(frozen=True)
class CycleResidual:
    """Difference of a round trip from its start.

    Attributes:
        largest: Largest absolute difference, in the volume's unit.
        mean: Mean absolute difference, in the volume's unit.
        relative: Norm of the difference divided by the norm of the start.
    """

    largest: float
    mean: float
    relative: float


def cycle_residual(round_trip: Array, start: Array, mask: Array | None = None) -> CycleResidual:
    """Compare ``inverse(forward(x))`` or ``forward(inverse(y))`` with what it began with.

    Raises:
        InputError: Shapes differ, the mask is empty, a masked value is not finite, or the start is
            zero throughout the mask.

    Example:
        >>> import numpy as np
        >>> cycle_residual(np.array([[[3.0, 4.5]]]), np.array([[[3.0, 4.0]]]))
        CycleResidual(largest=0.5, mean=0.25, relative=0.1)
    """
    one, two = masked_pair(round_trip, start, mask)
    difference = np.abs(one - two)
    norm = float(np.linalg.norm(two))
    if norm == 0:
        raise InputError("the cycle residual is undefined: the start is zero throughout the mask")
    return CycleResidual(
        largest=float(difference.max()),
        mean=float(difference.mean()),
        relative=float(np.linalg.norm(difference)) / norm,
    )


def mean_change(before: Floats | float, after: Floats | float) -> float:
    """Mean of ``|after − before|``, over the scores that are finite in both.

    ``d‖E‖ = |E(f(x + dx), y) − E(f(x), y)|``: the larger, the more sensitive the model f.

    Args:
        before: A model's score E or scores, one per slice, of the input x.
        after: The same of the changed input x + dx, which in one2one's protocol is what a baseline
            (pix2pix) makes of the target y, the same for all models.

    Raises:
        InputError: None is finite in both.

    References:
        Shen et al., Towards learning a self-inverse network for bidirectional image-to-image
        translation, section 6.

    Example:
        >>> mean_change(np.array([20.0, 30.0, np.inf]), np.array([19.0, 33.0, 40.0]))
        2.0
    """
    one, two = np.atleast_1d(before), np.atleast_1d(after)
    finite = np.isfinite(one) & np.isfinite(two)
    if not finite.any():
        raise InputError("the change of an infinite score is undefined")
    return float(np.abs(two[finite] - one[finite]).mean())


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
            Negative eigenvalues count as zero, as in dipy.
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


def tensor_rmse(errors: Floats) -> float:
    """Root mean squared error over the six components, in 1e-5 mm²/s.

    ``sqrt(Σ err² / (6·|mask|))`` over mask voxels and the six stored components, each counted once
    (the off-diagonal ones too): the definition of image quality transfer that RevGAN's Table 3
    follows.

    Args:
        errors: Prediction minus reference ``(6, N)``, or one component of it, in mm²/s.

    References:
        Alexander et al., Image quality transfer and applications in diffusion MRI, NeuroImage 2017.
    """
    return float(np.sqrt(np.mean(errors**2)) / RMSE_UNIT)


def direction_error(prediction: Tensors, reference: Tensors) -> float:
    """Mean angle between the principal directions, in degrees (0 to 90).

    The mean is taken, unweighted, over voxels whose *reference* FA exceeds :data:`FA_MIN`: below
    it the direction is mostly noise. A predicted tensor of zeros has no direction: 90°.

    Raises:
        InputError: No voxel has so large an FA.
    """
    counts = reference.scalars["fa"] > FA_MIN
    if not counts.any():
        raise InputError(f"direction error needs voxels with FA > {FA_MIN}, got none in the mask")
    return float(_angles(prediction.direction[:, counts], reference.direction[:, counts]).mean())


def weighted_direction_error(prediction: Tensors, reference: Tensors) -> float:
    """Mean angle between the principal directions in degrees, weighted by the reference's FA.

    ``Σ FA·θ / Σ FA`` over all voxels.

    Raises:
        InputError: The reference's FA is zero throughout.
    """
    weights = reference.scalars["fa"]
    if not weights.any():
        raise InputError("the direction error weighted by FA needs voxels with FA above 0")
    return float(np.average(_angles(prediction.direction, reference.direction), weights=weights))


def frobenius_norm(difference: Floats) -> float:
    """Mean Frobenius norm of symmetric 3×3 matrices given by their components ``(6, N)``.

    Other than in :func:`tensor_rmse`, off-diagonal components count twice.
    """
    return float(np.sqrt((MULTIPLICITY * difference**2).sum(axis=0)).mean())


def log_euclidean_distance(prediction: Tensors, reference: Tensors) -> float:
    """Mean log-Euclidean distance ``‖log prediction − log reference‖``, without unit.

    Eigenvalues below 1e-6 mm²/s are raised to it first, in both, so that every voxel counts: a
    tensor that is not positive definite is far from all that are.

    References:
        Arsigny et al., Log-Euclidean metrics for fast and simple calculus on diffusion tensors,
        MRM 2006.
    """
    return frobenius_norm(prediction.logarithm - reference.logarithm)


def not_positive_definite(components: Floats) -> float:
    """Share (0 to 1) of tensors ``(6, N)`` that have an eigenvalue of zero or below."""
    good = is_positive_definite(torch.from_numpy(np.ascontiguousarray(components))[..., None, None])
    return float(1 - good.double().mean())


def _angles(one: Floats, two: Floats) -> Floats:
    """Angles between lines given by unit vectors ``(3, N)``, in degrees."""
    (a, b, c), (x, y, z) = one, two
    across = np.sqrt((b * z - c * y) ** 2 + (c * x - a * z) ** 2 + (a * y - b * x) ** 2)
    # atan2 of |a×b| and |a·b| keeps small angles exact where arccos would round them.
    angles = np.degrees(np.arctan2(across, np.abs((one * two).sum(axis=0))))
    angles[~one.any(axis=0)] = 90
    return np.asarray(angles)
