"""One subject of a cohort: an identifier and the paths of its files."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medrev.errors import InputError
from medrev.files import check_file

#: The parts of a cohort.
PARTS = ("train", "validation", "test")
#: BraTS from 2023 numbers the scans of a person: BraTS-GLI-00005-100.
_BRATS_PERSON = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+")


@dataclass(frozen=True)
class Subject:
    """Where the data of one scan lie; nothing is read yet.

    Attributes:
        id: Name, unique in its cohort.
        files: Paths by role: of a diffusion scan dwi, bval, bvec, tensor, truth; of others the
            names of their contrasts; of all mask and labels.
        split: The part it belongs to, where its cohort says so.
        several: Paths by role where there are several for one, so that none can be chosen.
    """

    id: str
    files: Mapping[str, Path] = field(default_factory=dict)
    split: str | None = field(default=None, kw_only=True)
    several: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, kw_only=True)

    @property
    def person(self) -> str:
        """The person scanned: sessions, runs and scans of one person are never split apart.

        >>> Subject("sub-01_ses-2").person, Subject("BraTS-GLI-00005-100").person
        ('sub-01', 'BraTS-GLI-00005')
        """
        brats = _BRATS_PERSON.fullmatch(self.id)
        if brats:
            return brats.group(1)
        return self.id.split("_")[0] if self.id.startswith("sub-") else self.id

    def missing(self) -> list[str]:
        """The files that are not there, or by name only, one line each."""
        return [
            f"{self.id}: {role} {reason}"
            for role, path in self.files.items()
            if (reason := _absence(path)) is not None
        ]


def _absence(path: Path) -> str | None:
    if not os.path.lexists(path):  # of a name that no disk takes, too
        return f"not found: {path}"
    try:
        if not path.is_dir():
            check_file(path)
    except InputError as error:
        return str(error)
    return None


def strip_nifti(path: Path) -> str:
    """Return the file name without ``.nii`` or ``.nii.gz``.

    >>> strip_nifti(Path("a/sub-01_dwi.nii.gz"))
    'sub-01_dwi'
    """
    return path.name.removesuffix(".gz").removesuffix(".nii")
