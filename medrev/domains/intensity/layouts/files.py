"""Any folder of NIfTI volumes: each file is a subject, with ``NAME_mask`` beside it where it is.

A contrast at the end of a file's name (``_T1w``, ``-t1n``) is taken for what it holds; the others
hold what the pipeline asks for.
"""

from pathlib import Path

from medrev.data.layouts.listing import Listing, first_file, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti
from medrev.domains.intensity.names import UNNAMED, contrast_ending, contrast_name
from medrev.volumes import NIFTI

EXPECTED = "NAME.nii.gz, one volume for each subject, with NAME_mask.nii.gz where there is a mask"

_NO_VOLUMES = ("_mask", "_seg", "_dseg", "_labels")


def _volumes(root: Path) -> list[Path]:
    return [path for path in nifti_files(root) if not strip_nifti(path).endswith(_NO_VOLUMES)]


def matches(root: Path) -> bool:
    """Tell whether there is any volume in ``root`` itself."""
    return bool(_volumes(root))


def read(root: Path) -> Listing:
    """List the volumes."""
    listing = Listing()
    for path in _volumes(root):
        stem = strip_nifti(path)
        ending = contrast_ending(stem)
        masks = (f"{stem}{word}_mask" for word in ("", "_brain", "_desc-brain"))
        mask = first_file(root / f"{name}{end}" for name in masks for end in NIFTI)
        role = UNNAMED if ending is None else contrast_name(ending)
        listing.subjects.append(Subject(stem, {role: path} | known(mask=mask)))
    take_participants(listing, root)
    return listing
