"""Results of held-out subjects as tables: columns by name, means over subjects, files."""

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from medrev.errors import InputError
from medrev.evaluation.catalogue import CATALOGUE
from medrev.evaluation.results import Record, Results
from medrev.evaluation.summary import mean_cell
from medrev.evaluation.tables import best_rows
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular
from medrev.metrics import INTERIOR, MASK, NOISE_FLOOR, WHOLE, Key


class HeldoutColumn(NamedTuple):
    """A column of the held-out table, of ``heldout.csv`` and of ``validation.csv``.

    Attributes:
        title: Heading with unit.
        metric: As in :class:`Key`.
        component: As in :class:`Key`; directions and round trips in that of translations.
        digits: Digits after the point.
        interior: Whether it is of the interior of the mask, not of all voxels that are compared.
    """

    title: str
    metric: str
    component: str | None = None
    digits: int = 2
    interior: bool = False

    @property
    def shown(self) -> Column:
        """The same as a column of a table, with which values are good."""
        return Column(self.title, self.digits, better=CATALOGUE[self.metric].better)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Where its values may be: in the mask, or in the whole where there is none."""
        regions = (INTERIOR,) if self.interior else (MASK, WHOLE)
        return tuple(Key(self.metric, region, self.component) for region in regions)

    def values(self, results: Results, method: str) -> dict[str, float]:
        """Value by subject of one method, without the subjects where it is undefined."""
        found: dict[str, float] = {}
        for key in self.keys:
            found |= results.values(method, key)
        return found

    def mean(self, results: Results, method: str) -> MeanStd | None:
        """Mean and standard deviation over subjects, or None where no subject has a value."""
        return mean_cell(self.values(results, method).values())

    @property
    def direction(self) -> str | None:
        """Of which translation or round trip it is; None where there is one direction."""
        return self.component if self.component is not None and "→" in self.component else None


#: All columns by name, in the order of tables: of diffusion tensors; of images and contrasts, in
#: both directions; of segmentations, counted over all images together; of generation.
HELDOUT: dict[str, HeldoutColumn] = {
    "rmse_interior": HeldoutColumn("RMSE interior [1e-5 mm²/s]", "rmse", interior=True),
    "rmse": HeldoutColumn("RMSE mask [1e-5 mm²/s]", "rmse"),
    "ratio_interior": HeldoutColumn("÷ cubic interior", "ratio", digits=3, interior=True),
    "ratio": HeldoutColumn("÷ cubic mask", "ratio", digits=3),
    "psnr": HeldoutColumn("PSNR [dB]", "psnr"),
    "ssim": HeldoutColumn("SSIM", "ssim", digits=4),
    "fa_error": HeldoutColumn("FA error", "mae", "FA", digits=4),
    "md_error": HeldoutColumn("MD error [1e-5 mm²/s]", "mae", "MD"),
    "direction_error": HeldoutColumn("direction error [°]", "direction_error"),
    "not_positive_definite": HeldoutColumn(
        "not positive definite [%]", "not_positive_definite", digits=3
    ),
    "nmae_forward": HeldoutColumn("L1 x→y", "nmae", "x→y", digits=4),
    "psnr_forward": HeldoutColumn("PSNR x→y [dB]", "psnr", "x→y"),
    "ssim_forward": HeldoutColumn("SSIM x→y", "ssim", "x→y", digits=4),
    "flicker_forward": HeldoutColumn("slice flicker x→y", "flicker", "x→y", digits=3),
    "nmae_inverse": HeldoutColumn("L1 y→x", "nmae", "y→x", digits=4),
    "psnr_inverse": HeldoutColumn("PSNR y→x [dB]", "psnr", "y→x"),
    "ssim_inverse": HeldoutColumn("SSIM y→x", "ssim", "y→x", digits=4),
    "flicker_inverse": HeldoutColumn("slice flicker y→x", "flicker", "y→x", digits=3),
    "cycle_x": HeldoutColumn("cycle error x→y→x", "nmae", "x→y→x", digits=5),
    "cycle_y": HeldoutColumn("cycle error y→x→y", "nmae", "y→x→y", digits=5),
    "pixel_accuracy": HeldoutColumn("per-pixel accuracy", "pixel_accuracy", digits=3),
    "class_accuracy": HeldoutColumn("per-class accuracy", "class_accuracy", digits=3),
    "class_iou": HeldoutColumn("class IoU", "class_iou", digits=3),
    "bits_per_dim": HeldoutColumn("bits per dimension", "bits_per_dim", digits=3),
    "used_dimensions": HeldoutColumn("dimensions used by a class", "used_dimensions", digits=1),
    "best_mse": HeldoutColumn("MSE, best of the draws", "best_mse"),
    "draw_variance": HeldoutColumn("variance of the draws", "draw_variance"),
    "inversion": HeldoutColumn("error of the inverse", "inversion", digits=9),
    "label_accuracy": HeldoutColumn("classes told rightly", "label_accuracy", digits=4),
}


def heldout_columns(results: Results) -> dict[str, HeldoutColumn]:
    """Columns that were measured, by name."""
    measured = set(results.keys)
    return {name: column for name, column in HELDOUT.items() if measured & set(column.keys)}


def heldout_means(results: Results, method: str = "model") -> dict[str, float]:
    """Means over subjects of one method, by column.

    Example:
        >>> a = Record("A", "cubic", "rmse", "mask", None, 9.5, "1e-5 mm²/s")
        >>> b = Record("B", "cubic", "rmse", "mask", None, 9.0, "1e-5 mm²/s")
        >>> heldout_means(Results.of([a, b]), "cubic")
        {'rmse': 9.25}
    """
    found = {name: c.mean(results, method) for name, c in heldout_columns(results).items()}
    return {name: cell.mean for name, cell in found.items() if cell is not None}


def heldout_table(results: Results, title: str = "") -> Tabular:
    """Means ± standard deviations: methods are rows, the best are marked, the noise floor apart.

    The title stands before the subjects' name or number.
    """
    columns, subjects, names = heldout_columns(results), results.subjects, results.methods
    cells = [[c.mean(results, method) for method in names] for c in columns.values()]
    caption = f"{title} ({len(subjects)}): mean ± standard deviation"
    if len(subjects) == 1:
        caption = f"{title}: {subjects[0]}"
    return Tabular(
        _headings(["method"], columns.values()),
        tuple(zip(names, *cells, strict=True)),
        caption if title else "",
        tuple(f"{line}." for line in results.reasons),
        (1, *(r for r, name in enumerate(names) if name == NOISE_FLOOR)),
        frozenset(
            (r, c)
            for c, (column, means) in enumerate(zip(columns.values(), cells, strict=True), 1)
            for r in best_rows(column.shown, names, means)
        ),
    )


def heldout_markdown(results: Results, *, per_subject: bool = False) -> str:
    """A Markdown table of means ± std, followed by a table per subject if wanted."""
    means = heldout_table(results)
    parts = [Tabular(means.columns, means.rows).to_markdown()]
    parts += [_by_subject(results).to_markdown()] * per_subject
    notes = "\n".join(f"Note: {note}\n" for note in means.notes)
    return "\n".join([*parts, notes] if notes else parts)


def heldout_csv(results: Results) -> str:
    """One line per subject and method at full precision; undefined metrics stay empty."""
    _, *lines = _by_subject(results).to_csv().split("\n")
    return "\n".join([",".join(["subject", "method", *heldout_columns(results)]), *lines])


def heldout_json(results: Results) -> str:
    """Units, rows, means and notes as one JSON object; undefined or infinite is null."""
    columns = heldout_columns(results)
    names = ["subject", "method", *columns]
    summary = {
        method: {
            name: (mean := column.mean(results, method))
            and {
                "mean": _finite(mean.mean),
                "std": mean.std,
                "count": len(column.values(results, method)),
            }
            for name, column in columns.items()
        }
        for method in results.methods
    }
    document = {
        "metrics": {name: column.title for name, column in columns.items()},
        "rows": [dict(zip(names, map(_finite, r), strict=True)) for r in _by_subject(results).rows],
        "summary": summary,
        "notes": list(results.reasons),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_heldout(text: str) -> Results:
    """Read what :func:`heldout_json` wrote; reasons are not in it.

    Raises:
        InputError: The text is no held-out table.
    """
    try:
        return Results.of(
            Record(
                row["subject"],
                row["method"],
                *HELDOUT[name].keys[0],
                row[name],
                "",
                "" if row[name] is None else None,
            )
            for row in json.loads(text)["rows"]
            for name in HELDOUT
            if name in row
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InputError(f"not a held-out table: {error}") from error


def _by_subject(results: Results) -> Tabular:
    """Every value: a row per subject and method."""
    columns = heldout_columns(results).values()
    values = {m: [column.values(results, m) for column in columns] for m in results.methods}
    pairs = results.frame[["subject", "method"]].drop_duplicates()
    rows: list[tuple[Cell, ...]] = [
        (subject, method, *(found.get(subject) for found in values[method]))
        for subject, method in pairs.itertuples(index=False)
    ]
    return Tabular(_headings(["subject", "method"], columns), tuple(rows))


def _headings(first: list[str], columns: Iterable[HeldoutColumn]) -> tuple[Column, ...]:
    return (*map(Column, first), *(Column(c.title, c.digits) for c in columns))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
