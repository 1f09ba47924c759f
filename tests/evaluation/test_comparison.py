import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medrev.errors import InputError
from medrev.evaluation import Record, Results, compare_groups, compare_methods, holm
from medrev.metrics import Key

RMSE = Key("rmse")


def cohort(**values: list[float]) -> Results:
    """RMSE of some methods, one value per subject."""
    return Results.of(
        Record(f"s{n}", method, *RMSE, value, "1e-5 mm²/s")
        for method, column in values.items()
        for n, value in enumerate(column)
    )


def exact_wilcoxon(differences: list[float]) -> float:
    """The two-sided p value by counting all signs."""
    ranks = stats.rankdata(np.abs(differences))
    observed = abs((np.sign(differences) * ranks).sum())
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(ranks))).reshape(len(ranks), -1)
    return float(np.mean(np.abs(ranks @ signs) >= observed - 1e-9))


def test_p_values_are_those_of_counting_all_signs():
    rng = np.random.default_rng(0)
    a = rng.normal(5, 1, 9)
    b = a + rng.normal(0.5, 0.6, 9)
    (found,) = compare_methods(cohort(a=a.tolist(), b=b.tolist()), RMSE, against="a")
    assert found.p == pytest.approx(exact_wilcoxon(a - b), rel=1e-9)
    assert found.p_holm == found.p
    assert found.difference == pytest.approx((a - b).mean())
    assert found.interval.low <= found.difference <= found.interval.high
    assert found.counts == (9, 9)


def test_effect_is_one_if_a_method_is_always_larger():
    values = [1.0, 2, 3, 4, 5, 6]
    higher = [v + 0.1 * v for v in values]
    (found,) = compare_methods(cohort(a=higher, b=values), RMSE, against="a")
    assert found.effect == 1
    assert found.p == pytest.approx(2 / 2**6)


def test_all_others_are_corrected_together():
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(n, 1, 12).tolist() for n, name in enumerate("abcd")}
    found = compare_methods(cohort(**columns), RMSE, against="c")
    assert [(c.first, c.second) for c in found] == [("c", "a"), ("c", "b"), ("c", "d")]
    assert found[0].difference == pytest.approx(np.subtract(columns["c"], columns["a"]).mean())
    assert [c.p_holm for c in found] == list(holm([c.p for c in found]))
    (one,) = compare_methods(cohort(**columns), RMSE, against="c", methods=["a", "c"])
    assert one.p == found[0].p
    assert one.p_holm <= found[0].p_holm


def test_only_shared_subjects_count():
    results = Results.join(
        [cohort(a=[1, 2, 3, 4, 5, 6, 7, 8]), list(cohort(b=[2.0, 3, 4, 5, 6, 7]))]
    )
    assert compare_methods(results, RMSE, against="a")[0].counts == (6, 6)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([1.0], [2.0], r"not enough subjects (1, 6 are needed)"),
        ([1.0] * 5, [2.0] * 5, "not enough subjects (5, 6 are needed)"),
        ([math.inf] * 6, [2.0] * 6, "some values are infinite"),
        ([], [2.0], "no subject has both values"),
    ],
)
def test_what_cannot_be_tested_is_said(a, b, reason):
    found = compare_methods(cohort(a=a, b=b), RMSE, against="b", methods=["a", "b"])
    assert found[0].p is found[0].p_holm is None
    assert found[0].reason == reason


def test_equal_methods_have_p_of_one():
    (found,) = compare_methods(cohort(a=[1.0] * 6, b=[1.0] * 6), RMSE, against="a")
    assert (found.p, found.effect, found.difference) == (1, 0, 0)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="one of a, got 'z'"):
        compare_methods(cohort(a=[1.0]), RMSE, against="z")


def test_holm_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04, 0.13 times 5, 4, 3, 2, 1.
    found = holm([0.04, 0.011, 0.005, 0.13, 0.02])
    assert found == pytest.approx([0.08, 0.044, 0.025, 0.13, 0.06])
    assert holm([]) == ()
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.1, math.nan])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(values):
    found = holm(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()
    for p, corrected in zip(values, found, strict=True):
        assert p <= corrected <= min(1, len(values) * p) + 1e-12


def test_two_groups_are_compared_by_counting_all_splits():
    one, two = [1.1, 2.3, 2.9, 4.2], [3.1, 4.5, 5.7, 6.1, 7.0]
    values = {f"s{n}": v for n, v in enumerate(one + two)}
    groups = {f"s{n}": "patient" if n < 4 else "control" for n in range(9)}
    found = compare_groups(values, groups)
    ranks = stats.rankdata(list(values.values()))
    sums = [ranks[list(split)].sum() for split in combinations(range(9), 4)]
    middle = np.mean(sums)
    observed = abs(ranks[:4].sum() - middle)
    expected = np.mean([abs(s - middle) >= observed - 1e-9 for s in sums])
    assert found.test == "Mann–Whitney"
    assert found.p == pytest.approx(expected)
    assert list(found.groups) == ["control", "patient"]
    assert found.pairs[0].difference == pytest.approx(5.7 - 2.6)
    # Of the 20 pairs of one of each, the control is larger in 19.
    assert found.pairs[0].effect == pytest.approx((19 - 1) / 20)


def test_three_groups_are_compared_by_kruskal_and_pairs_are_corrected():
    rng = np.random.default_rng(3)
    values = {f"s{n}": float(rng.normal(n % 3, 1)) for n in range(30)}
    groups = {f"s{n}": "abc"[n % 3] for n in range(30)} | {"elsewhere": "d"}
    found = compare_groups(values, groups)
    columns = [[v for s, v in values.items() if groups[s] == name] for name in "abc"]
    # The statistic by its definition, from rank sums
    ranks = dict(zip(values, stats.rankdata(list(values.values())), strict=True))
    sums = [sum(ranks[s] for s in values if groups[s] == name) for name in "abc"]
    h = 12 / (30 * 31) * sum(r**2 / 10 for r in sums) - 3 * 31
    assert found.test == "Kruskal–Wallis"
    assert found.p == pytest.approx(stats.chi2.sf(h, 2), rel=1e-9)
    assert [c.p_holm for c in found.pairs] == list(holm([c.p for c in found.pairs]))
    assert found.groups["b"].mean == pytest.approx(np.mean(columns[1]))


def test_a_group_of_one_subject_is_described_and_not_tested():
    values = {f"s{n}": float(n) for n in range(7)}
    groups = {f"s{n}": "site 1" if n < 6 else "site 2" for n in range(7)}
    found = compare_groups(values, groups)
    assert found.groups["site 2"].mean == 6
    assert found.groups["site 2"].std is None
    assert found.p is None
    assert found.reason == (
        "not enough subjects: 1 of 2 groups have 3 subjects, 2 groups are needed"
    )
    assert found.pairs[0].reason == "not enough subjects (6 and 1, 3 of each are needed)"


def test_equal_values_in_all_groups():
    values = {f"s{n}": 1.0 for n in range(9)}
    found = compare_groups(values, {f"s{n}": "abc"[n % 3] for n in range(9)})
    assert (found.p, found.reason) == (None, "all values are equal")


def test_ties_between_methods_have_no_rank():
    """Of the differences 0, 0, 1, −2 and 3 the last three have ranks: (1 − 2 + 3) / 6."""
    results = cohort(a=[20, 20, 21, 18, 23, 20], b=[20] * 6)
    (found,) = compare_methods(results, RMSE, against="a", resamples=0)
    assert found.effect == pytest.approx(1 / 3)
