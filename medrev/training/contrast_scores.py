"""Heads through a model, whole volumes: validation, and the rows of the held-out table."""

from dataclasses import dataclass

from torch import Tensor

from medrev.config.schema import ContrastData
from medrev.domains.intensity import BACKGROUND, Head
from medrev.evaluation import Row, translation_row
from medrev.metrics import deviation
from medrev.prediction import Model, round_trip_volume, translate_volume
from medrev.volumes import SLICE_AXES

__all__ = ["TranslatedHead", "contrast_rows", "contrast_scores", "translate_head"]

#: What -1 to 1 spans.
_RANGE = 2.0


@dataclass(frozen=True)
class TranslatedHead:
    """A head and what a model makes of it; ``(1, I, J, K)`` in network range, axes RAS.

    Attributes:
        head: Where it comes from.
        x: The source.
        y: The target.
        mask: Brain, 0 or 1.
        fake_y: F(x).
        fake_x: G(y); None where the model has no way back, or it was not trained.
        back_x: G(F(x)), likewise.
        back_y: F(G(y)), likewise.
    """

    head: Head
    x: Tensor
    y: Tensor
    mask: Tensor
    fake_y: Tensor
    fake_x: Tensor | None = None
    back_x: Tensor | None = None
    back_y: Tensor | None = None


def translate_head(model: Model, head: Head) -> TranslatedHead:
    """Translate the whole volumes of a head in both directions and back.

    Round trips go on from all that the network gave (`medrev.prediction.round_trip_volume`).
    """
    x, y, mask = head.whole()
    if not (model.translator.has_inverse and model.inverse_is_trained):
        fake_y = translate_volume(model, x, mask=mask)
        return TranslatedHead(head, x, y, mask, fake_y)
    fake_y, back_x = round_trip_volume(model, x, mask=mask)
    fake_x, back_y = round_trip_volume(model, y, inverse=True, mask=mask)
    return TranslatedHead(head, x, y, mask, fake_y, fake_x, back_x, back_y)


def contrast_scores(done: TranslatedHead) -> dict[str, float]:
    """L1 of both directions and of the round trips in the mask, shares of the range."""
    compared = {
        "nmae_forward": (_written(done.fake_y), done.y),
        "nmae_inverse": (None if done.fake_x is None else _written(done.fake_x), done.x),
        "cycle_x": (done.back_x, done.x),
        "cycle_y": (done.back_y, done.y),
    }
    return {
        name: deviation(result, to, done.mask).mae / _RANGE
        for name, (result, to) in compared.items()
        if result is not None
    }


def contrast_rows(done: TranslatedHead, data: ContrastData) -> list[Row]:
    """The scores of the model and of the input as it is, in the mask.

    Of 2D networks with the flicker between slices.
    """
    results = {"forward": (_written(done.fake_y), done.y)}
    cycles = {}
    if done.fake_x is not None:
        results["inverse"] = (_written(done.fake_x), done.x)
    if done.back_x is not None and done.back_y is not None:
        cycles = {"x": (done.back_x, done.x), "y": (done.back_y, done.y)}
    inputs = {"forward": (done.x, done.y), "inverse": (done.y, done.x)}
    masks = dict.fromkeys(inputs, done.mask)
    axis = SLICE_AXES[data.slices.axis] if data.samples == "slices" else None
    return [
        translation_row(
            done.head.id,
            method,
            translations=translations,
            cycles=trips,
            masks=masks,
            value_range=_RANGE,
            slice_axis=axis,
        )
        for method, translations, trips in (
            ("model", results, cycles),
            ("input", {name: inputs[name] for name in results}, None),
        )
    ]


def _written(result: Tensor) -> Tensor:
    """A result as its file holds it: no intensity is below that of the background."""
    return result.clamp(min=BACKGROUND)
