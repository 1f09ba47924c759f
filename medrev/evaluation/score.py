"""What a model made of a sample, scored: for validation and the held-out table."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from medrev.evaluation.heldout import HELDOUT, HeldoutColumn
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.results import Key, Record, Results
from medrev.evaluation.target import Settings
from medrev.metrics import Array

__all__ = ["NETWORK_RANGE", "NOISE_FLOOR", "Scored", "score"]

#: The method name of the noise-free truth scored against the noisy reference.
NOISE_FLOOR = "noise floor"
#: Intensities in network range: errors are shares of −1 to 1, the background is −1.
NETWORK_RANGE = Settings(tensors=False, value_range=2.0, black=-1.0)
#: The interpolation whose error others are divided by.
_YARDSTICK = "cubic"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What was made of a sample in one direction, or on a round trip.

    Attributes:
        outputs: Volume ``(C, I, J, K)`` or image ``(C, I, J)`` by method: ``model``, baselines.
        reference: What they should be, of the same shape; of a round trip what it began with.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: everywhere.
        settings: How they are measured; the columns say what is.
        component: x→y, y→x, or of round trips x→y→x, y→x→y; None where there is one direction.
    """

    outputs: Mapping[str, Array]
    reference: Array
    mask: Array | None = None
    settings: Settings = NETWORK_RANGE
    component: str | None = None


def score(
    subject: str, scored: Iterable[Scored], *, columns: Collection[str] = tuple(HELDOUT)
) -> Results:
    """Score what was made of one sample.

    Args:
        subject: Name of the sample.
        scored: Directions and round trips; those without reference (unpaired data) are left out.
        columns: What is measured, where it can be: names of :data:`HELDOUT`. Ratios are to a method
            ``cubic``.

    Returns:
        The values by method; directions are components.

    Example:
        >>> import numpy as np
        >>> y = np.linspace(-1, 1, 256).reshape(1, 16, 16)
        >>> made = Scored(outputs={"model": y + 0.5}, reference=y, component="x→y")
        >>> found = score("a", [made], columns=["nmae_forward"])
        >>> found.values("model", Key("nmae", "whole", "x→y"))
        {'a': 0.25}
    """
    found: list[Results] = []
    for one in scored:
        wanted = [c for name in columns if _direction(c := HELDOUT[name]) == one.component]
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
        found += [results, Results.of(_ratios(results, subject, keys))]
    return Results.join(found)


def _direction(column: HeldoutColumn) -> str | None:
    component = column.component
    return component if component is not None and "→" in component else None


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
