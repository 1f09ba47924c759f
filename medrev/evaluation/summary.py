"""A metric over the subjects of a cohort: mean, spread, quartiles, interval; and who is far off."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.catalogue import CATALOGUE, badness, better_of, digits, heading
from medrev.evaluation.results import Results
from medrev.evaluation.tabular import Column, MeanStd, Tabular
from medrev.metrics import Floats, Key

#: Fewest values from which a bootstrap interval is made.
FEWEST = 5
#: Numbers of bootstrap samples that are drawn together; how many changes nothing in what is drawn.
_TOGETHER = 1 << 20


class Interval(NamedTuple):
    """A 95 % confidence interval: its lower and upper end."""

    low: float
    high: float


#: In the place of an interval where there is none.
NO_INTERVAL = (None, None)


@dataclass(frozen=True)
class Description:
    """A metric over subjects. What cannot be told from so few subjects is None, and a note says so.

    Attributes:
        count: Number of subjects.
        mean: Mean; infinite if a value is.
        std: Sample standard deviation (n − 1), as in the papers' ``mean ± std``.
        median: Median.
        lower_quartile: 25th percentile, interpolated between subjects.
        upper_quartile: 75th percentile.
        smallest: Smallest value.
        largest: Largest value.
        interval: Bootstrap confidence interval of the mean.
        notes: What is missing and why.
    """

    count: int
    mean: float | None = None
    std: float | None = None
    median: float | None = None
    lower_quartile: float | None = None
    upper_quartile: float | None = None
    smallest: float | None = None
    largest: float | None = None
    interval: Interval | None = None
    notes: tuple[str, ...] = ()


def describe(values: Sequence[float], *, resamples: int = 9999) -> Description:
    """Describe the values of several subjects, not NaN; with no resamples without a 95 % interval.

    Example:
        >>> found = describe([7.0, 8.0, 9.0])
        >>> found.mean, found.std, found.median, found.notes
        (8.0, 1.0, 8.0, ('no confidence interval: not enough subjects (3, 5 are needed)',))
    """
    array = np.asarray(values, dtype=np.float64)
    if np.isnan(array).any():
        raise InputError("undefined values cannot be described: leave them out")
    if not len(array):
        return Description(0, notes=("no subject has a value",))
    finite = bool(np.isfinite(array).all())
    notes: list[str] = []
    std, interval = None, None
    if not finite:
        notes.append(f"{int(np.isinf(array).sum())} of {len(array)} values are infinite")
    elif len(array) < 2:
        notes.append("no standard deviation: not enough subjects (1, 2 are needed)")
    else:
        std = float(array.std(ddof=1))
    if finite and resamples:
        try:
            interval = bootstrap_mean(array, resamples=resamples)
        except InputError as error:
            notes.append(f"no confidence interval: {error}")
    low, median, high = (_quantile(array, q) for q in (0.25, 0.5, 0.75))
    return Description(
        count=len(array),
        mean=float(array.mean()),
        std=std,
        median=median,
        lower_quartile=low,
        upper_quartile=high,
        smallest=float(array.min()),
        largest=float(array.max()),
        interval=interval,
        notes=tuple(notes),
    )


def bootstrap_mean(
    values: Sequence[float] | Floats,
    *,
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval of a mean of values or differences.

    Raises:
        InputError: There are fewer than five values, or they differ by rounding only.

    References:
        Efron, Better bootstrap confidence intervals, JASA 1987.
    """
    from scipy import stats

    array = np.asarray(values, dtype=np.float64)
    if len(array) < FEWEST:
        raise InputError(f"not enough subjects ({len(array)}, {FEWEST} are needed)")
    if array.min() == array.max():
        return Interval(float(array[0]), float(array[0]))
    if np.ptp(array) <= 1e-12 * np.abs(array).max():
        raise InputError("the values differ by rounding only")
    found = stats.bootstrap(
        (array,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _TOGETHER // len(array)),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def mean_cell(values: Iterable[float]) -> MeanStd | None:
    """Mean and standard deviation over subjects; None where no subject has a value."""
    found = describe(list(values), resamples=0)
    return None if found.mean is None else MeanStd(found.mean, found.std)


def description_table(results: Results, key: Key, methods: Sequence[str] | None = None) -> Tabular:
    """One metric in full: count, mean, deviation, interval, median, quartiles, extremes.

    Methods of which it was not measured are left out.
    """
    unit = results.unit(key)
    places = digits(key, unit)
    names = ("mean", "std", "low", "high", "median", "25 %", "75 %", "smallest", "largest")
    columns = [Column("method"), Column("n", 0), *(Column(name, places) for name in names)]
    columns[4:6] = [Column(c.heading, c.digits, "95 % interval of the mean") for c in columns[4:6]]
    rows, notes = [], []
    for method in methods or results.methods:
        if not results.measured(method, key):
            continue
        found = describe(list(results.values(method, key).values()))
        rows.append(
            (
                method,
                found.count,
                found.mean,
                found.std,
                *(found.interval or NO_INTERVAL),
                found.median,
                found.lower_quartile,
                found.upper_quartile,
                found.smallest,
                found.largest,
            )
        )
        notes += [f"{method}: {note}." for note in found.notes]
    return Tabular(tuple(columns), tuple(rows), heading(key, unit), tuple(notes))


def _quantile(array: Floats, q: float) -> float:
    """Quantile, interpolated linearly; numpy's gives NaN between two infinite values."""
    ordered = np.sort(array)
    position = q * (len(ordered) - 1)
    low, high = float(ordered[math.floor(position)]), float(ordered[math.ceil(position)])
    return low if low == high else low + (position % 1) * (high - low)


#: Robust z score beyond which a subject is flagged, as Iglewicz and Hoaglin recommend.
THRESHOLD = 3.5


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
    """Scores of the subjects whose robust z score exceeds :data:`THRESHOLD` in size.

    Of fewer than five subjects there are none.

    ``z = 0.6745 (x − median) / MAD`` with the median absolute deviation MAD; where that is zero
    (more than half of the values are equal), ``z = (x − median) / (1.2533 · mean absolute
    deviation)``. Infinite values are outliers among finite ones.

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

    Points of curves count where they are named.
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
