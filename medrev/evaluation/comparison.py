"""Are two methods different, are two groups? Rank tests with Holm's correction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.catalogue import digits, heading
from medrev.evaluation.results import Results
from medrev.evaluation.summary import (
    FEWEST,
    NO_INTERVAL,
    Description,
    Interval,
    bootstrap_mean,
    describe,
)
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import Key

#: Fewest pairs of the Wilcoxon test: with five, p cannot fall below 0.0625.
FEWEST_PAIRS = 6
#: Fewest subjects of a group in a group comparison.
FEWEST_GROUP = 3


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same subjects, or two groups of subjects.

    Attributes:
        first: Method or group.
        second: The one it is compared with.
        counts: Number of subjects of each; the same number for methods.
        difference: Mean of first minus second; for groups, difference of their medians.
        interval: Bootstrap interval of the mean difference of methods.
        effect: Rank-biserial correlation, −1 to 1: 1 if first is always larger.
        p: Two-sided p value: Wilcoxon signed rank for methods, Mann–Whitney for groups.
        p_holm: The p value corrected for the number of comparisons made together.
        reason: Why there is no p value; None if there is one.
    """

    first: str
    second: str
    counts: tuple[int, int]
    difference: float | None = None
    interval: Interval | None = None
    effect: float | None = None
    p: float | None = None
    p_holm: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class GroupComparison:
    """A metric of one method in groups of subjects.

    Attributes:
        groups: Description by group.
        test: ``Mann–Whitney`` for two groups, ``Kruskal–Wallis`` for more.
        p: Two-sided p value of the test; None with a reason.
        pairs: All pairs of groups, corrected together.
        reason: Why there is no p value; None if there is one.
    """

    groups: Mapping[str, Description]
    test: str
    p: float | None
    pairs: tuple[Comparison, ...]
    reason: str | None = None


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's correction of p values of tests that are made together, at most 1.

    The chance of any false positive stays below the level.

    References:
        Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p values lie between 0 and 1, got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    corrected = np.empty_like(p)
    corrected[order] = stepped
    return tuple(corrected.tolist())


def compare_methods(
    results: Results,
    key: Key,
    *,
    against: str,
    methods: Sequence[str] | None = None,
    resamples: int = 9999,
) -> tuple[Comparison, ...]:
    """Wilcoxon signed-rank tests of methods against one on the subjects they share.

    Args:
        results: Records of a cohort.
        key: What is compared.
        against: The method that is compared with all others, first of every pair.
        methods: Methods that take part; None: all that were measured.
        resamples: Bootstrap samples of the interval of the difference; 0 for none.

    Returns:
        One comparison per other method, corrected together after Holm. Pairs of fewer than six
        subjects, or with infinite values, have a reason instead of a p value and do not enter the
        correction.

    Raises:
        InputError: ``against`` is no method of the results.

    References:
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945. Kerby, The
        simple difference formula, Comprehensive Psychology 2014 (effect).
    """
    if against not in results.methods:
        known = ", ".join(results.methods)
        raise InputError(f"methods are compared with one of {known}, got {against!r}")
    one = results.values(against, key)
    return _corrected(
        [
            _paired((against, name), one, results.values(name, key), resamples)
            for name in methods or results.methods
            if name != against
        ]
    )


def compare_groups(values: Mapping[str, float], groups: Mapping[str, str]) -> GroupComparison:
    """Compare a metric by subject between groups, such as sites or diagnoses.

    Subjects without a group or a value are left out.

    Returns:
        Description of each group, the overall test and all pairs. Groups of fewer than three
        subjects are described, but not tested.

    References:
        Mann and Whitney, Ann. Math. Statist. 1947; Kruskal and Wallis, JASA 1952.
    """
    from scipy import stats

    members: dict[str, list[float]] = {}
    for subject, value in values.items():
        if subject in groups:
            members.setdefault(groups[subject], []).append(value)
    members = dict(sorted(members.items()))
    described = {name: describe(found) for name, found in members.items()}
    tested = {name: found for name, found in members.items() if len(found) >= FEWEST_GROUP}
    pairs = _corrected(
        [_unpaired(a, b, members[a], members[b]) for a, b in combinations(members, 2)]
    )
    test = "Mann–Whitney" if len(tested) <= 2 else "Kruskal–Wallis"
    if len(tested) < 2:
        small = f"{len(tested)} of {len(members)} groups have {FEWEST_GROUP} subjects"
        reason = f"not enough subjects: {small}, 2 groups are needed"
        return GroupComparison(described, test, None, pairs, reason)
    if len(tested) == 2:
        one, two = tested
        pair = next(pair for pair in pairs if {pair.first, pair.second} == {one, two})
        return GroupComparison(described, test, pair.p, pairs, pair.reason)
    if len({value for found in tested.values() for value in found}) == 1:
        return GroupComparison(described, test, None, pairs, "all values are equal")
    p = float(stats.kruskal(*tested.values()).pvalue)
    return GroupComparison(described, test, p, pairs)


