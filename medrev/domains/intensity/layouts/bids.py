"""BIDS: ``sub-*/[ses-*/]anat/*_SUFFIX.nii.gz``; the contrast is the suffix (T1w, T2w, FLAIR, …).

A T1w image with the entity ``ce`` (contrast agent) is t1ce. ``participants.tsv`` may add the column
``split``.
"""

from collections import defaultdict
from pathlib import Path

from medrev.data.layouts.bids import find_mask, magnitudes, session_folders
from medrev.data.layouts.listing import Listing, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti
from medrev.domains.intensity.names import contrast_name

EXPECTED = "sub-*/[ses-*/]anat/*_{T1w,T2w,FLAIR,…}.nii.gz"

_NO_CONTRASTS = ("mask", "defacemask", "roi", "dseg", "probseg")


def _files(folder: Path) -> list[Path]:
    """Files with a suffix that may be a contrast."""
    found = [path for path in nifti_files(folder) if "_" in path.name]
    return [path for path in found if not strip_nifti(path).endswith(_NO_CONTRASTS)]


def _images(folder: Path) -> dict[str, list[Path]]:
    """Files by contrast."""
    found = defaultdict(list)
    for path in magnitudes(_files(folder)):
        *entities, suffix = strip_nifti(path).split("_")
        name = contrast_name(suffix)
        enhanced = name == "t1" and any(entity.startswith("ce-") for entity in entities)
        found["t1ce" if enhanced else name].append(path)
    return found


def matches(root: Path) -> bool:
    """Tell whether any ``sub-*`` folder in ``root`` has images in ``anat``."""
    return any(_files(folder) for folder in session_folders(root, "anat"))


def read(root: Path) -> Listing:
    """List the subjects; every session is one."""
    listing = Listing()
    for folder in session_folders(root, "anat"):
        name = "_".join(folder.relative_to(root).parts[:-1])
        images = _images(folder)
        first = next((paths[0] for paths in images.values()), folder / f"{name}_T1w.nii.gz")
        mask = find_mask(first, root, alone=True)
        listing.subjects.append(
            Subject(
                name,
                {c: paths[0] for c, paths in images.items() if len(paths) == 1}
                | known(mask=mask if mask is not None and "brain" in mask.name else None),
                several={c: tuple(paths) for c, paths in images.items() if len(paths) > 1},
            )
        )
    take_participants(listing, root)
    return listing
