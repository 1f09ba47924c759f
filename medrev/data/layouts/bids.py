"""BIDS: ``sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}``, masks beside or under ``derivatives/``.

``participants.tsv`` may add the columns ``split`` and ``truth`` (a path relative to the table).
"""

from dataclasses import replace
from pathlib import Path

from medrev.data.layouts.listing import Listing, folders, nifti_files
from medrev.data.layouts.table import read_rows
from medrev.data.subject import Subject, strip_nifti

__all__ = ["EXPECTED", "matches", "read"]

EXPECTED = "sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}"


def _dwi_folders(root: Path) -> list[Path]:
    found = []
    for subject in folders(root):
        if subject.name.startswith("sub-"):
            found += [subject / "dwi"]
            found += [s / "dwi" for s in folders(subject) if s.name.startswith("ses-")]
    return [folder for folder in found if folder.is_dir()]


def _series(folder: Path) -> list[Path]:
    """List the DWI series directly in a folder."""
    return [path for path in nifti_files(folder) if strip_nifti(path).endswith("_dwi")]


def matches(root: Path) -> bool:
    """Tell whether any ``sub-*`` folder in ``root`` holds a DWI series."""
    return any(_series(folder) for folder in _dwi_folders(root))


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
            if path.is_file() and entities.issuperset(path.stem.split("_"))
        ]
        if found:
            return max(found, key=lambda path: path.name.count("_"))
        if folder == root:
            break
    return None


def _mask(dwi: Path, root: Path, alone: bool) -> Path | None:
    """Find the mask of a series or, when it is alone in its folder, any brain mask there."""
    stem = strip_nifti(dwi).removesuffix("_dwi")
    relative = dwi.parent.relative_to(root)
    places = [dwi.parent, root / "derivatives" / relative]
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


def read(root: Path) -> Listing[Subject]:
    """List the subjects; every session, and every run of several in a folder, is one."""
    listing: Listing[Subject] = Listing()
    for folder in _dwi_folders(root):
        series = _series(folder)
        if not series:
            listing.problems.append(f"no *_dwi.nii.gz in {folder}")
        for dwi in series:
            parts = folder.relative_to(root).parts[:-1]
            alone = len(series) == 1
            listing.subjects.append(
                Subject(
                    id="_".join(parts) if alone else strip_nifti(dwi).removesuffix("_dwi"),
                    dwi=dwi,
                    bval=_gradient_file(dwi, root, "bval"),
                    bvec=_gradient_file(dwi, root, "bvec"),
                    mask=_mask(dwi, root, alone),
                )
            )
    participants = root / "participants.tsv"
    if participants.is_file():
        _add_participants(listing, participants)
    return listing


def _add_participants(listing: Listing[Subject], path: Path) -> None:
    """Take ``split`` and ``truth`` over from the participants' table."""
    rows = {row["id"]: row for row in read_rows(path)}
    for index, subject in enumerate(listing.subjects):
        names = (subject.id, subject.person, subject.person.removeprefix("sub-"))
        row = next((rows[name] for name in names if name in rows), None)
        if row is None:
            continue
        truth = row.get("truth")
        listing.subjects[index] = replace(
            subject, split=row.get("split"), truth=path.parent / truth if truth else None
        )