def comparison_table(comparisons: Sequence[Comparison], key: Key, unit: str = "") -> Tabular:
    """Comparisons of methods or groups: difference, interval, effect, p values."""
    places = digits(key, unit)
    columns = (
        Column("first"),
        Column("second"),
        Column("n"),
        Column("difference", places),
        Column("low", places, "95 % interval"),
        Column("high", places, "95 % interval"),
        Column("rank-biserial r", 2),
        Column("p", 4, bounded=True),
        Column("p (Holm)", 4, bounded=True),
    )
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for found in comparisons:
        one, two = found.counts
        rows.append(
            (
                found.first,
                found.second,
                str(one) if one == two else f"{one}, {two}",
                found.difference,
                *(found.interval or NO_INTERVAL),
                found.effect,
                found.p,
                found.p_holm,
            )
        )
        if found.reason:
            notes.append(f"{found.first} and {found.second}: {found.reason}.")
    return Tabular(columns, tuple(rows), heading(key, unit), tuple(notes))


def group_table(groups: Mapping[str, GroupComparison], key: Key, unit: str = "") -> Tabular:
    """One metric by group, by method: count, mean ± std, median, p (:func:`compare_groups`)."""
    places = digits(key, unit)
    columns = (
        Column("method"),
        Column("group"),
        Column("n", 0),
        Column("mean ± std", places),
        Column("median", places),
        Column("test"),
        Column("p", 4, bounded=True),
    )
    rows: list[tuple[Cell, ...]] = []
    notes, sections = [], []
    for method, comparison in groups.items():
        sections.append(len(rows))
        for n, (name, found) in enumerate(comparison.groups.items()):
            mean = None if found.mean is None else MeanStd(found.mean, found.std)
            test = (comparison.test, comparison.p) if n == 0 else ("", None)
            rows.append((method, name, found.count, mean, found.median, *test))
        if comparison.reason:
            notes.append(f"{method}: {comparison.reason}.")
    return Tabular(columns, tuple(rows), heading(key, unit), tuple(notes), tuple(sections))


def _paired(
    names: tuple[str, str],
    one: Mapping[str, float],
    two: Mapping[str, float],
    resamples: int,
) -> Comparison:
    from scipy import stats

    shared = [subject for subject in one if subject in two]
    bare = Comparison(*names, (len(shared), len(shared)))
    if not shared:
        return replace(bare, reason="no subject has both values")
    pairs = np.array([(one[subject], two[subject]) for subject in shared])
    if not np.isfinite(pairs).all():
        return replace(bare, reason="some values are infinite")
    difference = pairs[:, 0] - pairs[:, 1]
    found = replace(bare, difference=float(difference.mean()), effect=_rank_biserial(difference))
    if resamples and len(shared) >= FEWEST:
        with suppress(InputError):  # differences by rounding only
            found = replace(found, interval=bootstrap_mean(difference, resamples=resamples))
    if len(shared) < FEWEST_PAIRS:
        reason = f"not enough subjects ({len(shared)}, {FEWEST_PAIRS} are needed)"
        return replace(found, reason=reason)
    if not difference.any():
        return replace(found, p=1.0)
    return replace(found, p=float(stats.wilcoxon(difference).pvalue))


def _unpaired(first: str, second: str, one: list[float], two: list[float]) -> Comparison:
    from scipy import stats

    bare = Comparison(first, second, (len(one), len(two)))
    if min(len(one), len(two)) < FEWEST_GROUP:
        small = " and ".join(str(n) for n in bare.counts)
        reason = f"not enough subjects ({small}, {FEWEST_GROUP} of each are needed)"
        return replace(bare, reason=reason)
    u, p = stats.mannwhitneyu(one, two)
    medians = float(np.median(one)), float(np.median(two))
    difference = medians[0] - medians[1] if np.isfinite(medians).all() else None
    effect = float(2 * u / (len(one) * len(two)) - 1)
    return replace(bare, difference=difference, effect=effect, p=float(p))


def _rank_biserial(difference: np.ndarray) -> float:
    """Share of the rank sum that is positive minus the share that is negative."""
    from scipy import stats

    moved = difference[difference != 0]
    if not len(moved):
        return 0.0
    ranks = stats.rankdata(np.abs(moved))
    return float((np.sign(moved) * ranks).sum() / ranks.sum())


def _corrected(comparisons: list[Comparison]) -> tuple[Comparison, ...]:
    corrected = iter(holm([c.p for c in comparisons if c.p is not None]))
    return tuple(c if c.p is None else replace(c, p_holm=next(corrected)) for c in comparisons)
