"""The tables of a cohort: which measurements go where, means, tests, groups, agreement."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from medrev.errors import InputError
from medrev.evaluation import (
    BOUNDS,
    CATALOGUE,
    BlandAltman,
    Evaluated,
    Outlier,
    Results,
    Tabular,
    agreement_table,
    class_table,
    compare_groups,
    compare_methods,
    comparison_table,
    description_table,
    find_outliers,
    group_table,
    interval_table,
    method_agreement,
    outlier_table,
    paper_table,
    region_table,
    subject_table,
    summary_table,
    volume_table,
    worse_than,
)
from medrev.evaluation.tables import key_column, mean_cells
from medrev.metrics import INTERIOR, MASK, WHOLE, Key
from medrev.report.words import Words, words_of

#: What goes into the first table, in this order, where it was measured: metric, region (None: the
#: main one), component.
_HEADLINE: tuple[tuple[str, str | None, str | None], ...] = (
    ("rmse", INTERIOR, None),
    ("rmse", None, None),
    ("mae", None, None),
    ("mae", None, "FA"),
    ("mae", None, "MD"),
    ("direction_error", None, None),
    ("psnr", None, None),
    ("ssim", None, None),
    ("gradient_ratio", None, None),
    ("not_positive_definite", None, None),
    ("pixel_accuracy", None, None),
    ("class_accuracy", None, None),
    ("class_iou", None, None),
    ("d_psnr", None, None),
    ("d_ssim", None, None),
    ("d_nmae", None, None),
    ("d_iou", None, None),
)
_SHARPNESS = {"gradient_ratio", "through_plane_ratio", "flicker", "power_ratio", "coherence"}
_TRUST = {
    "coverage_error",
    "reliability_error",
    "sparsification_error",
    "error_correlation",
    "energy_score",
    "cycle_largest",
    "cycle_mean",
    "cycle_relative",
}
#: What has a table of its own.
_INTERVALS = {"interval_level", "interval_coverage", "interval_width", "crps"}
#: Scalars whose agreement with the reference is analysed, at most so many.
_AGREEMENT, _MOST_AGREEMENTS = ("mean", "volume"), 12


@dataclass(frozen=True)
class CohortTables:
    """All tables of a cohort, and what charts are made of.

    Attributes:
        keys: Measurements of the first table.
        tables: The tables by what they are and by name: the summary, means of the first
            measurements, and all their values, by subject; means, by theme; descriptions (median,
            quartiles, bootstrap interval), comparisons of the first model with all other methods
            and groups, by key; agreement, by unit; regions, by measurement; papers' tables; and one
            table each of classes, intervals and outliers. Nothing where nothing is to tell.
        agreements: Bland–Altman analyses of the first model by what was measured.
        outliers: Subjects far from the others.
        warnings: Which models are worse than what needs none, by the first measurement that tells.
        groups: Group by subject, where groups are compared.
    """

    keys: tuple[Key, ...]
    tables: Mapping[str, Mapping[str, Tabular]]
    agreements: Mapping[Key, BlandAltman]
    outliers: tuple[Outlier, ...]
    warnings: tuple[str, ...]
    groups: Mapping[str, str]

    def of(self, what: str) -> Mapping[str, Tabular]:
        """The tables of a kind, by name."""
        return self.tables.get(what, {})

    @property
    def summary(self) -> Tabular:
        """The first table."""
        return self.tables["summary"][""]

    def files(self) -> dict[str, Tabular]:
        """Every table by the name of its file."""
        named = {}
        for what, tables in self.tables.items():
            for name, table in tables.items():
                told = name if what == "paper" else _slug(name)
                named["_".join(part for part in (what, told) if part)] = table
        return named


def cohort_tables(
    evaluated: Evaluated,
    groups: Mapping[str, str] | None = None,
    *,
    papers: Sequence[str] = (),
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    direction: str = "",
) -> CohortTables:
    """Make all tables of a cohort.

    Args:
        evaluated: The results.
        groups: Group by subject, if groups are to be compared.
        papers: Tables in the forms of papers that are wanted (:data:`PAPER_TABLES`); scores over
            all subjects together stand there in the place of means.
        origins: What is known about every model.
        direction: From what to what models translate, for papers' tables.

    Raises:
        InputError: A paper's table is not known.
    """
    results, models, totals = evaluated.results, evaluated.models, evaluated.totals
    words = words_of(evaluated)
    keys, count = tuple(headline_keys(results)), len(results.subjects)
    baselines = [m for m in results.methods if m not in models and m not in BOUNDS]
    rivals = [*(m for m in models if m in results.methods), *baselines]
    methods = [*rivals, *(m for m in results.methods if m in BOUNDS)]
    sections = tuple(sorted({len(models), len(rivals)} - {len(methods)}))

    def means(keys: Sequence[Key], caption: str) -> Tabular:
        """Models, baselines and what could be reached, parted by rules."""
        return replace(summary_table(results, keys, methods, caption=caption), sections=sections)

    agreements, agreement_tables = _agreements(results, models[0])
    found = find_outliers(results, keys, models)
    over = f"Mean ± standard deviation over {words.count(count)}"
    themes = key_groups(results, words)
    tables: dict[str, dict[str, Tabular]] = {
        "summary": {"": means(keys, over)},
        "subjects": {"": subject_table(results, keys, methods)},
        "means": {name: means(theme, name) for name, theme in themes.items()},
        "description": {str(key): description_table(results, key, methods) for key in keys},
        "outliers": {"": outlier_table(found, results)},
        "regions": _regions(results, keys, methods, models),
        "agreement": agreement_tables,
        "comparison": {},
        "groups": {},
    }
    for key in keys:
        unit = results.unit(key)
        compared = [method for method in rivals if results.measured(method, key)]
        if count > 1 and len(compared) > 1 and models[0] in compared:
            tests = compare_methods(results, key, against=models[0], methods=compared)
            tables["comparison"][str(key)] = comparison_table(tests, key, unit)
        if groups:
            of = {model: compare_groups(results.values(model, key), groups) for model in models}
            tables["groups"][str(key)] = group_table(of, key, unit)
    if any(key.metric == "class_iou" for key in totals.keys):
        tables["classes"] = {"": class_table(totals, methods)}
    if (intervals := interval_table(results, methods)) is not None:
        tables["intervals"] = {"": intervals}
    told = {direction: with_totals(results, totals)}
    tables["paper"] = {n: paper_table(n, told, methods=rivals, models=origins) for n in papers}
    warnings = (_warning(results, keys, model, baselines) for model in models)
    return CohortTables(
        keys=keys,
        tables=tables,
        agreements=agreements,
        outliers=found,
        warnings=tuple(line for line in warnings if line),
        groups=groups or {},
    )


def _warning(
    results: Results, keys: Sequence[Key], model: str, others: Sequence[str]
) -> str | None:
    """That a model is worse than what needs none, if it is."""
    names = [model, *others]
    for key in keys:
        column, cells = key_column(results, key), mean_cells(results, names, key)
        found = {name: cell.mean for name, cell in zip(names, cells, strict=True) if cell}
        if model in found and len(found) > 1 and column.better in ("lower", "higher"):
            return worse_than(model, found, column)
    return None


def with_totals(results: Results, totals: Results) -> Results:
    """Results in which totals stand in the place of the subjects' own values."""
    if not totals:
        return results
    own = results.frame
    return Results.join([Results(own[~own["metric"].isin(totals.frame["metric"])]), totals])


