"""The report of a cohort: one HTML page with tables, charts, pictures and a viewer."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from medrev.errors import counted
from medrev.evaluation import (
    BOUNDS,
    Column,
    Evaluated,
    Results,
    Tabular,
    badness,
    better_of,
    heading,
    subject_table,
)
from medrev.metrics import MASK, Key
from medrev.parallel import Pool
from medrev.report.charts import DASHES
from medrev.report.figures import (
    agreement_charts,
    boxes,
    calibration_charts,
    calibration_words,
    error_charts,
    group_charts,
    interval_words,
)
from medrev.report.page import encode_picture, niivue, render, write_page
from medrev.report.preview import ERRORS, Preview, make_preview
from medrev.report.tables import CohortTables, headline_keys, main_region
from medrev.report.words import IMAGES, Words, methods_paragraphs, words_of

#: Bytes that pictures and volumes may take together, whatever ``embed`` says.
_MOST_BYTES = 50_000_000
_MOST_WORST = 12
_MOST_ROWS = 1500
#: What the viewer is told of a volume.
_TOLD = ("name", "overlay", "low", "high", "colours")
_MOST_REASONS = 20


def draw_subjects(
    evaluated: Evaluated, count: int, *, pool: Pool | None = None, show_progress: bool = True
) -> dict[str, Preview]:
    """Make the pictures of so many subjects, worst first: the worst half, the median, the best."""
    results, config = evaluated.results, evaluated.config
    chosen = choose_subjects(results, evaluated.models[0], headline_keys(results)[0], count)
    # One baseline is enough for pictures, and changed inputs and classes are not shown.
    baselines = ("cubic",) if "cubic" in config.baselines else config.baselines[:1]
    shown = replace(config, baselines=baselines, sensitivity=None, segmenter=None)
    outcomes = (pool or Pool()).run(
        functools.partial(make_preview, choices=shown),
        {name: evaluated.cases[name] for name in chosen},
        title="Drawing",
        show_progress=show_progress,
    )
    return {
        name: replace(outcome.value, why=chosen[name])
        for name, outcome in outcomes.items()
        if outcome.value is not None
    }


def write_cohort_report(
    path: Path,
    evaluated: Evaluated,
    *,
    tables: CohortTables,
    previews: Mapping[str, Preview],
    title: str = "Evaluation",
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    group: str = "",
) -> int:
    """Write the report of an evaluated cohort, and tell its size in bytes.

    Args:
        path: The HTML file; replaced if it is there.
        evaluated: The results; at least one subject.
        tables: Its tables.
        previews: Pictures by subject; only the first of them where all would make the page larger
            than about 55 MB.
        title: Heading of the page.
        origins: What is known about every model.
        notes: What the reader should know, one line each.
        files: What the files beside the report are, by name.
        group: Name of the column whose groups are compared.

    Raises:
        OutputError: It cannot be written.
    """
    results, models, words = evaluated.results, evaluated.models, words_of(evaluated)
    methods = dict.fromkeys([*models, *results.methods])
    series = {method: n for n, method in enumerate(methods)}  # numbers of their colours
    first, compared = tables.keys[0], tables.of("groups")
    kept, left_out = _within(previews)
    calibration = calibration_charts(results, models, series)
    reasons = results.reasons
    if len(reasons) > _MOST_REASONS:
        reasons = (*reasons[:_MOST_REASONS], f"… and {len(reasons) - _MOST_REASONS} more")
    html = render(
        "cohort.html.j2",
        title=title,
        now=datetime.now().strftime("%Y-%m-%d %H:%M"),
        evaluated=evaluated,
        tables=tables,
        group=group,
        words=words,
        series=series,
        dashes=DASHES,
        masked=main_region(results) == MASK,
        bounds=BOUNDS,
        notes=[*notes, *left_out, *subject_notes(evaluated), *reasons],
        files=files or {},
        methods=methods_paragraphs(evaluated, origins or {}),
        ranked_by=heading(first, results.unit(first)),
        all_subjects=_all_subjects(tables.of("subjects")[""], words),
        boxes=boxes(results, tables.keys, series) if len(evaluated.measured) > 1 else [],
        group_charts=group_charts(results, first, models, tables.groups) if compared else [],
        error_charts=error_charts(evaluated, series) + calibration,
        uncertain=bool(calibration),
        calibration_words=calibration_words(results, models) + interval_words(results, models),
        agreement_charts=agreement_charts(tables.agreements, results),
        links={name: f"#subject-{n}" for n, name in enumerate(kept)},
        shown=kept,
        shared_notes=set.intersection(*(set(m.notes) for m in evaluated.measured.values())),
        folder=path.parent,
        of_images=words is IMAGES,
        ramp=encode_picture(np.linspace(0, 1, 96)[None].repeat(8, 0), colours=ERRORS),
        **_worst(evaluated, tables, words),
        **_viewer(kept),
    )
    return write_page(path, html)


def choose_subjects(results: Results, model: str, key: Key, count: int) -> dict[str, str]:
    """The subjects to show, and why: the worst half, the median, the best; worst first."""
    ranked = _ranked(results, model, key)
    if count <= 0 or not ranked:
        return {}
    count = min(count, len(ranked))
    worst = math.ceil(count / 2)
    middle = len(ranked) // 2
    wanted = [*range(worst), *([middle] if count > worst else [])]
    wanted += range(len(ranked) - 1, -1, -1)
    chosen = {}
    for place in sorted(list(dict.fromkeys(wanted))[:count]):
        if place < worst:
            why = f"{_ordinal(place + 1)}worst of {len(ranked)}"
        elif place == middle and len(ranked) > 2:
            why = "median"
        else:
            why = f"{_ordinal(len(ranked) - place)}best of {len(ranked)}"
        chosen[ranked[place]] = why
    return chosen


def _ranked(results: Results, model: str, key: Key) -> list[str]:
    """Subjects from the worst to the best."""
    values = results.values(model, key)
    return sorted(values, key=lambda name: (-badness(better_of(key), values[name]), name))


def _ordinal(place: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(place % 10 if place % 100 not in (11, 12, 13) else 0)
    return "" if place == 1 else f"{place}{suffix or 'th'} "


def _within(previews: Mapping[str, Preview]) -> tuple[dict[str, Preview], list[str]]:
    """The first subjects whose pictures and volumes fit into a page."""
    kept: dict[str, Preview] = {}
    size = 0
    for name, preview in previews.items():
        size += preview.size
        if kept and size > _MOST_BYTES:
            left = len(previews) - len(kept)
            limit = f"{_MOST_BYTES / 1e6:.0f} MB"
            return kept, [
                f"pictures of {counted(left, 'more subject')} would have taken more than {limit}"
            ]
        kept[name] = preview
    return kept, []


def _all_subjects(table: Tabular, words: Words) -> Tabular:
    """The largest of the tables: of large cohorts only its beginning is in the page."""
    count, rows = len(table.rows), table.rows[:_MOST_ROWS]
    caption = f"Every {words.thing} and method"
    if len(rows) < count:
        caption = f"The first {len(rows)} of {count} rows; all are in tables/subjects.csv"
        table = replace(table, notes=())
    columns = (Column(words.thing), *table.columns[1:])
    return replace(table, caption=caption, columns=columns, rows=rows)


def _worst(evaluated: Evaluated, tables: CohortTables, words: Words) -> dict[str, Any]:
    """The worst subjects of the first model by the first metric, and which cells are outliers."""
    results, model, keys = evaluated.results, evaluated.models[0], tables.keys
    ranked = _ranked(results, model, keys[0])[:_MOST_WORST]
    table = subject_table(results, keys, [model])
    rows = {str(row[0]): (row[0], *row[2:]) for row in table.rows}
    far = {(o.subject, o.key) for o in tables.outliers if o.method == model and o.worse}
    worst = Tabular(
        (Column(words.thing), *table.columns[2:]),
        tuple(rows[subject] for subject in ranked),
        f"{model}: the worst {len(ranked)} of {len(results.values(model, keys[0]))}",
    )
    flags = {
        (r, c)
        for r, subject in enumerate(ranked)
        for c, key in enumerate(keys, 1)
        if (subject, key) in far
    }
    return {"worst": worst, "flags": flags}


def subject_notes(evaluated: Evaluated) -> list[str]:
    """Notes of subjects, those that many share told once."""
    shared: dict[str, list[str]] = {}
    for name, measured in evaluated.measured.items():
        for note in measured.notes:
            shared.setdefault(note, []).append(name)
    found = []
    for note, names in shared.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        found.append(f"{', '.join(names[:3])}{more}: {note}")
    return found


def _viewer(previews: Mapping[str, Preview]) -> dict[str, Any]:
    """The volumes of the viewer, and what it is told of them."""
    told: list[dict[str, Any]] = []
    volumes: dict[str, bytes] = {}
    for name, preview in previews.items():
        entries = []
        for n, volume in enumerate(preview.volumes):
            identifier = f"volume-{len(told)}-{n}"
            volumes[identifier] = volume.nifti
            entries.append({"id": identifier, **{name: getattr(volume, name) for name in _TOLD}})
        if entries:
            told.append({"name": name, "volumes": entries})
    return {
        "viewer": told,
        "numbers": {entry["name"]: n for n, entry in enumerate(told)},
        "viewer_unit": next((preview.unit for preview in previews.values()), ""),
        "volumes": volumes,
        "niivue": niivue() if told else "",
    }
