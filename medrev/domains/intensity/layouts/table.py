"""A CSV or TSV file: one scan a row, a column for each contrast; paths relative to its folder."""

from pathlib import Path

from medrev.data.layouts import Listing
from medrev.data.layouts.table import find_table, list_rows, read_rows
from medrev.domains.intensity.subject import ContrastSubject, contrast_name
from medrev.errors import InputError

__all__ = ["EXPECTED", "matches", "read"]

EXPECTED = "participants.tsv (or a .csv) with the column id, one for each contrast, mask, split"

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_OTHERS = {"id", "mask", "seg", "dwi", "tensor", "truth"}


def _paths(row: dict[str, str]) -> dict[str, str]:
    """The cells of a row that name volumes of contrasts, by column."""
    return {k: v for k, v in row.items() if k not in _OTHERS and v.lower().endswith(_VOLUMES)}


def matches(root: Path) -> bool:
    """Tell whether ``root`` is, or holds, a table with volumes."""
    table = find_table(root)
    try:
        return table is not None and any(_paths(row) for row in read_rows(table))
    except InputError:
        return False


def read(root: Path) -> Listing[ContrastSubject]:
    """List the subjects of the table that ``root`` is or holds."""
    table = find_table(root)
    if table is None:
        return Listing()
    listing = list_rows(table, _subject)
    if not matches(root):
        raise InputError(f"{table} has no column of volumes; expected {EXPECTED}")
    return listing


def _subject(row: dict[str, str], folder: Path) -> ContrastSubject:
    mask, labels = (folder / row[name] if name in row else None for name in ("mask", "seg"))
    contrasts = {contrast_name(column): folder / path for column, path in _paths(row).items()}
    return ContrastSubject(row["id"], contrasts, mask, labels, split=row.get("split"))