def main_region(results: Results) -> str:
    """The region that the tables are about: the mask, or the whole volume where there is none."""
    return MASK if any(key.region == MASK for key in results.keys) else WHOLE


def headline_keys(results: Results) -> list[Key]:
    """What goes into the first table."""
    region = main_region(results)
    wanted = [Key(metric, where or region, part) for metric, where, part in _HEADLINE]
    found = [key for key in wanted if key in results.keys]
    if Key("mae", region) in found:  # of intensities; their RMSE is in the PSNR
        found = [key for key in found if key.metric != "rmse"]
    return found


def key_groups(results: Results, words: Words) -> dict[str, tuple[Key, ...]]:
    """All measurements but points of curves and those of labels, by theme."""
    region = main_region(results)
    groups: dict[str, list[Key]] = {}
    for key in results.keys:
        metric = CATALOGUE.get(key.metric)
        if (metric is not None and metric.curve) or key.metric in _INTERVALS:
            continue
        if key.metric in _SHARPNESS:
            name = "Sharpness"
        elif key.metric in _TRUST and key.region == region:
            name = "Uncertainty and round trips"
        elif key.metric.startswith("d_"):
            name = "Sensitivity"
        elif key.metric.startswith("slice_"):
            name = "Slices" if key.region == region else "Slices, whole with their background"
        elif key.region == INTERIOR:
            name = "Interior of the mask"
        elif key.region == region:
            name = "Whole mask" if region == MASK else words.whole.capitalize()
        else:
            continue  # labels have tables of their own
        groups.setdefault(name, []).append(key)
    return {name: tuple(keys) for name, keys in groups.items()}


def _regions(
    results: Results, keys: Sequence[Key], methods: Sequence[str], models: Sequence[str]
) -> dict[str, Tabular]:
    """Measurements of the first table by label, where there are labels; and their volumes."""
    labels = {key.region for key in results.keys} - {INTERIOR, MASK, WHOLE}
    if not labels:
        return {}
    measured = {(key.metric, key.component) for key in results.keys if key.region in labels}
    wanted = dict.fromkeys((key.metric, key.component) for key in keys)
    found = {}
    for metric, component in wanted:
        if (metric, component) in measured:
            table = region_table(results, metric, component, methods)
            found[_name(Key(metric, MASK, component))] = table
    for model in models:
        with suppress(InputError):  # it has no label maps
            found[f"volume {model}"] = volume_table(results, model)
    return found


def _agreements(results: Results, model: str) -> tuple[dict[Key, BlandAltman], dict[str, Tabular]]:
    """Analyses of a model, and a table of them per unit; none where nothing could be analysed."""
    region = main_region(results)
    keys = [
        key
        for key in results.keys
        if key.metric in _AGREEMENT and (key.region == region or key.metric == "volume")
    ]
    found: dict[Key, BlandAltman | InputError] = {}
    for key in keys[:_MOST_AGREEMENTS]:
        try:
            found[key] = method_agreement(results, model, key)
        except InputError as error:
            found[key] = error
    done = {key: each for key, each in found.items() if isinstance(each, BlandAltman)}
    tables = {
        unit or "no unit": agreement_table(
            {_name(key): each for key, each in found.items() if results.unit(key) == unit}, unit
        )
        for unit in dict.fromkeys(results.unit(key) for key in done)
    }
    return done, tables


def _name(key: Key) -> str:
    parts = [key.metric, key.component or "", "" if key.region in (MASK, WHOLE) else key.region]
    return " ".join(part for part in parts if part)


def _slug(text: str) -> str:
    """Text as part of a file's name."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower())
    return "_".join(part for part in kept.split("_") if part)
