"""A sample of two sides and what a model makes of it, in both directions and back."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from medrev.evaluation.heldout import HELDOUT
from medrev.evaluation.results import Results
from medrev.evaluation.score import NETWORK_RANGE, Scored, score
from medrev.evaluation.target import Settings
from medrev.prediction import Model, round_trip, translate

__all__ = ["Translated", "score_translated", "translate_sample"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Translated:
    """A sample and what a model makes of it; ``(C, I, J, K)`` or ``(C, I, J)`` in network range.

    Attributes:
        names: Names of x and y; of pairs they are the same.
        x: The input side; None where there is none (unpaired data).
        y: The other side, likewise.
        paired: Whether x and y show the same.
        mask: ``(1, *spatial)``, positive inside; None: everywhere.
        fake_y: F(x).
        fake_x: G(y); None where the model has no way back, or it was not trained.
        back_x: G(F(x)), likewise, where it was asked for.
        back_y: F(G(y)), likewise.
    """

    names: tuple[str, str]
    x: Tensor | None
    y: Tensor | None
    paired: bool = True
    mask: Tensor | None = None
    fake_y: Tensor | None = None
    fake_x: Tensor | None = None
    back_x: Tensor | None = None
    back_y: Tensor | None = None


def translate_sample(
    model: Model,
    x: Tensor | None,
    y: Tensor | None,
    *,
    names: tuple[str, str],
    paired: bool = True,
    mask: Tensor | None = None,
    cycles: bool = True,
) -> Translated:
    """Translate a sample in both directions, as far as the model has them, and back.

    Round trips go on from all that the network gave (:func:`medrev.prediction.round_trip`).

    Args:
        model: The model.
        x: As in :class:`Translated`, and so are y, names, paired and mask.
        y: The other side.
        names: Names of both.
        paired: Whether x and y show the same.
        mask: Outside of it results are background.
        cycles: Translate the results back, too.
    """
    both_ways = model.translator.has_inverse and model.inverse_is_trained

    def apply(values: Tensor | None, inverse: bool) -> tuple[Tensor | None, Tensor | None]:
        if values is None or (inverse and not both_ways):
            return None, None
        if cycles and both_ways:
            return round_trip(model, values, inverse=inverse, mask=mask)
        return translate(model, values, inverse=inverse, mask=mask), None

    fake_y, back_x = apply(x, False)
    fake_x, back_y = apply(y, True)
    return Translated(
        names=names,
        x=x,
        y=y,
        paired=paired,
        mask=mask,
        fake_y=fake_y,
        fake_x=fake_x,
        back_x=back_x,
        back_y=back_y,
    )


def score_translated(
    done: Translated,
    written: Callable[[Tensor], Tensor],
    *,
    settings: Settings = NETWORK_RANGE,
    baselines: bool = True,
    columns: Collection[str] = tuple(HELDOUT),
) -> Results:
    """Score both directions of a pair and the round trips; of unpaired data these alone.

    Args:
        done: The sample.
        written: Makes of a result what its file would hold, in network range.
        settings: How values are measured.
        baselines: Score the input as it is, too, where both sides have as many channels.
        columns: What is measured: names of :data:`HELDOUT`.

    Returns:
        The values of ``model`` and ``input``; unpaired samples have names of their own.
    """
    x, y = done.names
    trips = (("x→y→x", x, done.back_x, done.x), ("y→x→y", y, done.back_y, done.y))
    cycles = [
        (
            name if done.paired else f"{component[0]}: {name}",
            Scored(
                outputs={"model": result},
                reference=start,
                mask=done.mask,
                settings=settings,
                component=component,
            ),
        )
        for component, name, result, start in trips
        if result is not None and start is not None
    ]
    if not done.paired:
        return Results.join(score(name, [trip], columns=columns) for name, trip in cycles)
    made = []
    for component, result, source, reference in (
        ("x→y", done.fake_y, done.x, done.y),
        ("y→x", done.fake_x, done.y, done.x),
    ):
        if result is None or source is None or reference is None:
            continue
        given = {"input": source} if baselines and source.shape == reference.shape else {}
        made.append(
            Scored(
                outputs={"model": written(result), **given},
                reference=reference,
                mask=done.mask,
                settings=settings,
                component=component,
            )
        )
    return score(x, [*made, *(trip for _, trip in cycles)], columns=columns)
