"""Human Connectome Project: ``SUBJECT/T1w/Diffusion/data.nii.gz`` with bvals, bvecs, mask."""

from pathlib import Path

from medrev.data.layouts.listing import Listing, first_file, folders, known
from medrev.data.subject import Subject

EXPECTED = "SUBJECT/T1w/Diffusion/{data.nii.gz,bvals,bvecs,nodif_brain_mask.nii.gz}"

_FOLDERS = ("T1w/Diffusion", "Diffusion")


def _diffusion_folder(subject: Path) -> Path | None:
    return next((p for name in _FOLDERS if (p := subject / name).is_dir()), None)


def matches(root: Path) -> bool:
    """Tell whether any folder in ``root`` holds an HCP diffusion folder."""
    return any(_diffusion_folder(folder) is not None for folder in folders(root))


def read(root: Path) -> Listing:
    """List the subjects; folders without a diffusion folder are passed over."""
    listing: Listing = Listing()
    for folder in folders(root):
        place = _diffusion_folder(folder)
        if place is None:
            continue
        dwi = first_file(place / name for name in ("data.nii.gz", "data.nii"))
        if dwi is None:
            listing.problems.append(f"{folder.name}: no data.nii.gz in {place}")
            continue
        masks = ("nodif_brain_mask.nii.gz", "nodif_brain_mask.nii")
        listing.subjects.append(
            Subject(
                folder.name,
                known(
                    dwi=dwi,
                    bval=first_file([place / "bvals", place / "bval"]),
                    bvec=first_file([place / "bvecs", place / "bvec"]),
                    mask=first_file(place / name for name in masks),
                ),
            )
        )
    return listing
