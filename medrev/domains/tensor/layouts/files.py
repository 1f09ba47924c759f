"""Raw DWI in one folder: ``NAME.{nii.gz,bval,bvec}`` for each subject.

Masks lie beside the series, in BIDS naming. ``participants.tsv`` may add columns.
"""

from pathlib import Path

from medrev.data.layouts.bids import find_mask, magnitudes
from medrev.data.layouts.listing import Listing, is_there, known, nifti_files
from medrev.data.layouts.table import take_participants
from medrev.data.subject import Subject, strip_nifti

EXPECTED = "NAME.{nii.gz,bval,bvec} for each subject"


def _beside(series: Path, ending: str) -> Path:
    return series.with_name(f"{strip_nifti(series)}.{ending}")


def _series(root: Path) -> list[Path]:
    """Files with b-values or b-vectors beside; which of them is missing is said later."""
    pairs = ((path, _beside(path, end)) for path in nifti_files(root) for end in ("bval", "bvec"))
    return list(dict.fromkeys(path for path, file in pairs if is_there(file)))


def matches(root: Path) -> bool:
    """Tell whether ``root`` itself holds a series."""
    return bool(_series(root))


def read(root: Path) -> Listing:
    """List the series."""
    listing: Listing = Listing()
    series = magnitudes(_series(root))
    for dwi in series:
        gradients = {end: _beside(dwi, end) for end in ("bval", "bvec")}
        files = known(
            dwi=dwi,
            mask=find_mask(dwi, root, alone=len(series) == 1),
            **{end: file for end, file in gradients.items() if is_there(file)},
        )
        listing.subjects.append(Subject(strip_nifti(dwi).removesuffix("_dwi"), files))
    take_participants(listing, root)
    return listing
