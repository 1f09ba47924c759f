"""One head of a cohort: the paths of its contrasts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medrev.data.subject import Member

__all__ = ["ContrastSubject", "contrast_name"]

#: Names of the same contrast: BraTS up to 2021, from 2023, and BIDS.
_ALIASES = {
    "t1n": "t1",
    "t1w": "t1",
    "t1c": "t1ce",
    "t1gd": "t1ce",
    "t2w": "t2",
    "t2f": "flair",
}
#: BraTS from 2023 numbers the scans of a person: BraTS-GLI-00005-100.
_BRATS_PERSON = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+")


def contrast_name(name: str) -> str:
    """The one name of a contrast.

    Example:
        >>> contrast_name("t1n"), contrast_name("T2w"), contrast_name("FLAIR"), contrast_name("PDw")
        ('t1', 't2', 'flair', 'pdw')
    """
    return _ALIASES.get(name.lower(), name.lower())


@dataclass(frozen=True)
class ContrastSubject(Member):
    """Where the contrasts of one head lie; nothing is read yet.

    Attributes:
        contrasts: File by contrast (:func:`contrast_name`).
        mask: Brain mask; None: where the contrasts are not zero.
        labels: Label map of a tumour; not used in training.
        several: Files by contrast where there are several of one, so that none can be chosen.
    """

    contrasts: Mapping[str, Path] = field(default_factory=dict)
    mask: Path | None = None
    labels: Path | None = None
    several: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def person(self) -> str:
        """The person scanned: scans of one person are never split apart.

        >>> ContrastSubject("BraTS-GLI-00005-100").person
        'BraTS-GLI-00005'
        """
        match = _BRATS_PERSON.fullmatch(self.id)
        return match.group(1) if match else super().person

    @property
    def kind(self) -> str:
        """The contrasts it has."""
        return " + ".join(sorted(self.contrasts))

    @property
    def image(self) -> Path | None:
        """The first contrast by name."""
        return self.contrasts[min(self.contrasts)] if self.contrasts else None

    def problems(self) -> list[str]:
        """What is wrong apart from the contrasts, of which not all may be needed."""
        if self.mask is None or self.mask.is_file():
            return []
        return [f"{self.id}: mask not found: {self.mask}"]

    def lacks(self, contrast: str) -> str | None:
        """Why a contrast cannot be used, in one line; None if it can."""
        path = self.contrasts.get(contrast)
        if path is not None:
            return None if path.exists() else f"{self.id}: {contrast} not found: {path}"
        if contrast in self.several:
            names = ", ".join(path.name for path in self.several[contrast])
            return f"{self.id}: several files for {contrast} ({names}): name one in a table"
        return f"{self.id}: no {contrast} (it has {', '.join(sorted(self.contrasts)) or 'nothing'})"
