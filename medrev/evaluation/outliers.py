"""Subjects whose value lies far from those of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medrev.evaluation.catalogue import CATALOGUE, badness, better_of, heading
from medrev.evaluation.results import Results
from medrev.evaluation.tabular import Column, Tabular
from medrev.metrics import Key

#: Robust z score beyond which a subject is flagged, as Iglewicz and Hoaglin recommend.
THRESHOLD = 3.5
#: Fewest subjects among which one can be told to be far from the others.
FEWEST = 5


@dataclass(frozen=True)
class Outlier:
    """A flagged subject.

    Attributes:
        subject: Subject name.
        method: Name of the method.
        key: What was measured.
        value: Its value.
        score: Robust z score; infinite where the others are all equal.
        worse: Whether it is worse than the others; None where neither direction is good.
    """

    subject: str
    method: str
    key: Key
    value: float
    score: float
    worse: bool | None


def outliers(values: Mapping[str, float]) -> dict[str, float]:
    """Subjects whose robust z score exceeds :data:`THRESHOLD` in size.

    ``z = 0.6745 (x − median) / MAD`` with the median absolute deviation MAD; where that is zero
    (more than half of the values are equal), ``z = (x − median) / (1.2533 · mean absolute
    deviation)``. Infinite values are outliers among finite ones.

    Args:
        values: Value by subject.

    Returns:
        Score by flagged subject, none if there are fewer than five subjects.

    References:
        Iglewicz and Hoaglin, How to detect and handle outliers, ASQC 1993.

    Example:
        >>> found = outliers({"A": 1.0, "B": 1.1, "C": 0.9, "D": 1.05, "E": 5.0})
        >>> {subject: round(score, 1) for subject, score in found.items()}
        {'E': 53.3}
    """
    array = np.array(list(values.values()), dtype=np.float64)
    if len(array) < FEWEST or not np.isfinite(np.median(array)):
        return {}
    finite = np.isfinite(array)
    apart = array - np.median(array)
    deviation = float(np.median(np.abs(apart))) / 0.6745
    if deviation == 0:
        deviation = 1.2533 * float(np.abs(apart[finite]).mean())
    scores = apart / deviation if deviation else np.where(finite, 0.0, apart)
    return {
        subject: float(score)
        for subject, score in zip(values, scores, strict=True)
        if abs(score) > THRESHOLD
    }


def find_outliers(
    results: Results,
    keys: Sequence[Key] | None = None,
    methods: Sequence[str] | None = None,
) -> tuple[Outlier, ...]:
    """Flag the subjects of a cohort, by method and key, the farthest first.

    Args:
        results: Records of a cohort.
        keys: What is looked at; None: all that are no points of curves.
        methods: Methods that are looked at; None: all.
    """
    if keys is None:
        keys = [k for k in results.keys if k.metric in CATALOGUE and not CATALOGUE[k.metric].curve]
    found = []
    for method in methods or results.methods:
        for key in keys:
            values = results.values(method, key)
            middle = float(np.median(list(values.values()))) if values else 0.0
            better = better_of(key)
            for subject, score in outliers(values).items():
                value = values[subject]
                worse = badness(better, value) > badness(better, middle)
                told = None if better == "none" else worse
                found.append(Outlier(subject, method, key, value, score, told))
    return tuple(sorted(found, key=lambda outlier: -abs(outlier.score)))


def outlier_table(outliers: Sequence[Outlier], results: Results) -> Tabular:
    """Flagged subjects, the farthest first."""
    columns = (
        Column("subject"),
        Column("method"),
        Column("metric"),
        Column("value", 4),
        Column("robust z", 1),
        Column(""),
    )
    side = {True: "worse than the others", False: "better than the others", None: ""}
    rows = tuple(
        (o.subject, o.method, heading(o.key, results.unit(o.key)), o.value, o.score, side[o.worse])
        for o in outliers
    )
    return Tabular(columns, rows, "Subjects far from the others")
