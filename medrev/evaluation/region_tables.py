"""Tables by region or class: a metric per label, volumes before and after, scores of classes."""

from collections.abc import Sequence

from medrev.errors import InputError
from medrev.evaluation.catalogue import digits, heading
from medrev.evaluation.classes import GROUND_TRUTH
from medrev.evaluation.results import Results
from medrev.evaluation.tables import marked_rows, mean_cell
from medrev.evaluation.tabular import Cell, Column, Tabular
from medrev.metrics import WHOLE, Key


def region_table(
    results: Results,
    metric: str,
    component: str | None = None,
    methods: Sequence[str] | None = None,
) -> Tabular:
    """One metric in every region where it was measured: regions are rows, methods columns.

    Args:
        results: Records of a cohort.
        metric: Key of :data:`CATALOGUE`.
        component: Tensor component or scalar map.
        methods: The columns; None: all methods. The best of each row is bold.

    Raises:
        InputError: The metric was measured nowhere.
    """
    names = tuple(methods or results.methods)
    keys = [key for key in results.keys if (key.metric, key.component) == (metric, component)]
    if not keys:
        raise InputError(f"{Key(metric, '…', component)} was not measured in any region")
    unit = results.unit(keys[0])
    places = digits(keys[0], unit)
    rows: list[tuple[Cell, ...]] = []
    bold: set[tuple[int, int]] = set()
    notes = []
    for r, key in enumerate(keys):
        cells = [mean_cell(results, name, key) for name in names]
        counts = {name: len(results.values(name, key)) for name in names}
        rows.append((key.region, *cells))
        bold |= {(r, 1 + c) for c in marked_rows(key, cells, places)}
        if min(counts.values()) < len(results.subjects):
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            notes.append(f"{key.region} is over fewer subjects: {told}.")
    columns = (Column("region"), *(Column(name, places) for name in names))
    caption = heading(keys[0]._replace(region="mask"), unit)
    return Tabular(columns, tuple(rows), caption, tuple(notes), bold=frozenset(bold))


def interval_table(results: Results, methods: Sequence[str] | None = None) -> Tabular | None:
    """Intervals and distributions by method, quantity and region; None where there are none.

    Args:
        results: Records of a cohort.
        methods: Whose; None: all.
    """
    measured = {key for key in results.keys if key.metric in ("interval_coverage", "crps")}
    places = dict.fromkeys((k.component, k.region) for k in results.keys if k in measured)
    rows: list[tuple[Cell, ...]] = []
    for method in methods or results.methods:
        for component, region in places:
            key = Key("interval_coverage", region, component)
            width, crps = (key._replace(metric=metric) for metric in ("interval_width", "crps"))
            held = results.values(method, key).values()
            if held or results.values(method, crps):
                rows.append(
                    (
                        method,
                        component or "values",
                        region,
                        mean_cell(results, method, key),
                        min(held) if held else None,
                        mean_cell(results, method, width),
                        mean_cell(results, method, crps),
                        results.unit(crps if crps in measured else width),
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


def volume_table(results: Results, method: str) -> Tabular:
    """Volumes of the labelled regions in the reference and in a method's output.

    Args:
        results: Records of a cohort.
        method: The method whose label maps were measured.

    Raises:
        InputError: No volume of the method was measured.
    """
    keys = [key for key in results.keys if key.metric == "volume" and results.values(method, key)]
    if not keys:
        raise InputError(f"no volume of {method} was measured: it needs label maps")
    columns = (
        Column("region"),
        Column("n", 0),
        Column("reference [mL]", 2),
        Column(f"{method} [mL]", 2),
        Column("change [%]", 2),
        Column("Dice", 4),
    )
    rows = [
        (
            key.region,
            len(results.values(method, key)),
            *(
                mean_cell(results, method, key._replace(metric=metric))
                for metric in ("reference_volume", "volume", "volume_change", "dice")
            ),
        )
        for key in keys
    ]
    return Tabular(columns, tuple(rows), "Volumes, mean ± standard deviation over subjects")


def class_table(results: Results, methods: Sequence[str] | None = None) -> Tabular:
    """Accuracy and IoU of each class: classes are rows, methods columns.

    Args:
        results: Scores over all images, with the class as component.
        methods: The columns; None: all methods. The best of each row is bold; the ground truth is
            no rival.

    Raises:
        InputError: No class was scored.
    """
    names = tuple(name for name in methods or results.methods if name in results.methods)
    titles = {"class_accuracy": "accuracy", "class_iou": "IoU"}
    columns = [Column(name, 2, title) for title in titles.values() for name in names]
    scored = [key for key in results.keys if key.metric in titles and key.component is not None]
    if not scored:
        raise InputError("no class was scored")
    rows: list[tuple[Cell, ...]] = []
    bold: set[tuple[int, int]] = set()
    for r, component in enumerate(dict.fromkeys(key.component for key in scored)):
        row: list[Cell] = [component]
        for metric in titles:
            key = Key(metric, WHOLE, component)
            cells = [mean_cell(results, name, key) for name in names]
            rivals = [c if n != GROUND_TRUTH else None for n, c in zip(names, cells, strict=True)]
            bold |= {(r, len(row) + c) for c in marked_rows(key, rivals, 2)}
            row += cells
        rows.append(tuple(row))
    caption = "Accuracy and IoU of each class, over all images"
    return Tabular((Column("class"), *columns), tuple(rows), caption, bold=frozenset(bold))
