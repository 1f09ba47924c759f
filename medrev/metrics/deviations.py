"""Deviations: of intensities, of round trips from their start, of scores when the input changes."""

from dataclasses import dataclass

import numpy as np

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
