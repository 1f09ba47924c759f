"""Are two methods different, are two groups? Rank tests with Holm's correction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from medrev.errors import InputError
from medrev.evaluation.results import Results
from medrev.evaluation.summary import FEWEST, Description, Interval, bootstrap_mean, describe
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
    """Holm's step-down correction: the chance of any false positive stays below the level.

    Args:
        p_values: p values of tests that are made together.

    Returns:
        Corrected p values in the order given, at most 1.

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
    against: str | None = None,
    methods: Sequence[str] | None = None,
    resamples: int = 9999,
) -> tuple[Comparison, ...]:
    """Wilcoxon signed-rank tests between methods on the subjects they share, Holm-corrected.

    Args:
        results: Records of a cohort.
        key: What is compared.
        against: The method that is compared with all others, first of every pair; None: all pairs.
        methods: Methods that take part; None: all that were measured.
        resamples: Bootstrap samples of the interval of the difference; 0 for none.

    Returns:
        One comparison per pair, corrected together. Pairs of fewer than six subjects, or with
        infinite values, have a reason instead of a p value and do not enter the correction.

    Raises:
        InputError: ``against`` is no method of the results.

    References:
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945. Kerby, The
        simple difference formula, Comprehensive Psychology 2014 (effect).
    """
    names = tuple(methods or results.methods)
    if against is not None and against not in results.methods:
        known = ", ".join(results.methods)
        raise InputError(f"methods are compared with one of {known}, got {against!r}")
    pairs = (
        list(combinations(names, 2))
        if against is None
        else [(against, name) for name in names if name != against]
    )
    values = {name: results.values(name, key) for pair in pairs for name in pair}
    return _corrected([_paired((a, b), values[a], values[b], resamples) for a, b in pairs])


def compare_groups(values: Mapping[str, float], groups: Mapping[str, str]) -> GroupComparison:
    """Compare a metric between groups of subjects, such as sites or diagnoses.

    Args:
        values: Value by subject (:meth:`Results.values`).
        groups: Group by subject; subjects without a group or a value are left out.

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
