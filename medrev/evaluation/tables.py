"""Tables of means over subjects by method, region or class, and of every value."""

from collections.abc import Mapping, Sequence

from medrev.errors import InputError, counted
from medrev.evaluation.case import GROUND_TRUTH
from medrev.evaluation.catalogue import badness, better_of, digits, heading
from medrev.evaluation.results import Results
from medrev.evaluation.summary import mean_cell
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import NOISE_FLOOR, WHOLE, Key

#: Methods that show what could be reached, and are no rivals of the others.
BOUNDS = {
    NOISE_FLOOR: "The noise floor is what the noise-free truth would show.",
    GROUND_TRUTH: "Ground truth: what the segmentation network sees in the real photographs.",
}


def summary_table(
    results: Results,
    keys: Sequence[Key],
    methods: Sequence[str] | None = None,
    *,
    caption: str = "",
) -> Tabular:
    """Mean ± standard deviation over subjects: methods are rows, metrics columns, the best bold."""
    names, count = tuple(methods or results.methods), len(results.subjects)
    columns = [key_column(results, key) for key in keys]
    cells = [mean_cells(results, names, key) for key in keys]
    notes = []
    for key in keys:
        counts = {n: len(results.values(n, key)) for n in names if results.measured(n, key)}
        missing = [f"{name} {n}" for name, n in counts.items() if n < count]
        if missing:
            notes.append(f"{heading(key)} is over fewer subjects: {', '.join(missing)}.")
    return Tabular(
        (Column("method"), *columns),
        tuple(zip(names, *cells, strict=True)),
        caption or f"Mean ± standard deviation over {counted(count, 'subject')}",
        tuple(notes),
        bold=frozenset(
            (r, c)
            for c, (column, means) in enumerate(zip(columns, cells, strict=True), 1)
            for r in best_rows(column, names, means)
        ),
    )


def key_column(results: Results, key: Key) -> Column:
    """The column of a measurement."""
    unit = results.unit(key)
    return Column(heading(key, unit), digits(key, unit), better=better_of(key))


def mean_cells(results: Results, methods: Sequence[str], key: Key) -> list[MeanStd | None]:
    """Means of one measurement by method."""
    return [mean_cell(results.values(method, key).values()) for method in methods]


def best_rows(
    column: Column, names: Sequence[str], cells: Sequence[Cell], *, ties: bool = False
) -> tuple[int, ...]:
    """Rows of the best mean, all that are equal when rounded; none of a single row.

    None where all rows are equal, because a column of zeros has no best; with ``ties`` all of them,
    as the papers' tables have it. None where neither direction is good. Ratios of sharpness have no
    best: the blocks of nearest neighbour and noise bring them near to 1 too.

    Args:
        column: Says which values are good, and to how many digits they are rounded.
        names: Methods of the rows; :data:`BOUNDS` are never the best.
        cells: Their means.
        ties: Mark rows that are all equal.
    """
    if column.better in ("none", "one"):
        return ()
    bad = {
        r: badness(column.better, round(cell.mean, column.digits))
        for r, (name, cell) in enumerate(zip(names, cells, strict=True))
        if isinstance(cell, MeanStd) and name not in BOUNDS
    }
    if len(bad if ties else set(bad.values())) < 2:
        return ()
    return tuple(r for r, each in bad.items() if each == min(bad.values()))


def worse_than(model: str, means: Mapping[str, float], column: Column) -> str | None:
    """Say so where a model is worse than the best of the methods that need none.

    None where it is not, or where neither lower nor higher values are good.
    """
    bad = {method: badness(column.better, mean) for method, mean in means.items()}
    own = bad.pop(model, None)
    if own is None or not bad or column.better not in ("lower", "higher"):
        return None
    best = min(bad, key=bad.__getitem__)
    if own <= bad[best]:
        return None
    numbers = ", ".join(f"{name} {means[name]:.{column.digits}f}" for name in (model, best))
    who = "the model" if model == "model" else model
    return f"{who} is worse than {best} ({column.heading}: {numbers}): do not use it"


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


