"""A CSV or TSV file: one scan a row, a column for each contrast; paths relative to its folder."""

from pathlib import Path

from medrev.data.layouts import Listing
from medrev.data.layouts.table import find_table, list_rows, read_rows
from medrev.domains.intensity.names import contrast_name
from medrev.errors import InputError
from medrev.volumes import VOLUMES

EXPECTED = "participants.tsv (or a .csv) with the column id, one for each contrast, mask, split"

_OTHERS = {"id", "mask", "seg", "dwi", "tensor", "truth"}


def _paths(row: dict[str, str]) -> dict[str, str]:
    """The cells of a row that name volumes of contrasts, by column."""
    return {k: v for k, v in row.items() if k not in _OTHERS and v.lower().endswith(VOLUMES)}


def matches(root: Path) -> bool:
    """Tell whether ``root`` is, or holds, a table with volumes."""
    table = find_table(root)
    try:
        return table is not None and any(_paths(row) for row in read_rows(table))
    except InputError:
        return False


def read(root: Path) -> Listing:
    """List the subjects of the table that ``root`` is or holds."""
    table = find_table(root)
    if table is None:
        return Listing()
    listing = list_rows(table, _files)
    if not matches(root):
        raise InputError(f"{table} has no column of volumes; expected {EXPECTED}")
    return listing


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    others = {
        role: row[name] for role, name in (("mask", "mask"), ("labels", "seg")) if name in row
    }
    contrasts = {contrast_name(column): path for column, path in _paths(row).items()}
    return {role: folder / path for role, path in {**contrasts, **others}.items()}
