"""The tables of the RevGAN, one2one, cINN and generative papers, in their own form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from medrev.errors import InputError
from medrev.evaluation.results import Results
from medrev.evaluation.tables import marked_rows, mean_cell
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import INTERIOR, MASK, WHOLE, Key


@dataclass(frozen=True)
class ModelDetails:
    """What the RevGAN tables say of a model beside its scores.

    Attributes:
        width: Channels of the first layer.
        parameters: Number of parameters.
        section: Name of the group of rows among which the best values are bold.
    """

    width: int | None = None
    parameters: int | None = None
    section: str = ""


@dataclass(frozen=True)
class _Score:
    """A column of scores: heading, key of the records, digits."""

    heading: str
    key: Key
    digits: int
    optional: bool = False  # left out where it was not measured


@dataclass(frozen=True)
class _Form:
    """The form of a table."""

    scores: tuple[_Score, ...]
    by_direction: bool  # rows are directions and methods; else directions are groups of columns
    deviations: bool
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
    replace(_FRECHET, optional=True),
    _Score("Acc.", Key("label_accuracy", WHOLE), 4, optional=True),
)
_FORMS = {
    "revgan-2": _Form(_SEGMENTATION, by_direction=False, deviations=False, details=True),
    "revgan-3": _Form(
        (
            _Score("RMSE (Interior)", Key("rmse", INTERIOR), 2),
            _Score("RMSE (Total)", Key("rmse", MASK), 2),
        ),
        by_direction=False,
        deviations=True,
    ),
    "revgan-4": _Form(
        (
            _whole("MAE", "mae", 2),
            _Score("MAE, wrapped", Key("wrapped_mae", WHOLE), 2, optional=True),
            _whole("PSNR", "psnr", 2),
            _whole("SSIM", "ssim", 2),
        ),
        by_direction=False,
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
        deviations=False,
    ),
    "one2one-2": _Form(
        (_whole("L1↓", "nmae", 4), _whole("PSNR↑", "psnr", 2), _whole("SSIM↑", "ssim", 3)),
        by_direction=True,
        deviations=False,
    ),
    "one2one-3": _Form((_whole("d(Class IOU)↑", "d_iou", 4),), by_direction=True, deviations=False),
    "one2one-4": _Form(
        (_whole("dL1↓", "d_nmae", 4), _whole("dPSNR↑", "d_psnr", 3), _whole("dSSIM↑", "d_ssim", 3)),
        by_direction=True,
        deviations=False,
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
        deviations=False,
        slices=True,
    ),
    "cinn-1": _Form((*_DRAWS, *_JUDGED), by_direction=False, deviations=False),
    "cinn-9": _Form((*_DRAWS, *_JUDGED[:1]), by_direction=False, deviations=False),
    "generative-1": _Form((_FRECHET, _JUDGED[1]), by_direction=False, deviations=False),
}

#: Names of the tables: paper and number.
PAPER_TABLES = tuple(_FORMS)


def paper_table(
    name: str,
    results: Results | Mapping[str, Results],
    *,
    methods: Sequence[str] | None = None,
    models: Mapping[str, ModelDetails] | None = None,
    slices: bool | None = None,
    caption: str = "",
) -> Tabular:
    """A table in the form of a paper: its columns, its precision, its ``mean ± std``.

    Args:
        name: One of :data:`PAPER_TABLES`.
        results: Records of a cohort, or by direction (``photo→label``) for tables that have
            directions. Where values of whole images were not measured, those of the mask.
        methods: The rows, in order; None: all methods. Those without any value are left out.
        models: Width and number of parameters (RevGAN's Tables 2 and 4), and the section in which
            the best values are bold.
        slices: Take the scores of slices, where they were measured; None: if the paper's table is
            over slices of volumes (one2one's Table 5).
        caption: What the table shows.

    Raises:
        InputError: The name is none of a table, or there is no result.
    """
    if name not in _FORMS:
        raise InputError(f"a paper's table is one of {', '.join(PAPER_TABLES)}, got {name!r}")
    form = _FORMS[name]
    directions = {"": results} if isinstance(results, Results) else dict(results)
    if not any(len(found) for found in directions.values()):
        raise InputError("a table needs results, got none")
    found = dict.fromkeys(method for part in directions.values() for method in part.methods)
    sliced = form.slices if slices is None else slices
    there = {key.metric for part in directions.values() for key in part.keys}
    scores = tuple(s for s in form.scores if not s.optional or s.key.metric in there)
    cells = {
        name: [[_cell(part, name, s, form, sliced) for s in scores] for part in directions.values()]
        for name in methods or found
    }
    names = [n for n, rows in cells.items() if any(c for row in rows for c in row)] or list(cells)
    blocks = {
        direction: [cells[name][number] for name in names]
        for number, direction in enumerate(directions)
    }
    if form.by_direction:
        table = _directions_as_rows(blocks, names, scores, caption)
    else:
        known = models or {}
        rows = _model_rows(names, known, form.details)
        table = _directions_as_columns(blocks, rows, scores, _sections(names, known), caption)
    return replace(table, notes=_slice_notes(directions, names)) if sliced else table


_Block = list[list[MeanStd | None]]


def _directions_as_rows(
    blocks: dict[str, _Block], names: list[str], scores: Sequence[_Score], caption: str
) -> Tabular:
    columns = (
        Column("Direction"),
        Column("Method"),
        *(Column(s.heading, s.digits) for s in scores),
    )
    rows: list[tuple[Cell, ...]] = []
    sections: list[int] = []
    bold: set[tuple[int, int]] = set()
    for direction, block in blocks.items():
        sections.append(len(rows))
        bold |= {(len(rows) + r, 2 + c) for r, c in _best(block, scores)}
        rows += [(direction, name, *cells) for name, cells in zip(names, block, strict=True)]
    return Tabular(columns, tuple(rows), caption, (), tuple(sections), frozenset(bold))


def _model_rows(
    names: list[str], models: Mapping[str, ModelDetails], details: bool
) -> list[tuple[Cell, ...]]:
    """Headings of the rows: name and, if wanted, width and number of parameters."""
    if not details:
        return [(name,) for name in names]
    told = [models.get(name, ModelDetails()) for name in names]
    return [
        (name, model.width, _millions(model.parameters))
        for name, model in zip(names, told, strict=True)
    ]


def _directions_as_columns(
    blocks: dict[str, _Block],
    rows: list[tuple[Cell, ...]],
    scores: Sequence[_Score],
    sections: list[int],
    caption: str,
) -> Tabular:
    columns = [Column("Model"), Column("Width"), Column("Params")][: len(rows[0])]
    bold: set[tuple[int, int]] = set()
    for direction, block in blocks.items():
        for first, last in pairwise([*sections, len(rows)]):
            bold |= {(first + r, len(columns) + c) for r, c in _best(block[first:last], scores)}
        columns += [Column(score.heading, score.digits, direction) for score in scores]
        rows = [(*row, *cells) for row, cells in zip(rows, block, strict=True)]
    return Tabular(tuple(columns), tuple(rows), caption, (), tuple(sections), frozenset(bold))


def _cell(
    results: Results, method: str, score: _Score, form: _Form, slices: bool
) -> MeanStd | None:
    keys = [score.key]
    if score.key.region == WHOLE:
        keys.append(score.key._replace(region=MASK))
    if slices:
        keys = [key._replace(metric=f"slice_{key.metric}") for key in keys] + keys
    key = next((key for key in keys if key in results.keys), score.key)
    found = mean_cell(results, method, key)
    return found if found is None or form.deviations else MeanStd(found.mean)


def _best(block: _Block, scores: Sequence[_Score]) -> list[tuple[int, int]]:
    """Row and column of the best values of a block."""
    return [
        (r, c)
        for c, score in enumerate(scores)
        for r in marked_rows(score.key, [cells[c] for cells in block], score.digits, ties=True)
    ]


def _sections(names: list[str], models: Mapping[str, ModelDetails]) -> list[int]:
    """First row of each section."""
    of = [models[name].section if name in models else "" for name in names]
    return [n for n, section in enumerate(of) if n == 0 or section != of[n - 1]]


def _slice_notes(directions: Mapping[str, Results], methods: Sequence[str]) -> tuple[str, ...]:
    """How many slices a table is over, and whose PSNR leaves some of them out."""
    notes = []
    for direction, results in directions.items():
        start = f"{direction}: " if direction else ""
        counts = _of_slices(results, "slice_count", methods)
        if counts:
            slices, subjects = next(iter(counts.values()))
            notes.append(
                f"{start}{slices} slices of {subjects} subject{'' if subjects == 1 else 's'}; "
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


def _millions(parameters: int | None) -> str | None:
    return None if parameters is None else f"{parameters / 1e6:.1f} M"
