"""What a layout found, and the file searches that the layouts share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from medrev.data.subject import Member

__all__ = ["Listing", "first_file", "folders", "nifti_files"]

M = TypeVar("M", bound=Member)


@dataclass
class Listing(Generic[M]):
    """Subjects found in a layout and what was wrong, one line each."""

    subjects: list[M] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def folders(root: Path) -> list[Path]:
    """Return the visible folders in ``root``, sorted by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def nifti_files(folder: Path) -> list[Path]:
    """Return the NIfTI files directly in ``folder``, sorted by name."""
    return sorted(
        p
        for p in folder.iterdir()
        if p.name.endswith((".nii", ".nii.gz")) and p.is_file() and not p.name.startswith(".")
    )


def first_file(candidates: Iterable[Path]) -> Path | None:
    """Return the first candidate that is a file."""
    return next((path for path in candidates if path.is_file()), None)
