"""Images through a model, one by one."""

from collections.abc import Iterator
from itertools import zip_longest

from torch import Tensor

from medrev.config.schema import ImageData
from medrev.domains.image import ImagePart, Loader, Picture
from medrev.errors import InputError
from medrev.evaluation import Translated, translate_sample
from medrev.prediction import Model

__all__ = ["translate_part"]


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
    for x_picture, y_picture in list(zip_longest(part.x, part.y))[:first]:
        try:
            x = _read(x_picture, loader, data.channels[0])
            y = _read(y_picture, loader, data.channels[1])
        except _LeftOut:
            continue
        names = x_picture.name if x_picture else "", y_picture.name if y_picture else ""
        yield translate_sample(model, x, y, names=names, paired=part.paired, cycles=cycles)


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
