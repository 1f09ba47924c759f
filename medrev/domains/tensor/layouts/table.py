"""A CSV or TSV file of paths, one subject a row; paths are relative to the table's folder."""

from pathlib import Path

from medrev.data.layouts.listing import Listing
from medrev.data.layouts.table import find_table, list_rows, read_rows
from medrev.errors import InputError

EXPECTED = "participants.tsv (or a .csv) with the columns id and dwi, bval, bvec or tensor"

_PATHS = ("dwi", "bval", "bvec", "tensor", "mask", "truth")
_NIFTI = (".nii", ".nii.gz")


def _has_paths(path: Path) -> bool:
    """Tell whether a table has a column of DWI or tensor files."""
    try:
        rows = read_rows(path)
    except InputError:
        return False
    return any(row.get(name, "").endswith(_NIFTI) for row in rows for name in ("dwi", "tensor"))


def matches(root: Path) -> bool:
    """Tell whether ``root`` is, or holds, a table with paths."""
    table = find_table(root)
    return table is not None and _has_paths(table)


def read(root: Path) -> Listing:
    """List the subjects of the table that ``root`` is or holds."""
    table = find_table(root)
    if table is None:
        return Listing()
    listing = list_rows(table, _files)
    if not _has_paths(table):
        raise InputError(
            f"{table} has no column dwi or tensor with .nii or .nii.gz files; expected {EXPECTED}"
        )
    return listing


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    paths = {name: folder / row[name] for name in _PATHS if name in row}
    if "dwi" in paths:
        for name, ending in (("bval", ".bval"), ("bvec", ".bvec")):
            beside = _beside(paths["dwi"], ending)
            if name not in paths and beside.is_file():
                paths[name] = beside
    return paths


def _beside(dwi: Path, ending: str) -> Path:
    return dwi.with_name(dwi.name.removesuffix(".gz").removesuffix(".nii") + ending)
