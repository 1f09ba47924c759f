"""Model sensitivity: how much a score changes with a change of the input (one2one)."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from medrev.errors import InputError
from medrev.metrics.deviations import deviation
from medrev.metrics.images import data_range, psnr
from medrev.metrics.masked import Array, Floats
from medrev.metrics.similarity import ssim

__all__ = [
    "INFINITE",
    "image_scores",
    "mean_change",
    "round_trip_sensitivity",
    "sensitivity",
]

#: Why a change is undefined.
INFINITE = "the change of an infinite score is undefined"

Image = TypeVar("Image")


def image_scores(
    prediction: Array, target: Array, value_range: float | None = None
) -> dict[str, float]:
    """The scores whose change one2one measures: L1 (MAE ÷ range), PSNR and SSIM.

    Args:
        prediction: Image of shape ``(C, I, J)`` or volume of shape ``(C, I, J, K)``.
        target: Image of the same shape.
        value_range: Data range; default: that of the target.
    """
    span = data_range(target) if value_range is None else value_range
    return {
        "nmae": deviation(prediction, target).mae / span,
        "psnr": psnr(prediction, target, value_range=span),
        "ssim": ssim(prediction, target, value_range=span),
    }


def sensitivity(
    output: Image,
    changed: Image,
    target: Image,
    scores: Callable[[Image, Image], Mapping[str, float]],
) -> dict[str, float | None]:
    """Change of a model's scores with a change of its input.

    ``d‖E‖ = |E(f(x + dx), y) − E(f(x), y)|``, where a larger change means a more sensitive model.

    Args:
        output: The model's output f(x) of the input x.
        changed: The model's output f(x + dx) of the changed input.
        target: What both should be, y.
        scores: Scores E of an output and its target, by name (:func:`image_scores`, or a class IoU
            for labels).

    Returns:
        The change by name; None where a score is infinite.

    References:
        Shen et al., Towards learning a self-inverse network for bidirectional image-to-image
        translation, section 6.

    Example:
        >>> sensitivity(3.0, 5.0, 4.5, lambda output, target: {"error": abs(output - target)})
        {'error': 1.0}
    """
    before, after = scores(output, target), scores(changed, target)
    finite = {n for n, value in before.items() if math.isfinite(value) and math.isfinite(after[n])}
    return {n: mean_change(v, after[n]) if n in finite else None for n, v in before.items()}


def round_trip_sensitivity(
    model: Callable[[Image], Image],
    perturb: Callable[[Image], Image],
    source: Image,
    target: Image,
    scores: Callable[[Image, Image], Mapping[str, float]],
) -> dict[str, float | None]:
    """one2one's protocol: the changed input is what a baseline makes of the target.

    Args:
        model: f, from source to target: the model or the baseline in this direction.
        perturb: The *baseline's* (pix2pix's) model from target to source, the same for all models:
            ``x + dx = perturb(y)``.
        source: The image x.
        target: Its partner y.
        scores: As in :func:`sensitivity`.
    """
    return sensitivity(model(source), model(perturb(target)), target, scores)


def mean_change(before: Floats | float, after: Floats | float) -> float:
    """Mean of ``|after − before|``, over the scores that are finite in both.

    Args:
        before: A model's score or scores, one per slice, of the input.
        after: The same of the changed input.

    Raises:
        InputError: None is finite in both.

    Example:
        >>> mean_change(np.array([20.0, 30.0, np.inf]), np.array([19.0, 33.0, 40.0]))
        2.0
    """
    one, two = np.atleast_1d(before), np.atleast_1d(after)
    finite = np.isfinite(one) & np.isfinite(two)
    if not finite.any():
        raise InputError(INFINITE)
    return float(np.abs(two[finite] - one[finite]).mean())
