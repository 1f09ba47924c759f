"""The tables of a cohort: which measurements go where, means, tests, groups, agreement."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from medrev.errors import InputError
from medrev.evaluation import (
    CATALOGUE,
    GROUND_TRUTH,
    BlandAltman,
    GroupComparison,
    ModelDetails,
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
)
from medrev.metrics import INTERIOR, MASK, NOISE_FLOOR, WHOLE, Key
from medrev.report.words import SUBJECTS, Words

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
#: Methods that show what could be reached, and are no rivals of the models.
BOUNDS = {
    NOISE_FLOOR: "The noise floor is what the noise-free truth would show.",
    GROUND_TRUTH: "Ground truth: what the segmentation network sees in the real photographs.",
}
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
        summary: Means ± standard deviations of these.
        groups_of_keys: All other measurements by theme.
        details: Their means ± standard deviations by theme.
        descriptions: Median, quartiles and bootstrap interval, by key.
        comparisons: The first model against all other methods, by key.
        agreements: Bland–Altman analyses of the first model by what was measured, with its unit.
        agreement: The same as tables, by unit.
        grouped: Comparison of groups by model, by key; empty without groups.
        by_group: The same as tables.
        regions: Measurements of the first table by label, and volumes; empty without label maps.
        classes: Scores of each class over all images; None where none are counted.
        intervals: Coverage, width and CRPS by quantity and region; None where there are none.
        papers: Tables in the forms of papers, by name.
        outliers: Subjects far from the others.
        subjects: Every value of the first table.
    """

    keys: tuple[Key, ...]
    summary: Tabular
    groups_of_keys: Mapping[str, tuple[Key, ...]]
    details: Mapping[str, Tabular]
    descriptions: Mapping[Key, Tabular]
    comparisons: Mapping[Key, Tabular]
    agreements: Mapping[Key, BlandAltman]
    agreement: Mapping[str, Tabular]
    outliers: tuple[Outlier, ...]
    outlier_table: Tabular
    subjects: Tabular
    grouped: Mapping[Key, Mapping[str, GroupComparison]] = field(default_factory=dict)
    by_group: Mapping[Key, Tabular] = field(default_factory=dict)
    regions: Mapping[str, Tabular] = field(default_factory=dict)
    classes: Tabular | None = None
    intervals: Tabular | None = None
    papers: Mapping[str, Tabular] = field(default_factory=dict)

    def files(self) -> dict[str, Tabular]:
        """Every table by the name of its file."""
        named = {"summary": self.summary, "subjects": self.subjects}
        named |= {f"means_{_slug(theme)}": table for theme, table in self.details.items()}
        for what, tables in (
            ("description", self.descriptions),
            ("comparison", self.comparisons),
            ("groups", self.by_group),
        ):
            named |= {f"{what}_{_slug(str(key))}": table for key, table in tables.items()}
        named |= {
            f"agreement_{_slug(unit) or 'no_unit'}": table for unit, table in self.agreement.items()
        }
        named |= {f"regions_{_slug(name)}": table for name, table in self.regions.items()}
        named |= {} if self.classes is None else {"classes": self.classes}
        named |= {} if self.intervals is None else {"intervals": self.intervals}
        return (
            named
            | {"outliers": self.outlier_table}
            | {f"paper_{name}": table for name, table in self.papers.items()}
        )


