"""A CSV or TSV file: one scan a row, a column for each contrast; paths relative to its folder."""

from pathlib import Path

from medrev.data.layouts.table import TableLayout
from medrev.domains.intensity.names import contrast_name
from medrev.files import named_in
from medrev.volumes import VOLUMES

_OTHERS = {"id", "mask", "seg", "dwi", "tensor", "truth"}


def _paths(row: dict[str, str]) -> dict[str, str]:
    """The cells of a row that name volumes of contrasts, by column."""
    endings = (*VOLUMES, ".img", ".img.gz")
    return {k: v for k, v in row.items() if k not in _OTHERS and v.lower().endswith(endings)}


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    others = {
        role: row[name] for role, name in (("mask", "mask"), ("labels", "seg")) if name in row
    }
    contrasts = {contrast_name(column): path for column, path in _paths(row).items()}
    return {role: named_in(folder, path) for role, path in {**contrasts, **others}.items()}


table = TableLayout(
    "participants.tsv (or a .csv) with the column id, one for each contrast, mask, split",
    lambda row: bool(_paths(row)),
    _files,
    "of volumes",
)
