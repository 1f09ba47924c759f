"""Scores of a translation in both directions, for the held-out table of images and contrasts."""

from collections.abc import Mapping

from medrev.errors import InputError
from medrev.evaluation.deviations import deviation
from medrev.evaluation.images import psnr
from medrev.evaluation.masked import Array
from medrev.evaluation.scores import Row
from medrev.evaluation.similarity import ssim

__all__ = ["translation_row"]

Pair = tuple[Array, Array]


def translation_row(
    subject: str,
    method: str,
    *,
    translations: Mapping[str, Pair],
    cycles: Mapping[str, Pair] | None = None,
    masks: Mapping[str, Array] | None = None,
    value_range: float = 2.0,
) -> Row:
    """Score the translations of one pair of images or volumes, and their round trips.

    Args:
        subject: Name of the pair.
        method: ``model`` or a baseline.
        translations: Output and reference by direction, ``forward`` (F(x), y) and ``inverse``
            (G(y), x); images ``(C, I, J)`` or volumes ``(C, I, J, K)``. Those without reference
            (unpaired data) are left out.
        cycles: Result and input of the round trips, ``x`` (G(F(x)), x) and ``y`` (F(G(y)), y).
        masks: Masks by direction; default: everywhere.
        value_range: Data range of all of them; 2 for −1 to 1.

    Returns:
        L1 (MAE ÷ range), PSNR and SSIM of each direction, and L1 of each round trip.

    Example:
        >>> import numpy as np
        >>> y = np.linspace(-1, 1, 256).reshape(1, 16, 16)
        >>> row = translation_row("a", "model", translations={"forward": (y + 0.2, y)})
        >>> round(row.scores["nmae_forward"], 6), round(row.scores["psnr_forward"], 6)
        (0.1, 20.0)
    """
    scores: dict[str, float | None] = {}
    notes: list[str] = []
    for direction, (output, reference) in translations.items():
        mask = (masks or {}).get(direction)
        error = deviation(output, reference, mask).mae
        scores[f"nmae_{direction}"] = error / value_range
        scores[f"psnr_{direction}"] = psnr(output, reference, mask, value_range)
        try:
            scores[f"ssim_{direction}"] = ssim(output, reference, mask, value_range=value_range)
        except InputError as undefined:
            scores[f"ssim_{direction}"] = None
            notes.append(str(undefined))
    for domain, (result, given) in (cycles or {}).items():
        scores[f"cycle_{domain}"] = deviation(result, given).mae / value_range
    return Row(subject, method, scores, tuple(dict.fromkeys(notes)))
