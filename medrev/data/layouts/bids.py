"""BIDS: folders of subjects and sessions, and the masks beside files or under ``derivatives/``."""

from pathlib import Path

from medrev.data.layouts.listing import folders, nifti_files
from medrev.data.subject import strip_nifti

__all__ = ["find_mask", "is_subject", "session_folders"]


def session_folders(root: Path, name: str) -> list[Path]:
    """The folders of a name (dwi, anat) of all subjects and sessions."""
    found = []
    for subject in folders(root):
        if subject.name.startswith("sub-"):
            found += [subject / name]
            found += [s / name for s in folders(subject) if s.name.startswith("ses-")]
    return [folder for folder in found if folder.is_dir()]


def is_subject(folder: Path, name: str) -> bool:
    """Tell whether a folder is that of one subject which has folders of a name (dwi, anat)."""
    folder = folder.absolute()
    if not folder.name.startswith("sub-"):
        return False
    return (folder / name).is_dir() or any(folder.glob(f"ses-*/{name}"))


def find_mask(folder: Path, root: Path, stem: str, *, alone: bool) -> Path | None:
    """Find the mask of a series.

    Args:
        folder: Of the series.
        root: Of the dataset.
        stem: What the names of the series' files begin with.
        alone: The series is the only one in its folder: any brain mask there is its.
    """
    relative = folder.relative_to(root)
    places = [folder, root / "derivatives" / relative]
    if (root / "derivatives").is_dir():
        places += [pipeline / relative for pipeline in folders(root / "derivatives")]
    masks = [
        path
        for place in places
        if place.is_dir()
        for path in nifti_files(place)
        if strip_nifti(path).endswith("_mask") and (alone or path.name.startswith(f"{stem}_"))
    ]
    ranked = sorted(masks, key=lambda p: ("desc-brain" not in p.name, not p.name.startswith(stem)))
    return ranked[0] if ranked else None
