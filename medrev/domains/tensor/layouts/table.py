"""A CSV or TSV file of paths, one subject a row; paths are relative to the table's folder."""

from pathlib import Path

from medrev.data.layouts.table import TableLayout
from medrev.data.subject import strip_nifti
from medrev.files import named_in
from medrev.volumes import NIFTI

_PATHS = ("dwi", "bval", "bvec", "tensor", "mask", "truth")


def _names(row: dict[str, str]) -> bool:
    return any(
        row.get(name, "").endswith((*NIFTI, ".img", ".img.gz")) for name in ("dwi", "tensor")
    )


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    paths = {name: named_in(folder, row[name]) for name in _PATHS if name in row}
    if "dwi" in paths:
        stem = strip_nifti(paths["dwi"])
        for name in ("bval", "bvec"):
            beside = paths["dwi"].with_name(f"{stem}.{name}")
            if name not in paths and beside.is_file():
                paths[name] = beside
    return paths


table = TableLayout(
    "participants.tsv (or a .csv) with the columns id and dwi, bval, bvec or tensor",
    _names,
    _files,
    "dwi or tensor with NIfTI files (.nii.gz, .nii, .hdr)",
)
