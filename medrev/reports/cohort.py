"""The report of a cohort: one HTML page with tables, charts, pictures and a viewer."""

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from medrev import __version__
from medrev.cohorts import EDGES, Choices, Evaluated, run_subjects
from medrev.evaluation import Key, Results, digits, heading
from medrev.reports.charts import DASHES, Line, box_plot, histogram, line_chart, number
from medrev.reports.methods_text import methods_paragraphs
from medrev.reports.page import link_to, niivue, render, write_page
from medrev.reports.png import encode_mapped
from medrev.reports.preview import ERRORS, Preview, make_preview
from medrev.reports.tables import (
    Cell,
    DataTable,
    Heading,
    closeness,
    headline_keys,
    key_groups,
    main_region,
    score_table,
)

__all__ = ["choose_subjects", "write_cohort_report"]

#: Bytes that pictures and volumes may take together, whatever ``embed`` says.
_MOST_BYTES = 50_000_000
_MOST_BOXES = 8
_MOST_WORST = 12
_MOST_ROWS = 2000


def write_cohort_report(
    path: Path,
    evaluated: Evaluated,
    choices: Choices,
    *,
    title: str = "Evaluation",
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    embed: int = 6,
    show_progress: bool = True,
    **places: Any,
) -> int:
    """Write the report of an evaluated cohort.

    Args:
        path: The HTML file; replaced if it is there.
        evaluated: The results; at least one subject.
        choices: How they were measured.
        title: Heading of the page.
        origins: What is known about every model.
        notes: What the reader should know, one line each.
        files: What the files beside the report are, by name.
        embed: Subjects whose pictures and volumes are put into the page: the worst half, the
            median, and the best. Fewer where they would make the page larger than about 55 MB.
        show_progress: Show a progress bar on standard error.
        places: Where the pictures are made; as for :func:`medrev.cohorts.run_subjects`.

    Returns:
        Size of the file in bytes.

    Raises:
        OutputError: It cannot be written.
    """
    results = evaluated.results
    keys = headline_keys(results)
    key = keys[0]
    model = evaluated.models[0]
    chosen = choose_subjects(results, model, key, embed)
    previews = {
        name: outcome.value
        for name, outcome in run_subjects(
            functools.partial(make_preview, choices=choices),
            {name: evaluated.cases[name] for name in chosen},
            title="Drawing",
            show_progress=show_progress,
            **places,
        ).items()
        if outcome.value is not None
    }
    kept, left_out = _within(previews)
    notes = [*notes, *left_out, *_subject_notes(evaluated)]
    html = render(
        "cohort.html.j2",
        **_context(evaluated, choices, keys, origins or {}),
        **_pictures(evaluated, kept, chosen, path.parent),
        worst=_worst(results, keys, evaluated.models, list(kept)),
        worst_note=_worst_note(results, key, model),
        title=title,
        notes=notes,
        files=[
            {"name": name, "what": what, "href": link_to(path.parent / name, path.parent)}
            for name, what in (files or {}).items()
        ],
    )
    return write_page(path, html)


def choose_subjects(results: Results, model: str, key: Key, count: int) -> dict[str, str]:
    """The subjects to show, and why: the worst half, the median, the best; worst first."""
    values = results.values(model, key)
    ranked = sorted(values, key=lambda name: (-closeness(key, values[name]), name))
    if count <= 0 or not ranked:
        return {}
    count = min(count, len(ranked))
    worst = max(1, math.ceil(count / 2))
    middle = len(ranked) // 2
    wanted = list(range(worst))
    wanted += [middle] if count > worst else []
    wanted += range(len(ranked) - 1, -1, -1)
    places = sorted(list(dict.fromkeys(wanted))[:count])
    chosen = {}
    for place in places:
        why = f"{_ordinal(place + 1)}worst of {len(ranked)}" if place < worst else ""
        if not why:
            why = "median" if place == middle else f"{_ordinal(len(ranked) - place)}best"
        chosen[ranked[place]] = why
    return chosen


