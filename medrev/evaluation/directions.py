"""Scores of a translation in both directions, for the held-out table of images and contrasts."""

from collections.abc import Callable, Mapping
from functools import partial

from medrev.errors import InputError
from medrev.evaluation.scores import Row
from medrev.metrics import Array, as_array, deviation, psnr, slice_flicker, ssim

__all__ = ["translation_row"]

Pair = tuple[Array, Array]

#: The direction that ends in a domain.
_MASKS = {"x": "inverse", "y": "forward"}


def translation_row(
    subject: str,
    method: str,
    *,
    translations: Mapping[str, Pair],
    cycles: Mapping[str, Pair] | None = None,
    masks: Mapping[str, Array] | None = None,
    value_range: float = 2.0,
    lowest: float = -1.0,
    slice_axis: int | None = None,
) -> Row:
    """Score the translations of one pair of images or volumes, and their round trips.

    Args:
        subject: Name of the pair.
        method: ``model`` or a baseline.
        translations: Output and reference by direction, ``forward`` (F(x), y) and ``inverse``
            (G(y), x); images ``(C, I, J)`` or volumes ``(C, I, J, K)``. Those without reference
            (unpaired data) are left out.
        cycles: Result and input of the round trips, ``x`` (G(F(x)), x) and ``y`` (F(G(y)), y).
        masks: Masks by direction; default: everywhere. That of ``inverse`` is of x, so it holds
            for the round trip of x, too; and that of ``forward`` for y.
        value_range: Data range of all of them; 2 for −1 to 1.
        lowest: Value of black, or of the background.
        slice_axis: Axis across the slices, 0 for I, of volumes that were made slice by slice.

    Returns:
        L1 (MAE ÷ range), PSNR and SSIM of each direction (and of volumes made slice by slice, their
        flicker), and L1 of each round trip.

    Example:
        >>> import numpy as np
        >>> y = np.linspace(-1, 1, 256).reshape(1, 16, 16)
        >>> row = translation_row("a", "model", translations={"forward": (y + 0.2, y)})
        >>> round(row.scores["nmae_forward"], 6), round(row.scores["psnr_forward"], 6)
        (0.1, 20.0)
    """
    scores: dict[str, float | None] = {}
    notes: list[str] = []
    masks = masks or {}

    def add(name: str, score: Callable[[], float]) -> None:
        try:
            scores[name] = score()
        except InputError as undefined:
            scores[name] = None
            notes.append(str(undefined))

    for direction, (output, reference) in translations.items():
        mask = masks.get(direction)
        error = deviation(output, reference, mask).mae
        scores[f"nmae_{direction}"] = error / value_range
        scores[f"psnr_{direction}"] = psnr(output, reference, mask, value_range)
        # SSIM compares means as well: black is 0 there, as in image files.
        one, two = (as_array(volume) - lowest for volume in (output, reference))
        similarity = partial(ssim, one, two, mask, value_range=value_range)
        add(f"ssim_{direction}", similarity)
        if slice_axis is not None:
            flicker = partial(slice_flicker, output, reference, mask, axis=slice_axis)
            add(f"flicker_{direction}", flicker)
    for domain, (result, given) in (cycles or {}).items():
        mask = masks.get(_MASKS.get(domain, ""))
        scores[f"cycle_{domain}"] = deviation(result, given, mask).mae / value_range
    return Row(subject, method, scores, tuple(dict.fromkeys(notes)))