def cohort_tables(
    results: Results,
    models: Sequence[str],
    groups: Mapping[str, str] | None = None,
    *,
    papers: Sequence[str] = (),
    details: Mapping[str, ModelDetails] | None = None,
    totals: Results | None = None,
    words: Words = SUBJECTS,
    direction: str = "",
) -> CohortTables:
    """Make all tables of a cohort.

    Args:
        results: Records of all subjects.
        models: Names of the models; all other methods are baselines.
        groups: Group by subject, if groups are to be compared.
        papers: Tables in the forms of papers that are wanted (:data:`PAPER_TABLES`).
        details: What these tables say of the models.
        totals: Scores over all subjects together, which these tables show instead of means.
        words: What subjects are called.
        direction: From what to what models translate, for papers' tables.

    Raises:
        InputError: A paper's table is not known.
    """
    keys = tuple(headline_keys(results))
    methods = _ordered(results, models)
    themes = key_groups(results, words)
    rivals = [method for method in methods if method not in BOUNDS]
    many = len(results.subjects) > 1
    grouped = {} if groups is None else _grouped(results, keys, models, groups)
    agreements = _agreements(results, models[0])
    found = find_outliers(results, keys, models)
    return CohortTables(
        keys=keys,
        summary=_means(
            results,
            keys,
            models,
            f"Mean ± standard deviation over {words.count(len(results.subjects))}",
        ),
        groups_of_keys=themes,
        details={name: _means(results, theme, models, name) for name, theme in themes.items()},
        descriptions={key: description_table(results, key, methods) for key in keys},
        comparisons={
            key: comparison_table(
                compare_methods(results, key, against=models[0], methods=compared),
                key,
                results.unit(key),
            )
            for key in keys
            if many
            and len(compared := [m for m in rivals if results.measured(m, key)]) > 1
            and models[0] in compared
        },
        agreements={k: a for k, a in agreements.items() if isinstance(a, BlandAltman)},
        agreement=_agreement_tables(results, agreements),
        outliers=found,
        outlier_table=outlier_table(found, results),
        subjects=subject_table(results, keys, methods),
        grouped=grouped,
        by_group={key: group_table(g, key, results.unit(key)) for key, g in grouped.items()},
        regions=_regions(results, keys, methods, models),
        classes=class_table(totals, methods)
        if totals and any(key.metric == "class_iou" for key in totals.keys)
        else None,
        intervals=interval_table(results, methods),
        papers={
            name: paper_table(
                name, {direction: with_totals(results, totals)}, methods=rivals, models=details
            )
            for name in papers
        },
    )


def with_totals(results: Results, totals: Results | None) -> Results:
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


def badness(key: Key, value: float) -> float:
    """How bad a value is: the larger, the worse."""
    metric = CATALOGUE.get(key.metric)
    better = metric.better if metric else "lower"
    return {
        "lower": value,
        "higher": -value,
        "zero": abs(value),
        "one": abs(math.log(value)) if value > 0 else math.inf,
        "none": 0.0,
    }[better]


def _ordered(results: Results, models: Sequence[str]) -> list[str]:
    """Models first, what could be reached last."""
    others = [m for m in results.methods if m not in models and m not in BOUNDS]
    bounds = [m for m in results.methods if m in BOUNDS]
    return [m for m in models if m in results.methods] + others + bounds


def _means(
    results: Results, keys: Sequence[Key], models: Sequence[str], caption: str = ""
) -> Tabular:
    """Means ± standard deviations; what could be reached is no method and never the best."""
    methods = _ordered(results, models)
    table = summary_table(results, keys, methods, caption=caption)
    rivals = [method for method in methods if method not in BOUNDS]
    bold = summary_table(results, keys, rivals).bold
    sections = {len(models), len(rivals)} - {len(methods)}
    return replace(table, bold=bold, sections=tuple(sorted(sections)))


def _grouped(
    results: Results, keys: Sequence[Key], models: Sequence[str], groups: Mapping[str, str]
) -> dict[Key, dict[str, GroupComparison]]:
    return {
        key: {model: compare_groups(results.values(model, key), groups) for model in models}
        for key in keys
    }


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


def _agreements(results: Results, model: str) -> dict[Key, BlandAltman | InputError]:
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
    return found


def _agreement_tables(
    results: Results, agreements: Mapping[Key, BlandAltman | InputError]
) -> dict[str, Tabular]:
    """One table per unit; none where nothing could be analysed."""
    units = dict.fromkeys(
        results.unit(key) for key, found in agreements.items() if isinstance(found, BlandAltman)
    )
    return {
        unit: agreement_table(
            {_name(k): a for k, a in agreements.items() if results.unit(k) == unit}, unit
        )
        for unit in units
    }


def _name(key: Key) -> str:
    parts = [key.metric, key.component or "", "" if key.region in (MASK, WHOLE) else key.region]
    return " ".join(part for part in parts if part)


def _slug(text: str) -> str:
    """Text as part of a file's name."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower())
    return "_".join(part for part in kept.split("_") if part)