def _ordinal(number_: int) -> str:
    return "" if number_ == 1 else f"{number_}. "


def _within(previews: Mapping[str, Preview]) -> tuple[dict[str, Preview], list[str]]:
    """The first subjects whose pictures and volumes fit into a page."""
    kept: dict[str, Preview] = {}
    size = 0
    for name, preview in previews.items():
        if kept and size + preview.size > _MOST_BYTES:
            left = len(previews) - len(kept)
            return kept, [
                f"{left} of the chosen subjects are not shown: the page would have become larger "
                f"than {_MOST_BYTES / 1e6:.0f} MB"
            ]
        kept[name] = preview
        size += preview.size
    return kept, []


def _context(
    evaluated: Evaluated,
    choices: Choices,
    keys: Sequence[Key],
    origins: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Tables and charts."""
    results, models = evaluated.results, evaluated.models
    series = {method: n for n, method in enumerate(results.methods)}
    tables = functools.partial(score_table, results, models=models, series=series)
    region = main_region(results)
    count = len(evaluated.measured)
    error_charts = _error_charts(evaluated, series)
    calibration = _calibration(results, models, series)
    sections = [("results", "Results")]
    sections += [("distributions", "Distributions")] if count > 1 else []
    sections += [("errors", "Errors")] if error_charts or calibration else []
    sections += [("worst", "Worst first"), ("pictures", "Subjects"), ("methods", "Methods")]
    sections += [("files", "Files")]
    return {
        "facts": [
            f"{count} subject{'s' if count != 1 else ''}",
            f"{len(models)} model{'s' if len(models) != 1 else ''}",
            f"medrev {__version__}",
            datetime.now().strftime("%Y-%m-%d %H:%M"),
        ],
        "sections": sections,
        "failures": evaluated.failures,
        "total": count + len(evaluated.failures),
        "headline": tables(keys, caption="Headline"),
        "headline_caption": f"Mean ± standard deviation over subjects, in the {region}",
        "headline_note": (
            "The best mean of each column is marked; ↓ lower is better, ↑ higher, → nearer to the "
            "number."
        ),
        "more_tables": [tables(group, caption=name) for name, group in key_groups(results).items()],
        "comparisons": None,
        "comparisons_note": "",
        "boxes": _boxes(results, keys, series) if count > 1 else [],
        "boxes_note": (
            "Box: quartiles and median; whiskers: to the last subject within 1.5 times the "
            "quartiles' distance; a dot per subject" + (" beyond them." if count > 60 else ".")
        ),
        "groups": None,
        "agreement": None,
        "error_charts": error_charts + calibration,
        "uncertain": bool(calibration),
        "errors_note": (
            "Errors are those of all voxels in the masks of all subjects and of all channels; the "
            "outermost bins of the histogram hold all that lies beyond them."
        ),
        "error_legend": [
            {"name": m, "series": n, "dash": DASHES[n % len(DASHES)]} for m, n in series.items()
        ],
        "all_subjects": _all_subjects(results, keys, models),
        "methods": methods_paragraphs(evaluated, choices, origins),
        "closing": f"Written by medrev {__version__}.",
    }


def _boxes(
    results: Results, keys: Sequence[Key], series: Mapping[str, int]
) -> list[dict[str, str]]:
    found = []
    for key in keys[:_MOST_BOXES]:
        groups = {m: results.values(m, key) for m in results.methods}
        if any(groups.values()):
            unit = results.unit(key)
            svg = box_plot(groups, series=series, digits=digits(key, unit))
            found.append({"svg": svg, "title": heading(key), "detail": unit})
    return found


def _error_charts(evaluated: Evaluated, series: Mapping[str, int]) -> list[dict[str, str]]:
    """Errors of all voxels of all subjects: their histogram, and how many are how small."""
    sums: dict[str, Any] = {}
    units = {measured.unit for measured in evaluated.measured.values() if measured.histograms}
    for measured in evaluated.measured.values():
        for method, counts in measured.histograms.items():
            sums[method] = sums.get(method, 0) + np.array(counts, float)
    if not sums or len(units) != 1:
        return []
    unit = units.pop()
    middle = len(EDGES) // 2 - 1  # the bin around zero
    sizes = EDGES[middle + 1 :]
    lines = []
    for method, counts in sums.items():
        both = counts[middle:].copy()
        both[1:] += counts[middle - 1 :: -1]
        within = 100 * np.cumsum(both)[:-1] / counts.sum()
        lines.append(Line(method, [0.0, *sizes[:-1]], [0.0, *within], series[method]))
    return [
        {
            "svg": histogram(sums, EDGES, series=series, x_label=f"error [{unit}]"),
            "title": "Histogram",
            "detail": "prediction − reference",
        },
        {
            "svg": line_chart(
                lines, x_label=f"size of error [{unit}]", y_label="% of values", from_zero=True
            ),
            "title": "Errors up to a size",
            "detail": "the steeper, the better",
        },
    ]


def _calibration(
    results: Results, models: Sequence[str], series: Mapping[str, int]
) -> list[dict[str, str]]:
    """Reliability, coverage and sparsification of predicted standard deviations."""
    curves = {
        metric: {m: _curve(results, m, metric) for m in models}
        for metric in ("bin_std", "bin_rmse", "coverage", "sparsification", "sparsification_oracle")
    }
    present = [m for m in models if curves["bin_std"][m]]
    if not present:
        return []
    unit = next((results.unit(k) for k in results.keys if k.metric == "bin_std"), "")
    bracket = f" [{unit}]" if unit else ""
    reliability = [
        Line(
            m,
            [v for _, v in curves["bin_std"][m]],
            [v for _, v in curves["bin_rmse"][m]],
            series[m],
            dots=True,
        )
        for m in present
    ]
    coverage = [
        Line(
            m,
            [x for x, _ in curves["coverage"][m]],
            [y for _, y in curves["coverage"][m]],
            series[m],
            dots=True,
        )
        for m in present
    ]
    rest = [
        Line(
            m,
            [x for x, _ in curves["sparsification"][m]],
            [y for _, y in curves["sparsification"][m]],
            series[m],
        )
        for m in present
    ]
    return [
        {
            "svg": line_chart(
                reliability,
                x_label=f"predicted standard deviation{bracket}",
                y_label=f"RMSE{bracket}",
                diagonal=True,
                from_zero=True,
            ),
            "title": "Reliability",
            "detail": "on the dotted line: calibrated",
        },
        {
            "svg": line_chart(
                coverage,
                x_label="nominal level",
                y_label="share of errors within",
                diagonal=True,
                from_zero=True,
            ),
            "title": "Coverage",
            "detail": "of central intervals",
        },
        {
            "svg": line_chart(
                rest,
                x_label="share of voxels left out, most uncertain first",
                y_label="RMSE of the rest ÷ RMSE of all",
                from_zero=True,
            ),
            "title": "Sparsification",
            "detail": "the steeper, the better",
        },
    ]


def _curve(results: Results, method: str, metric: str) -> list[tuple[float, float]]:
    """Mean over subjects of every point of a curve, by its component."""
    found = []
    for key in results.keys:
        if key.metric == metric:
            values = results.values(method, key).values()
            if values:
                found.append((float(key.component or 0), statistics.fmean(values)))
    return found


def _worst(
    results: Results, keys: Sequence[Key], models: Sequence[str], shown: Sequence[str]
) -> DataTable:
    """The worst subjects of the first model by the first metric."""
    key, model = keys[0], models[0]
    values = results.values(model, key)
    ranked = sorted(values, key=lambda name: (-closeness(key, values[name]), name))
    far = _far_out(key, values)
    columns = [Heading("subject"), *(Heading(heading(k), results.unit(k)) for k in keys)]
    rows = []
    for name in ranked[:_MOST_WORST]:
        href = f"#subject-{shown.index(name)}" if name in shown else ""
        cells = [Cell(name, href)]
        for k in keys:
            value = results.values(model, k).get(name)
            text = "–" if value is None else number(value, digits(k, results.unit(k)))
            cells.append(Cell(text, flag=k == key and name in far))
        rows.append(tuple(cells))
    return DataTable(f"{model}: worst {len(rows)} of {len(ranked)}", tuple(columns), tuple(rows))


def _far_out(key: Key, values: Mapping[str, float]) -> set[str]:
    """Subjects beyond 1.5 times the quartiles' distance on the bad side."""
    badness = {n: closeness(key, v) for n, v in values.items() if math.isfinite(v)}
    if len(badness) < 4:
        return set()
    q1, _, q3 = statistics.quantiles(badness.values(), n=4, method="inclusive")
    return {name for name, bad in badness.items() if bad > q3 + 1.5 * (q3 - q1)}


def _worst_note(results: Results, key: Key, model: str) -> str:
    name = heading(key, results.unit(key))
    return (
        f"Ordered by {name} of {model}. Coloured values lie more than 1.5 times the quartiles' "
        "distance beyond the upper quartile."
    )


def _all_subjects(results: Results, keys: Sequence[Key], models: Sequence[str]) -> DataTable:
    columns = [Heading("subject"), Heading("model", text=True)]
    columns += [Heading(heading(k), results.unit(k)) for k in keys]
    rows = []
    for subject in results.subjects:
        for model in models:
            cells = [Cell(subject), Cell(model)]
            for key in keys:
                record = results.record(subject, model, key)
                value = None if record is None else record.value
                cells.append(
                    Cell("–" if value is None else number(value, digits(key, results.unit(key))))
                )
            rows.append(tuple(cells))
    return DataTable("Models on all subjects", tuple(columns), tuple(rows[:_MOST_ROWS]))


def _subject_notes(evaluated: Evaluated) -> list[str]:
    """Notes of subjects, those that many share told once; and why values are undefined."""
    shared: dict[str, list[str]] = {}
    for name, measured in evaluated.measured.items():
        for note in measured.notes:
            shared.setdefault(note, []).append(name)
    lines = [f"{_some(names)}: {note}" for note, names in shared.items()]
    reasons = list(evaluated.results.reasons)
    return lines + reasons[:20] + ([f"… and {len(reasons) - 20} more"] if len(reasons) > 20 else [])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _pictures(
    evaluated: Evaluated, previews: Mapping[str, Preview], why: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Pictures, and what the viewer needs."""
    shown: list[dict[str, Any]] = []
    viewer: list[dict[str, Any]] = []
    volumes: list[tuple[str, bytes]] = []
    for name, preview in previews.items():
        entries = []
        for number_, volume in enumerate(preview.volumes):
            identifier = f"volume-{len(viewer)}-{number_}"
            volumes.append((identifier, volume.nifti))
            entries.append(
                {
                    "id": identifier,
                    "name": volume.name,
                    "overlay": volume.overlay,
                    "low": volume.low,
                    "high": volume.high,
                    "colours": volume.colours,
                }
            )
        shown.append(
            {
                "name": name,
                "why": why[name],
                "strips": preview.strips,
                "files": [
                    {"name": role, "href": link_to(path, folder)}
                    for role, path in evaluated.cases[name].files.items()
                ],
                "notes": evaluated.measured[name].notes,
                "viewer": len(viewer) if entries else None,
            }
        )
        if entries:
            viewer.append({"name": name, "volumes": entries})
    return {
        "shown": shown,
        "pictures_note": (
            "All pictures of a row show the same slice at the same window; errors and "
            "uncertainties share theirs."
        ),
        "ramp": encode_mapped(np.linspace(0, 1, 96)[None].repeat(8, 0), 0, 1, ERRORS),
        "viewer": viewer,
        "volumes": volumes,
        "niivue": niivue() if viewer else "",
    }
