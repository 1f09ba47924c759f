"""The tables of the RevGAN, one2one, cINN and generative papers, in their own form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

from medrev.errors import InputError, counted
from medrev.evaluation.catalogue import better_of
from medrev.evaluation.results import Results
from medrev.evaluation.tables import best_rows, mean_cells
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import INTERIOR, MASK, WHOLE, Key


class _Score(NamedTuple):
    """A column of scores: heading, key of the records, digits."""

    heading: str
    key: Key
    digits: int
    optional: bool = False  # left out where it was not measured

    def column(self, direction: str = "") -> Column:
        return Column(self.heading, self.digits, direction)


@dataclass(frozen=True)
class _Form:
    """The form of a table."""

    scores: tuple[_Score, ...]
    by_direction: bool = False  # rows are directions and methods; else directions group columns
    deviations: bool = False
    details: bool = False
    slices: bool = False  # of slices of volumes, where these were measured


def _whole(heading: str, metric: str, digits: int) -> _Score:
    return _Score(heading, Key(metric, WHOLE), digits)


_SEGMENTATION = (
    _whole("Per-pixel acc.", "pixel_accuracy", 2),
    _whole("Per-class acc.", "class_accuracy", 2),
    _whole("Class IOU", "class_iou", 2),
)
_DRAWS = (_whole("MSE best of 8", "best_mse", 2), _whole("VAR", "draw_variance", 2))
#: Of the features of the user's own classifier, not of Inception.
_FRECHET = _whole("Fréchet distance", "frechet", 2)
_JUDGED = (
    _FRECHET._replace(optional=True),
    _Score("Acc.", Key("label_accuracy", WHOLE), 4, optional=True),
)
_FORMS = {
    "revgan-2": _Form(_SEGMENTATION, details=True),
    "revgan-3": _Form(
        (
            _Score("RMSE (Interior)", Key("rmse", INTERIOR), 2),
            _Score("RMSE (Total)", Key("rmse", MASK), 2),
        ),
        deviations=True,
    ),
    "revgan-4": _Form(
        (
            _whole("MAE", "mae", 2),
            _Score("MAE, wrapped", Key("wrapped_mae", WHOLE), 2, optional=True),
            _whole("PSNR", "psnr", 2),
            _whole("SSIM", "ssim", 2),
        ),
        deviations=True,
        details=True,
    ),
    "one2one-1": _Form(
        (
            _whole("p. acc.↑", "pixel_accuracy", 2),
            _whole("c. acc.↑", "class_accuracy", 2),
            _whole("IOU↑", "class_iou", 2),
        ),
        by_direction=True,
    ),
    "one2one-2": _Form(
        (_whole("L1↓", "nmae", 4), _whole("PSNR↑", "psnr", 2), _whole("SSIM↑", "ssim", 3)),
        by_direction=True,
    ),
    "one2one-3": _Form((_whole("d(Class IOU)↑", "d_iou", 4),), by_direction=True),
    "one2one-4": _Form(
        (_whole("dL1↓", "d_nmae", 4), _whole("dPSNR↑", "d_psnr", 3), _whole("dSSIM↑", "d_ssim", 3)),
        by_direction=True,
    ),
    "one2one-5": _Form(
        (
            _whole("L1↓", "nmae", 3),
            _whole("PSNR↑", "psnr", 2),
            _whole("SSIM↑", "ssim", 3),
            _whole("d PSNR↑", "d_psnr", 2),
            _whole("d SSIM↑", "d_ssim", 3),
        ),
        by_direction=True,
        slices=True,
    ),
    "cinn-1": _Form((*_DRAWS, *_JUDGED)),
    "cinn-9": _Form((*_DRAWS, *_JUDGED[:1])),
    "generative-1": _Form((_FRECHET, _JUDGED[1])),
}

#: Names of the tables: paper and number.
PAPER_TABLES = tuple(_FORMS)


def check_papers(names: Sequence[str]) -> None:
    """Refuse names that are none of a paper's table.

    Raises:
        InputError: Naming those that are known.
    """
    for name in names:
        if name not in _FORMS:
            raise InputError(f"a paper's table is one of {', '.join(PAPER_TABLES)}, got {name!r}")


def paper_table(
    name: str,
    results: Results | Mapping[str, Results],
    *,
    methods: Sequence[str] | None = None,
    models: Mapping[str, Mapping[str, Any]] | None = None,
) -> Tabular:
    """A table in the form of a paper: its columns, its precision, its ``mean ± std``.

    Args:
        name: One of :data:`PAPER_TABLES`.
        results: Records of a cohort, or by direction (``photo→label``) for tables that have
            directions. Where values of whole images were not measured, those of the mask.
        methods: The rows, in order; None: all methods. Those without any value are left out.
        models: What is known of models: ``width`` of the first layer and number of ``parameters``
            (RevGAN's Tables 2 and 4).

    Raises:
        InputError: The name is none of a table, or there is no result.
    """
    check_papers([name])
    form = _FORMS[name]
    directions = {"": results} if isinstance(results, Results) else dict(results)
    if not any(len(found) for found in directions.values()):
        raise InputError("a table needs results, got none")
    there = {key.metric for part in directions.values() for key in part.keys}
    scores = [s for s in form.scores if not s.optional or s.key.metric in there]
    cells = {
        name: [[_cell(part, name, s, form) for s in scores] for part in directions.values()]
        for name in methods
        or dict.fromkeys(method for part in directions.values() for method in part.methods)
    }
    names = [n for n, rows in cells.items() if any(c for row in rows for c in row)] or list(cells)
    rows: list[tuple[Cell, ...]]
    if form.by_direction:
        columns = [Column("Direction"), Column("Method"), *(score.column() for score in scores)]
        rows = [(d, name, *cells[name][n]) for n, d in enumerate(directions) for name in names]
    else:
        columns = [Column("Model"), *[Column("Width"), Column("Params")] * form.details]
        columns += [score.column(direction) for direction in directions for score in scores]
        scores *= len(directions)
        rows = [
            (name, *_details((models or {}).get(name, {}), form), *chain(*cells[name]))
            for name in names
        ]
    sections = tuple(range(0, len(rows), len(names)))
    first = len(columns) - len(scores)
    bold = {
        (start + r, c)
        for start, end in pairwise([*sections, len(rows)])
        for c, score in enumerate(scores, first)
        for r in best_rows(
            Column("", score.digits, better=better_of(score.key)),
            names,
            [row[c] for row in rows[start:end]],
            ties=True,
        )
    }
    notes = _slice_notes(directions, names) if form.slices else ()
    return Tabular(tuple(columns), tuple(rows), "", notes, sections, frozenset(bold))


def _cell(results: Results, method: str, score: _Score, form: _Form) -> MeanStd | None:
    keys = [score.key]
    if score.key.region == WHOLE:
        keys.append(score.key._replace(region=MASK))
    if form.slices:
        keys = [key._replace(metric=f"slice_{key.metric}") for key in keys] + keys
    key = next((key for key in keys if key in results.keys), score.key)
    (found,) = mean_cells(results, [method], key)
    return found if found is None or form.deviations else MeanStd(found.mean)


def _details(model: Mapping[str, Any], form: _Form) -> tuple[Cell, ...]:
    """Width and parameters, where the form has them."""
    if not form.details:
        return ()
    parameters = model.get("parameters")
    return model.get("width"), None if parameters is None else f"{parameters / 1e6:.1f} M"


def _slice_notes(directions: Mapping[str, Results], methods: Sequence[str]) -> tuple[str, ...]:
    """How many slices a table is over, and whose PSNR leaves some of them out."""
    notes = []
    for direction, results in directions.items():
        start = f"{direction}: " if direction else ""
        counts = _of_slices(results, "slice_count", methods)
        if counts:
            slices, subjects = next(iter(counts.values()))
            notes.append(
                f"{start}{counted(slices, 'slice')} of {counted(subjects, 'subject')}; "
                "means over subjects of the means over their slices."
            )
        equal = _of_slices(results, "slice_equal", methods)
        some = ", ".join(f"{name} {count}" for name, (count, _) in equal.items() if count)
        if some:
            notes.append(f"{start}PSNR leaves out slices that equal the reference: {some}.")
    return tuple(notes)


def _of_slices(results: Results, metric: str, methods: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Sum of a count over subjects, and their number, by method."""
    key = next((Key(metric, r) for r in (WHOLE, MASK) if Key(metric, r) in results.keys), None)
    if key is None:
        return {}
    found = {name: results.values(name, key) for name in methods}
    return {n: (round(sum(values.values())), len(values)) for n, values in found.items() if values}
