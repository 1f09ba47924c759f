"""Samples through a model, in both directions and back, and their scores."""

from collections.abc import Collection, Iterable

from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.sample import Outcome, Sample, Translated
from medrev.evaluation.heldout import HELDOUT
from medrev.evaluation.results import Results
from medrev.evaluation.score import Scored, score
from medrev.evaluation.target import Settings
from medrev.prediction import Model, round_trip, translate

__all__ = ["score_outcomes", "translate_sample"]


def translate_sample(
    model: Model,
    sample: Sample,
    x: Domain,
    y: Domain,
    *,
    inverse: bool = True,
    cycles: bool = True,
) -> Translated:
    """Translate a sample in both directions, as far as the model has them, and back.

    Round trips go on from all that the network gave (:func:`medrev.prediction.round_trip`).

    Args:
        model: The model.
        sample: In physical values.
        x: The domain of its x.
        y: The domain of its y.
        inverse: Translate y, too.
        cycles: Translate the results back.
    """
    both_ways = model.translator.has_inverse and model.inverse_is_trained and inverse
    given = [
        None if values is None else domain.encode(values, scale)
        for values, domain, scale in zip((sample.x, sample.y), (x, y), sample.scales, strict=True)
    ]

    def apply(values: Tensor | None, inverse: bool) -> tuple[Tensor | None, Tensor | None]:
        if values is None or (inverse and not both_ways):
            return None, None
        mask = sample.mask
        if mask is not None and mask.shape[1:] != values.shape[1:]:
            mask = None  # it is of the other grid
        if cycles and both_ways:
            return round_trip(model, values, inverse=inverse, mask=mask)
        return translate(model, values, inverse=inverse, mask=mask), None

    fake_y, back_x = apply(given[0], False)
    fake_x, back_y = apply(given[1], True)
    return Translated(
        sample=sample,
        x=given[0],
        y=given[1],
        fake_y=fake_y,
        fake_x=fake_x,
        back_x=back_x,
        back_y=back_y,
    )


def score_outcomes(
    subject: str, outcomes: Iterable[Outcome], *, columns: Collection[str] = tuple(HELDOUT)
) -> Results:
    """Score what was made of a sample (`medrev.domains.Dataset.outcomes`).

    Args:
        subject: Name of the sample.
        outcomes: What is compared with what.
        columns: What is measured: names of :data:`HELDOUT`.
    """
    outcomes = list(outcomes)
    scored = [
        Scored(
            outputs=one.outputs,
            reference=one.reference,
            mask=one.mask,
            settings=Settings(**one.settings),
            component=one.component,
        )
        for one in outcomes
    ]
    unlisted = {name for one in outcomes for name in one.unlisted}
    return score(subject, scored, columns=columns).without(*unlisted)
