"""Names of contrasts, and why a subject's file of one cannot be used."""

from medrev.data.subject import Subject

#: Roles of files that are no contrasts.
NOT_CONTRASTS = ("mask", "labels")
#: Role of a volume of which nobody says what contrast it is.
UNNAMED = "volume"
#: Names of the same contrast: BraTS up to 2021, from 2023, and BIDS.
_ALIASES = {
    "t1n": "t1",
    "t1w": "t1",
    "t1c": "t1ce",
    "t1gd": "t1ce",
    "t2w": "t2",
    "t2f": "flair",
}


def contrast_name(name: str) -> str:
    """The one name of a contrast.

    Example:
        >>> contrast_name("t1n"), contrast_name("T2w"), contrast_name("FLAIR"), contrast_name("PDw")
        ('t1', 't2', 'flair', 'pdw')
    """
    return _ALIASES.get(name.lower(), name.lower())


def contrasts(subject: Subject) -> list[str]:
    """The contrasts of which a subject has one file, sorted by name."""
    return sorted(role for role in subject.files if role not in NOT_CONTRASTS)


def lacks(subject: Subject, contrast: str) -> str | None:
    """Why a contrast of a subject cannot be used, in one line; None if it can."""
    path = subject.files.get(contrast)
    if path is not None:
        return None if path.exists() else f"{subject.id}: {contrast} not found: {path}"
    if contrast in subject.several:
        names = ", ".join(path.name for path in subject.several[contrast])
        return f"{subject.id}: several files for {contrast} ({names}): name one in a table"
    return f"{subject.id}: no {contrast} (it has {', '.join(contrasts(subject)) or 'nothing'})"
