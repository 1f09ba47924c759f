"""Images through a model, one by one: validation, and the rows of the held-out table."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeGuard

from torch import Tensor

from medrev.config.schema import ImageData
from medrev.domains.image import ImagePart, Loader, Picture
from medrev.errors import InputError
from medrev.evaluation import Row, translation_row
from medrev.prediction import Model, translate_images

__all__ = ["Translated", "means", "quick_scores", "translate_part", "translation_rows"]

#: What −1 to 1 spans.
_RANGE = 2.0


@dataclass(frozen=True)
class Translated:
    """An image of each side and what a model makes of them; ``(C, I, J)`` in network range.

    Attributes:
        name_x: Name of x.
        name_y: Name of y.
        paired: Whether x and y show the same.
        x: An image of the input side; None where there is none left.
        y: An image of the other side, likewise.
        fake_y: F(x).
        fake_x: G(y); None where the model has no way back, or it was not trained.
        back_x: G(F(x)), where it was asked for.
        back_y: F(G(y)), where it was asked for.
    """

    name_x: str
    name_y: str
    paired: bool
    x: Tensor | None
    y: Tensor | None
    fake_y: Tensor | None
    fake_x: Tensor | None
    back_x: Tensor | None = None
    back_y: Tensor | None = None


def translate_part(
    model: Model, part: ImagePart, loader: Loader, *, cycles: bool, first: int | None = None
) -> Iterator[Translated]:
    """Translate the images of a part, whole, in both directions.

    Args:
        model: The model.
        part: Pairs, or images of two sides.
        loader: Reads them.
        cycles: Translate the results back, too.
        first: Only so many.

    Raises:
        InputError: A file is damaged and ``data.on_damage`` is stop; else it is left out.
    """
    data = model.pipeline.data
    assert isinstance(data, ImageData)
    both_ways = model.translator.has_inverse and model.inverse_is_trained
    for x_picture, y_picture in list(zip_longest(part.x, part.y))[:first]:
        try:
            x = _read(x_picture, loader, data.channels[0])
            y = _read(y_picture, loader, data.channels[1])
        except _LeftOut:
            continue
        fake_y = _apply(model, x, inverse=False)
        fake_x = _apply(model, y, inverse=True) if both_ways else None
        back = cycles and both_ways
        yield Translated(
            name_x=x_picture.name if x_picture else "",
            name_y=y_picture.name if y_picture else "",
            paired=part.paired,
            x=x,
            y=y,
            fake_y=fake_y,
            fake_x=fake_x,
            back_x=_apply(model, fake_y, inverse=True) if back else None,
            back_y=_apply(model, fake_x, inverse=False) if back else None,
        )


def translation_rows(done: Translated) -> list[Row]:
    """The scores of images: of a pair in one row, else of each image in its own.

    Results are cut off at −1 and 1, as files of them are. Where both sides have as many channels,
    the unchanged input is a baseline of pairs.
    """
    backs = {"x": (done.back_x, done.x), "y": (done.back_y, done.y)}
    cycles = {side: pair for side, pair in backs.items() if _complete(pair)}
    if not done.paired:
        names = {"x": done.name_x, "y": done.name_y}
        return [
            translation_row(f"{side}: {names[side]}", "model", translations={}, cycles={side: pair})
            for side, pair in cycles.items()
        ]
    results = {"forward": (_cut(done.fake_y), done.y), "inverse": (_cut(done.fake_x), done.x)}
    compared = {name: pair for name, pair in results.items() if _complete(pair)}
    rows = [
        translation_row(
            done.name_x, "model", translations=compared, cycles=cycles, value_range=_RANGE
        )
    ]
    if done.x is not None and done.y is not None and done.x.shape == done.y.shape:
        given = {"forward": (done.x, done.y), "inverse": (done.y, done.x)}
        unchanged = {name: given[name] for name in compared}
        rows.append(
            translation_row(done.name_x, "input", translations=unchanged, value_range=_RANGE)
        )
    return rows


def quick_scores(done: Translated) -> dict[str, float]:
    """L1 of both directions (of pairs) and of the round trips (where there are any)."""
    compared = {"cycle_x": (done.back_x, done.x), "cycle_y": (done.back_y, done.y)}
    if done.paired:
        compared |= {
            "nmae_forward": (_cut(done.fake_y), done.y),
            "nmae_inverse": (_cut(done.fake_x), done.x),
        }
    return {
        name: float((result - to).abs().mean()) / _RANGE
        for name, (result, to) in compared.items()
        if result is not None and to is not None
    }


def means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over images, each over those that have the score."""
    names = dict.fromkeys(name for some in scores for name in some)
    return {name: statistics.fmean(s[name] for s in scores if name in s) for name in names}


def _cut(image: Tensor | None) -> Tensor | None:
    return None if image is None else image.clamp(-1, 1)


def _complete(pair: tuple[Tensor | None, Tensor | None]) -> TypeGuard[tuple[Tensor, Tensor]]:
    return pair[0] is not None and pair[1] is not None


class _LeftOut(Exception):  # noqa: N818 - it is no error
    """A damaged file is left out."""


def _read(picture: Picture | None, loader: Loader, channels: int) -> Tensor | None:
    if picture is None:
        return None
    try:
        return loader.whole(picture, channels)
    except InputError as error:
        loader.damaged(picture, error)
        raise _LeftOut from None


def _apply(model: Model, image: Tensor | None, *, inverse: bool) -> Tensor | None:
    return None if image is None else translate_images(model, image[None], inverse=inverse)[0]
