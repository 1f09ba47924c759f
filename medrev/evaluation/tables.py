"""Tables of a cohort's results: methods, subjects, comparisons, groups, agreement, outliers."""

from collections.abc import Mapping, Sequence

from medrev.errors import InputError
from medrev.evaluation.agreement import BlandAltman
from medrev.evaluation.catalogue import CATALOGUE, Better, digits, heading
from medrev.evaluation.comparison import Comparison, GroupComparison
from medrev.evaluation.outliers import Outlier
from medrev.evaluation.results import Results
from medrev.evaluation.summary import Interval, describe
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import Key


def summary_table(
    results: Results,
    keys: Sequence[Key],
    methods: Sequence[str] | None = None,
    *,
    caption: str = "",
) -> Tabular:
    """Mean ± standard deviation over subjects: methods are rows, metrics columns, the best bold.

    Args:
        results: Records of a cohort.
        keys: The columns.
        methods: The rows; None: all methods.
        caption: What the table shows.
    """
    names = tuple(methods or results.methods)
    columns, cells, notes = [Column("method")], [], []
    bold = set()
    for c, key in enumerate(keys, start=1):
        columns.append(key_column(results, key))
        means, missing = [], {}
        for name in names:
            means.append(mean_cell(results, name, key))
            count = len(results.values(name, key))
            if count < len(results.subjects) and results.measured(name, key):
                missing[name] = count
        cells.append(means)
        bold |= {(r, c) for r in marked_rows(key, means, digits(key, results.unit(key)))}
        if missing:
            counts = ", ".join(f"{name} {count}" for name, count in missing.items())
            notes.append(f"{heading(key)} is over fewer subjects: {counts}.")
    rows = tuple((name, *(column[r] for column in cells)) for r, name in enumerate(names))
    count = len(results.subjects)
    subjects = "1 subject" if count == 1 else f"{count} subjects"
    text = caption or f"Mean ± standard deviation over {subjects}"
    return Tabular(tuple(columns), rows, text, tuple(notes), bold=frozenset(bold))


def key_column(results: Results, key: Key) -> Column:
    """The column of a measurement."""
    unit, metric = results.unit(key), CATALOGUE.get(key.metric)
    better = metric.better if metric else "none"
    return Column(heading(key, unit), digits(key, unit), better=better)


def mean_cell(results: Results, method: str, key: Key) -> MeanStd | None:
    """Mean and standard deviation over subjects; None where no subject has a value."""
    found = describe(list(results.values(method, key).values()), resamples=0)
    return None if found.mean is None else MeanStd(found.mean, found.std)


def worse_than(
    model: str, means: Mapping[str, float], *, better: Better, title: str, rounding: int
) -> str | None:
    """That a model is worse than the best of the methods that need none; None where it is not.

    Args:
        model: Its name among the methods.
        means: Mean by method.
        better: Which values are good; of others than lower and higher nothing is said.
        title: What was measured.
        rounding: Digits after the point.
    """
    rivals = {method: mean for method, mean in means.items() if method != model}
    if model not in means or not rivals or better not in ("lower", "higher"):
        return None
    higher = better == "higher"
    best = (max if higher else min)(rivals, key=rivals.__getitem__)
    if (means[model] >= means[best]) if higher else (means[model] <= means[best]):
        return None
    numbers = ", ".join(f"{name} {means[name]:.{rounding}f}" for name in (model, best))
    who = "the model" if model == "model" else model
    return f"{who} is worse than {best} ({title}: {numbers}): do not use it"


def best_of(
    means: Mapping[int, float], *, higher: bool, rounding: int, ties: bool = False
) -> tuple[int, ...]:
    """Rows of the best mean, all that are equal when rounded; none of a single row.

    None where all rows are equal, because a column of zeros has no best; with ``ties`` all of them,
    as the papers' tables have it.
    """
    rounded = {row: round(mean, rounding) for row, mean in means.items()}
    if len(rounded if ties else set(rounded.values())) < 2:
        return ()
    best = (max if higher else min)(rounded.values())
    return tuple(row for row, mean in rounded.items() if mean == best)


def marked_rows(
    key: Key, cells: Sequence[Cell], rounding: int, *, ties: bool = False
) -> tuple[int, ...]:
    """Rows whose mean is best by the metric's sense (:func:`best_of`).

    None where neither direction is good. Ratios of sharpness have no best: the blocks of nearest
    neighbour and noise bring them near to 1 too.
    """
    metric = CATALOGUE.get(key.metric)
    if metric is None or metric.better in ("none", "one"):
        return ()
    means = {r: cell.mean for r, cell in enumerate(cells) if isinstance(cell, MeanStd)}
    if metric.better == "zero":
        means = {r: abs(mean) for r, mean in means.items()}
    return best_of(means, higher=metric.better == "higher", rounding=rounding, ties=ties)


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
                *Interval.ends(found.interval),
                found.median,
                found.lower_quartile,
                found.upper_quartile,
                found.smallest,
                found.largest,
            )
        )
        notes += [f"{method}: {note}." for note in found.notes]
    return Tabular(tuple(columns), tuple(rows), heading(key, unit), tuple(notes))


def subject_table(
    results: Results, keys: Sequence[Key], methods: Sequence[str] | None = None
) -> Tabular:
    """Every value: a row per subject and method, a column per metric; undefined ones as notes."""
    names = tuple(methods or results.methods)
    columns = [Column("subject"), Column("method"), *(key_column(results, key) for key in keys)]
    rows: list[tuple[Cell, ...]] = []
    reasons: dict[str, None] = {}
    for subject in results.subjects:
        for method in names:
            records = [results.record(subject, method, key) for key in keys]
            values = (record.value if record else None for record in records)
            rows.append((subject, method, *values))
            for record in records:
                if record and record.reason:
                    reasons[f"{subject}, {method}: {record.reason}."] = None
    sections = tuple(range(len(names), len(rows), len(names)))
    return Tabular(tuple(columns), tuple(rows), notes=tuple(reasons), sections=sections)


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
                *Interval.ends(found.interval),
                found.effect,
                found.p,
                found.p_holm,
            )
        )
        if found.reason:
            notes.append(f"{found.first} and {found.second}: {found.reason}.")
    return Tabular(columns, tuple(rows), heading(key, unit), tuple(notes))


def group_table(groups: Mapping[str, GroupComparison], key: Key, unit: str = "") -> Tabular:
    """One metric by group, for several methods: count, mean ± std, median, p value of the test.

    Args:
        groups: Comparison of the groups by method (:func:`compare_groups`).
        key: What was measured.
        unit: Its unit.
    """
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


def agreement_table(analyses: Mapping[str, BlandAltman | InputError], unit: str = "") -> Tabular:
    """Bland–Altman analyses: bias and limits of agreement with their intervals.

    Args:
        analyses: Analysis by name (of a method, region or scalar map), or the error that says why
            there is none.
        unit: Unit of the measurements.
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
            ends += [value, *Interval.ends(interval)]
        rows.append((name, len(found.subjects), *ends, found.slope, found.slope_p))
    caption = "Bland–Altman: prediction − reference, with 95 % intervals"
    return Tabular(
        tuple(columns), tuple(rows), f"{caption} [{unit}]" if unit else caption, tuple(notes)
    )


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