def region_table(
    results: Results,
    metric: str,
    component: str | None = None,
    methods: Sequence[str] | None = None,
) -> Tabular:
    """One metric by region: regions are rows, methods columns, the best of each row bold.

    Raises:
        InputError: The metric was measured nowhere.
    """
    names = tuple(methods or results.methods)
    keys = [key for key in results.keys if (key.metric, key.component) == (metric, component)]
    if not keys:
        raise InputError(f"{Key(metric, '…', component)} was not measured in any region")
    column = key_column(results, keys[0])
    cells = [mean_cells(results, names, key) for key in keys]
    notes = []
    for key in keys:
        counts = {name: len(results.values(name, key)) for name in names}
        if min(counts.values()) < len(results.subjects):
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            notes.append(f"{key.region} is over fewer subjects: {told}.")
    return Tabular(
        (Column("region"), *(Column(name, column.digits) for name in names)),
        tuple((key.region, *means) for key, means in zip(keys, cells, strict=True)),
        heading(keys[0]._replace(region="mask"), results.unit(keys[0])),
        tuple(notes),
        bold=frozenset(
            (r, 1 + c) for r, means in enumerate(cells) for c in best_rows(column, names, means)
        ),
    )


def class_table(results: Results, methods: Sequence[str] | None = None) -> Tabular:
    """Accuracy and IoU of each class, over all images: a row per class, a column per method.

    The best of each row is bold, but the ground truth.

    Raises:
        InputError: No class was scored.
    """
    names = tuple(name for name in methods or results.methods if name in results.methods)
    titles = {"class_accuracy": "accuracy", "class_iou": "IoU"}
    scored = [key for key in results.keys if key.metric in titles and key.component is not None]
    if not scored:
        raise InputError("no class was scored")
    shown = Column("", 2, better="higher")
    rows: list[tuple[Cell, ...]] = []
    bold: set[tuple[int, int]] = set()
    for r, component in enumerate(dict.fromkeys(key.component for key in scored)):
        row: list[Cell] = [component]
        for metric in titles:
            cells = mean_cells(results, names, Key(metric, WHOLE, component))
            bold |= {(r, len(row) + c) for c in best_rows(shown, names, cells)}
            row += cells
        rows.append(tuple(row))
    columns = (Column(name, 2, title) for title in titles.values() for name in names)
    caption = "Accuracy and IoU of each class, over all images"
    return Tabular((Column("class"), *columns), tuple(rows), caption, bold=frozenset(bold))


def volume_table(results: Results, method: str) -> Tabular:
    """Volumes of the labelled regions in the reference and in a method's output.

    Raises:
        InputError: No volume of the method was measured.
    """
    regions = {
        key.region: len(values)
        for key in results.keys
        if key.metric == "volume" and (values := results.values(method, key))
    }
    if not regions:
        raise InputError(f"no volume of {method} was measured: it needs label maps")
    columns = {
        "reference_volume": Column("reference [mL]", 2),
        "volume": Column(f"{method} [mL]", 2),
        "volume_change": Column("change [%]", 2),
        "dice": Column("Dice", 4),
    }
    rows = (
        (region, n, *(mean_cells(results, [method], Key(m, region))[0] for m in columns))
        for region, n in regions.items()
    )
    return Tabular(
        (Column("region"), Column("n", 0), *columns.values()),
        tuple(rows),
        "Volumes, mean ± standard deviation over subjects",
    )


def interval_table(results: Results, methods: Sequence[str] | None = None) -> Tabular | None:
    """Intervals and distributions by method, quantity and region; None where there are none."""
    measured = [key for key in results.keys if key.metric in ("interval_coverage", "crps")]
    rows: list[tuple[Cell, ...]] = []
    for method in methods or results.methods:
        for component, region in dict.fromkeys((key.component, key.region) for key in measured):
            keys = [
                Key(metric, region, component)
                for metric in ("interval_coverage", "interval_width", "crps")
            ]
            held, width, crps = (results.values(method, key).values() for key in keys)
            if held or crps:
                rows.append(
                    (
                        method,
                        component or "values",
                        region,
                        mean_cell(held),
                        min(held) if held else None,
                        mean_cell(width),
                        mean_cell(crps),
                        results.unit(keys[2] if keys[2] in measured else keys[1]),
                    )
                )
    if not rows:
        return None
    columns = (
        Column("method"),
        Column("quantity"),
        Column("region"),
        Column("voxels in their interval [%]", 1),
        Column("lowest subject [%]", 1),
        Column("width", 3),
        Column("CRPS", 3),
        Column("unit of both"),
    )
    return Tabular(columns, tuple(rows), "Intervals, mean ± standard deviation over subjects")
