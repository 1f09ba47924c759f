"""BIDS: ``sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}``, masks beside or under ``derivatives/``.

``participants.tsv`` may add the columns ``split`` and ``truth`` (a path relative to the table).
"""

from pathlib import Path

from medrev.data.layouts.bids import find_mask, gradient_file, magnitudes, session_folders
from medrev.data.layouts.listing import Listing, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti

EXPECTED = "sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}"


def _series(folder: Path) -> list[Path]:
    """List the DWI series directly in a folder."""
    return [path for path in nifti_files(folder) if strip_nifti(path).endswith("_dwi")]


def matches(root: Path) -> bool:
    """Tell whether any ``sub-*`` folder in ``root`` holds a DWI series."""
    return any(_series(folder) for folder in session_folders(root, "dwi"))


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
                bval=gradient_file(dwi, root, "bval"),
                bvec=gradient_file(dwi, root, "bvec"),
                mask=find_mask(dwi, root, alone=alone),
            )
            listing.subjects.append(Subject("_".join(parts) if alone else stem, files))
    take_participants(listing, root, ["truth"])
    return listing
