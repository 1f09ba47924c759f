"""A subject that is to be done."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A subject to be done, not yet looked into.

    Attributes:
        name: What the user knows it by; of a cohort's subject its name there.
        path: The input.
        root: Folder of all results.
        folder: Where its results go, in ``root``.
        base: What their names begin with.
        file: The file of the result itself, where it is named and not only its folder.
        person: Whose scan it is, where it is one of a cohort.
        mask: Brain mask.
        bval: b-values.
        bvec: b-vectors.
        problem: Why it cannot be done, where that is known already.
    """

    name: str
    path: Path
    root: Path = Path()
    folder: Path = Path()
    base: str = ""
    file: Path | None = None
    person: str = ""
    mask: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    problem: str | None = None

    def absolute(self) -> "Entry":
        """The same subject for a process in another folder."""
        paths: dict[str, Any] = {
            each.name: value.absolute()
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), Path)
        }
        return replace(self, **paths)
