"""BIDS: ``sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}``, masks beside or under ``derivatives/``.

``participants.tsv`` may add the columns ``split`` and ``truth`` (a path relative to the table).
"""

from pathlib import Path

from medrev.data.layouts.bids import find_mask, magnitudes, session_folders
from medrev.data.layouts.listing import Listing, is_there, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti

EXPECTED = "sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}"


def _series(folder: Path) -> list[Path]:
    """List the DWI series directly in a folder."""
    return [path for path in nifti_files(folder) if strip_nifti(path).endswith("_dwi")]


def matches(root: Path) -> bool:
    """Tell whether any ``sub-*`` folder in ``root`` holds a DWI series."""
    return any(_series(folder) for folder in session_folders(root, "dwi"))


def _gradient_file(dwi: Path, root: Path, ending: str) -> Path | None:
    """Find b-values or b-vectors: beside a series, or inherited from a folder above it.

    By BIDS' inheritance principle, a file applies if the series has all entities of its name; the
    nearest folder goes first, and in it the name with the most entities.
    """
    entities = set(strip_nifti(dwi).split("_"))
    for folder in dwi.parents:
        found = [
            path
            for path in sorted(folder.glob(f"*dwi.{ending}"))
            if is_there(path) and entities.issuperset(path.stem.split("_"))
        ]
        if found:
            return max(found, key=lambda path: path.name.count("_"))
        if folder == root:
            break
    return None


def read(root: Path) -> Listing:
    """List the subjects; every session, and every run of several in a folder, is one."""
    listing: Listing = Listing()
    for folder in session_folders(root, "dwi"):
        series = magnitudes(_series(folder))
        if not series:
            listing.problems.append(f"no *_dwi.nii.gz in {folder}")
        for dwi in series:
            parts = folder.relative_to(root).parts[:-1]
            alone, stem = len(series) == 1, strip_nifti(dwi).removesuffix("_dwi")
            files = known(
                dwi=dwi,
                bval=_gradient_file(dwi, root, "bval"),
                bvec=_gradient_file(dwi, root, "bvec"),
                mask=find_mask(dwi, root, alone=alone),
            )
            listing.subjects.append(Subject("_".join(parts) if alone else stem, files))
    take_participants(listing, root, ["truth"])
    return listing
