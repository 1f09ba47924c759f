"""One metric of one prediction, measured as all metrics are."""

from typing import Any

from medrev.errors import InputError
from medrev.evaluation import evaluate_methods
from medrev.metrics import MASK, WHOLE, Array, Key, Settings


def measured(
    metric: str,
    prediction: Array,
    reference: Array,
    mask: Array | None = None,
    component: str | None = None,
    **settings: Any,
) -> float:
    """The value of a metric; InputError says why it is undefined."""
    key = Key(metric, WHOLE if mask is None else MASK, component)
    results = evaluate_methods(
        {"model": prediction},
        reference,
        mask,
        subject="A",
        settings=Settings(metrics=(key,), **settings),
    )
    record = results.record("A", "model", key)
    assert record is not None
    if record.value is None:
        raise InputError(record.reason or "")
    return record.value
