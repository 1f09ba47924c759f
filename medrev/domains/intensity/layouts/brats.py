"""BraTS: a folder for each scan, whose files bear its name and that of the contrast.

2018 to 2021: ``NAME/NAME_t1.nii.gz``, ``_t1ce``, ``_t2``, ``_flair``, ``_seg``. From 2023:
``NAME/NAME-t1n.nii.gz``, ``-t1c``, ``-t2w``, ``-t2f``, ``-seg``. The folders may lie a few folders
deeper, as HGG and LGG of 2018 and the folders in which the archives are packed.
``participants.tsv`` may add the column ``split``.
"""

from collections.abc import Iterator
from pathlib import Path

from medrev.data.layouts.listing import Listing, folders, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti
from medrev.domains.intensity.names import contrast_name

EXPECTED = (
    "[…/]NAME/NAME_{t1,t1ce,t2,flair,seg}.nii.gz (BraTS to 2021) or "
    "[…/]NAME/NAME-{t1n,t1c,t2w,t2f,seg}.nii.gz (from 2023)"
)

_CONTRASTS = {"t1", "t1ce", "t2", "flair"}
#: Folders between the root and the scans.
_DEPTH = 3


def _roles(folder: Path) -> dict[str, Path]:
    """The files of a scan's folder by what their names end in."""
    found = {}
    for path in nifti_files(folder):
        rest = strip_nifti(path).removeprefix(folder.name)
        if rest != strip_nifti(path) and rest[:1] in ("_", "-"):
            found[contrast_name(rest[1:])] = path
    return found


def is_scan(folder: Path) -> bool:
    """Tell whether a folder holds the contrasts of one scan."""
    return bool(_roles(folder).keys() & _CONTRASTS)


def _scans(root: Path, depth: int = _DEPTH) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Folders of scans with their files."""
    for folder in folders(root):
        roles = _roles(folder)
        if roles.keys() & (_CONTRASTS | {"seg"}):
            yield folder, roles
        elif depth > 1:
            yield from _scans(folder, depth - 1)


def matches(root: Path) -> bool:
    """Tell whether any folder below ``root`` is one of a scan."""
    return any(roles.keys() & _CONTRASTS for _, roles in _scans(root))


def read(root: Path) -> Listing:
    """List the scans."""
    listing = Listing()
    for folder, roles in _scans(root):
        masks = [roles.pop(name) for name in ("mask", "brain_mask") if name in roles]
        labels = roles.pop("seg", None)
        found = roles | known(mask=next(iter(masks), None), labels=labels)
        listing.subjects.append(Subject(folder.name, found))
    take_participants(listing, root)
    return listing
