"""What a layout found, and the file searches that the layouts share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from medrev.data.subject import Subject, strip_nifti
from medrev.volumes import NIFTI


@dataclass
class Listing:
    """Subjects found in a layout, its name, and what was wrong.

    Attributes:
        subjects: All of them.
        problems: What keeps subjects from being used, one line each.
        layout: Its name.
        unread: Why the table of participants, which may divide them, cannot be read.
    """

    subjects: list[Subject] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    layout: str = ""
    unread: str = ""


def folders(root: Path) -> list[Path]:
    """Return the visible folders in ``root``, sorted by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def nifti_files(folder: Path) -> list[Path]:
    """Return the NIfTI files, and links to such, directly in ``folder``, sorted by name.

    Of ``.hdr`` and ``.img`` it is the header, but not where the same is there as one file.
    """
    found = sorted(
        p
        for p in folder.iterdir()
        if p.name.endswith(NIFTI) and is_there(p) and not p.name.startswith(".")
    )
    single = {strip_nifti(path) for path in found if path.name.endswith(NIFTI[:2])}
    return [p for p in found if p.name.endswith(NIFTI[:2]) or strip_nifti(p) not in single]


def first_file(candidates: Iterable[Path]) -> Path | None:
    """Return the first candidate that is a file."""
    return next((path for path in candidates if is_there(path)), None)


def is_there(path: Path) -> bool:
    """Tell whether there is a file of this name, or a link, though its file was not fetched."""
    return path.is_file() or path.is_symlink()


def known(**files: Path | None) -> dict[str, Path]:
    """Return files by role, without those that were not found."""
    return {role: path for role, path in files.items() if path is not None}
