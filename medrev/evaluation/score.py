"""Samples through a model, and their scores: for validation and the held-out table."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.sample import Outcome, Sample, Translated
from medrev.evaluation.heldout import HELDOUT
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.results import Record, Results
from medrev.metrics import Key
from medrev.nets import Classifier, Generator
from medrev.prediction import Model, round_trip, translate

#: The interpolation whose error others are divided by.
_YARDSTICK = "cubic"


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
    if isinstance(model.translator, Generator | Classifier):
        return _drawn(model, sample, x, y)
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


def _drawn(model: Model, sample: Sample, x: Domain, y: Domain) -> Translated:
    """A sample of two sides, and what a generator draws for it, always alike."""
    assert sample.x is not None
    assert sample.y is not None
    given, wanted = (
        domain.encode(values, scale)
        for values, domain, scale in zip((sample.x, sample.y), (x, y), sample.scales, strict=True)
    )
    fake = None
    if isinstance(model.translator, Generator):
        seed = torch.Generator().manual_seed(model.pipeline.seed)
        fake = model.translator.draw(given[None].to(model.device), generator=seed)[0, 0].cpu()
    return Translated(sample=sample, x=given, y=wanted, fake_y=fake)


def score(
    subject: str, outcomes: Iterable[Outcome], *, columns: Collection[str] = tuple(HELDOUT)
) -> Results:
    """Score what was made of one sample.

    Args:
        subject: Name of the sample.
        outcomes: What was made of it, direction by direction, and what it should be.
        columns: What is measured, where it can be: names of :data:`HELDOUT`. Ratios are to a method
            ``cubic``.

    Returns:
        The values by method; directions are components.

    Example:
        >>> import numpy as np
        >>> y = np.linspace(-1, 1, 256).reshape(1, 16, 16)
        >>> made = Outcome(outputs={"model": y + 0.5}, reference=y, component="x→y")
        >>> found = score("a", [made], columns=["nmae_forward"])
        >>> found.values("model", Key("nmae", "whole", "x→y"))
        {'a': 0.25}
    """
    found: list[Results] = []
    for one in outcomes:
        wanted = [c for name in columns if (c := HELDOUT[name]).direction == one.component]
        keys = [key for column in wanted for key in column.keys]
        if one.component is not None:
            keys = [key._replace(component=None) for key in keys]
        settings = replace(one.settings, metrics=tuple(keys))
        results = evaluate_methods(
            one.outputs, one.reference, one.mask, subject=subject, settings=settings
        )
        if one.component is not None:
            frame = results.frame.assign(component=one.component)
            results = Results(frame)
        found += [
            results.without(*one.unlisted),
            Results.of(_ratios(results, subject, keys)).without(*one.unlisted),
        ]
    return Results.join(found)


def _ratios(results: Results, subject: str, keys: Collection[Key]) -> Iterator[Record]:
    """Errors divided by that of cubic interpolation of the same input."""
    for key in keys:
        other = key._replace(metric="rmse")
        yardstick = results.record(subject, _YARDSTICK, other)
        if key.metric != "ratio" or yardstick is None:
            continue
        for method in results.methods:
            record = results.record(subject, method, other)
            value, reason = None, yardstick.reason
            if record is not None and record.value is not None and yardstick.value:
                value = record.value / yardstick.value
            elif record is not None and record.value is None:
                reason = record.reason
            if value is None and reason is None:
                reason = "the ratio is undefined: cubic interpolation has no error"
            yield Record(subject, method, *key, value, "", reason)
