"""Agreement of a scalar measured in predictions with the same measured in references."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.results import Results
from medrev.evaluation.summary import Interval
from medrev.evaluation.tabular import Cell, Column, Tabular
from medrev.metrics import Floats, Key

#: Fewest pairs of a Bland–Altman analysis: its limits need a standard deviation.
FEWEST = 3


@dataclass(frozen=True)
class BlandAltman:
    """Bland–Altman analysis: differences (prediction − reference) over subjects.

    Attributes:
        subjects: Subject names.
        means: Mean of the two measurements, by subject: the plot's x axis.
        differences: Their difference, by subject: the plot's y axis.
        bias: Mean difference, and its confidence interval.
        lower: Lower limit of agreement, bias − 1.96 std, and its confidence interval.
        upper: Upper limit of agreement.
        slope: Slope of the differences over the means, whose p value tells whether the bias grows
            with the measurement; None where all means or all differences are equal.
        slope_p: That p value.
    """

    subjects: tuple[str, ...]
    means: tuple[float, ...]
    differences: tuple[float, ...]
    bias: tuple[float, Interval]
    lower: tuple[float, Interval]
    upper: tuple[float, Interval]
    slope: float | None
    slope_p: float | None


def bland_altman(prediction: Mapping[str, float], reference: Mapping[str, float]) -> BlandAltman:
    """Bland–Altman analysis of the subjects that have both values.

    The limits hold 95 % of the differences if these are normally distributed. Intervals (95 %) are
    those of Student's t with the standard errors ``s/√n`` for the bias and
    ``s √(1/n + 1.96²/(2(n − 1)))`` for the limits.

    Args:
        prediction: Value by subject, such as a volume in mL or a mean FA.
        reference: Value by subject.

    Raises:
        InputError: Fewer than three subjects have both values, or a value is not finite.

    References:
        Bland and Altman, Measuring agreement in method comparison studies, Stat. Methods Med. Res.
        1999.

    Example:
        >>> found = bland_altman({"A": 1, "B": 2, "C": 4}, {"A": 1, "B": 3, "C": 3})
        >>> found.bias[0], round(found.upper[0], 3)
        (0.0, 1.96)
    """
    from scipy import stats

    shared = tuple(subject for subject in prediction if subject in reference)
    if len(shared) < FEWEST:
        raise InputError(f"Bland–Altman: not enough subjects ({len(shared)}, {FEWEST} are needed)")
    pairs = np.array([(prediction[s], reference[s]) for s in shared], dtype=np.float64)
    if not np.isfinite(pairs).all():
        raise InputError("Bland–Altman: all values must be finite")
    n = len(shared)
    difference, mean = pairs[:, 0] - pairs[:, 1], pairs.mean(axis=1)
    bias, std = float(difference.mean()), float(difference.std(ddof=1))
    z = float(stats.norm.ppf(0.975))
    t = float(stats.t.ppf(0.975, n - 1))
    of_bias = t * std / math.sqrt(n)
    of_limit = t * std * math.sqrt(1 / n + z**2 / (2 * (n - 1)))
    slope, slope_p = _line(mean, difference)
    return BlandAltman(
        subjects=shared,
        means=tuple(mean.tolist()),
        differences=tuple(difference.tolist()),
        bias=(bias, _around(bias, of_bias)),
        lower=(bias - z * std, _around(bias - z * std, of_limit)),
        upper=(bias + z * std, _around(bias + z * std, of_limit)),
        slope=slope,
        slope_p=slope_p,
    )


def method_agreement(results: Results, method: str, key: Key) -> BlandAltman:
    """Agreement of a method's scalar with the reference's, from the records of a cohort.

    Of the keys ``mean`` (of a map or of intensities) and ``volume`` the records hold the
    reference's value, as ``reference_mean`` and ``reference_volume``.

    Raises:
        InputError: The key has no such partner, or as :func:`bland_altman`.
    """
    if key.metric not in ("mean", "volume"):
        raise InputError(f"agreement is measured for mean and volume, got {key.metric!r}")
    partner = key._replace(metric=f"reference_{key.metric}")
    return bland_altman(results.values(method, key), results.values(method, partner))


def agreement_table(analyses: Mapping[str, BlandAltman | InputError], unit: str = "") -> Tabular:
    """Bland–Altman analyses by name, bias and limits of agreement with their intervals.

    An error says why there is none.
    """
    places = 4 if not unit else 3
    columns = [Column(""), Column("n", 0)]
    for name in ("bias", "lower limit", "upper limit"):
        columns += [
            Column("value", places, name),
            Column("low", places, name),
            Column("high", places, name),
        ]
    columns += [Column("slope", 3), Column("p of slope", 4, bounded=True)]
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for name, found in analyses.items():
        if isinstance(found, InputError):
            rows.append((name, *[None] * (len(columns) - 1)))
            notes.append(f"{name}: {found}.")
            continue
        ends: list[Cell] = []
        for value, interval in (found.bias, found.lower, found.upper):
            ends += [value, *interval]
        rows.append((name, len(found.subjects), *ends, found.slope, found.slope_p))
    caption = "Bland–Altman: prediction − reference, with 95 % intervals"
    return Tabular(
        tuple(columns), tuple(rows), f"{caption} [{unit}]" if unit else caption, tuple(notes)
    )


def _line(mean: Floats, difference: Floats) -> tuple[float | None, float | None]:
    """Slope of the differences over the means and its p value, where both vary."""
    from scipy import stats

    if any(np.ptp(v) <= 1e-12 * np.abs(v).max() for v in (mean, difference)):
        return None, None
    with np.errstate(all="ignore"):  # squares of tiny values vanish
        line = stats.linregress(mean, difference)
    slope, p = float(line.slope), float(line.pvalue)
    return (None, None) if math.isnan(slope) or math.isnan(p) else (slope, p)


def _around(value: float, half: float) -> Interval:
    return Interval(value - half, value + half)
