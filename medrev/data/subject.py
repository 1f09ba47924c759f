"""Subjects of a cohort: an identifier and the paths of its files; and which are chosen by name."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from medrev.errors import InputError
from medrev.files import check_file, not_there


def is_chosen(chosen: Collection[str] | None, *names: str) -> bool:
    """Whether one of the names of a subject is among those chosen (None: all are).

    Example:
        >>> is_chosen(["01"], "sub-01_ses-1", "sub-01"), is_chosen(["sub-A"], "B")
        (True, False)
    """
    return chosen is None or not {*map(_label, chosen)}.isdisjoint(map(_label, names))


def check_chosen(chosen: Collection[str] | None, known: Mapping[str, str], wrong: str) -> None:
    """Refuse names that nobody has: a message begins so, and calls the known names as they map.

    Raises:
        InputError: Naming them, and those that are meant perhaps.
    """
    named = {_label(name): called for name, called in known.items()}
    missing = [name for name in chosen or () if _label(name) not in named]
    if not missing:
        return
    near = [m for name in missing for m in get_close_matches(_label(name), list(named), n=2)]
    all_names = sorted(set(named.values()))
    rest = " …" if len(all_names) > 8 else ""
    hint = f"there are {', '.join(all_names[:8])}{rest}"
    if near:
        hint = f"did you mean {' or '.join(dict.fromkeys(named[name] for name in near))}?"
    raise InputError(f"{wrong}: {', '.join(missing)}; {hint}")


def _label(name: str) -> str:
    return name.removeprefix("sub-")


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
        return f"not found: {path}{not_there(path)}"
    try:
        if not path.is_dir():
            check_file(path)
    except InputError as error:
        return str(error)
    return None


def strip_nifti(path: Path) -> str:
    """Return the file name without ``.nii`` or ``.nii.gz``, or ``.hdr`` or ``.img`` of two files.

    >>> strip_nifti(Path("a/sub-01_dwi.nii.gz"))
    'sub-01_dwi'
    """
    name = path.name.removesuffix(".gz")
    return name.removesuffix(".nii").removesuffix(".hdr").removesuffix(".img")
