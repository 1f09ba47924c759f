"""Names of contrasts, and of their results: BIDS derivatives, whatever the input is called."""

import re
from pathlib import Path

from medrev.data.subject import Subject
from medrev.domains.outputs import bids_label
from medrev.volumes import strip_suffix

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


#: What medrev and BraTS call a contrast, and what BIDS does: an entity before, and the suffix.
_BIDS = {
    "t1": ("", "T1w"),
    "t1ce": ("ce-gadolinium", "T1w"),
    "t2": ("", "T2w"),
    "flair": ("", "FLAIR"),
}
#: Endings of names that say which contrast a file holds: BIDS, BraTS up to 2021, from 2023 on.
_ENDING = re.compile(r"[_-](t1|t1w|t1n|t1ce|t1c|t1gd|t2|t2w|t2f|flair|pd|pdw)$", re.IGNORECASE)
_REPLACED = re.compile(r"_(?:ce|desc|res)-[A-Za-z0-9]+")
_ENHANCED = re.compile(r"(?:^|_)ce-")
#: BIDS entities that come after ``ce`` in a name.
_AFTER_CE = (
    "trc", "stain", "rec", "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc",
    "hemi", "space", "split", "recording", "chunk", "seg", "res", "den", "label",
)  # fmt: skip


def contrast_base(source: Path, contrast: str) -> str:
    """The beginning of the names of an input's results: its name without its contrast.

    Example:
        >>> contrast_base(Path("sub-01_ce-gadolinium_run-2_desc-preproc_T1w.nii.gz"), "t1ce")
        'sub-01_run-2'
        >>> contrast_base(Path("BraTS-GLI-00002-000-t1n.nii.gz"), "t1")
        'BraTS-GLI-00002-000'
    """
    stem = strip_suffix(source)
    shorter = _ENDING.sub("", stem)
    if shorter == stem:
        shorter = re.sub(rf"[_-]{re.escape(contrast)}$", "", stem, flags=re.IGNORECASE)
    return _REPLACED.sub("", shorter)


def contrast_ending(stem: str) -> str | None:
    """The contrast that a name without suffix ends in, as it stands there.

    Example:
        >>> contrast_ending("head7_T1w"), contrast_ending("colin27")
        ('T1w', None)
    """
    match = _ENDING.search(stem)
    return None if match is None else match.group(1)


def contrast_file(base: str, contrast: str, label: str, ending: str) -> str:
    """The name of the file of a volume of a contrast, with a label of the entity ``desc``.

    Contrasts, as the model calls them, are BraTS's or suffixes of BIDS.

    Example:
        >>> contrast_file("sub-01_run-2", "t1ce", "synth", ".nii.gz")
        'sub-01_ce-gadolinium_run-2_desc-synth_T1w.nii.gz'
    """
    entity, suffix = _BIDS.get(contrast_name(contrast), ("", bids_label(contrast)))
    words = base.split("_")
    if entity:
        later = (n for n, word in enumerate(words) if word.partition("-")[0] in _AFTER_CE)
        words.insert(next(later, len(words)), entity)
    return f"{'_'.join(words)}_desc-{label}_{suffix}{ending}"


def contrast_words(contrast: str) -> str:
    """What a contrast is called in words.

    Example:
        >>> contrast_words("t1"), contrast_words("t1ce"), contrast_words("PDw")
        ('T1w', 'T1w with gadolinium', 'PDw')
    """
    entity, suffix = _BIDS.get(contrast_name(contrast), ("", contrast))
    return f"{suffix} with gadolinium" if entity else suffix


def other_contrast(source: Path, contrast: str) -> str | None:
    """The contrast that the name of a file says it holds, where that is not the one wanted.

    Names that are not those of BIDS and BraTS say nothing.

    Example:
        >>> other_contrast(Path("sub-01_T2w.nii.gz"), "t1")
        't2'
        >>> other_contrast(Path("sub-01_ce-gadolinium_T1w.nii.gz"), "t1")
        't1ce'
        >>> other_contrast(Path("BraTS-GLI-00002-000-t1n.nii.gz"), "T1w")
    """
    named, wanted = named_contrast(source), contrast_name(contrast)
    if named is None or wanted not in _BIDS:
        return None
    named = contrast_name(named)
    return named if named in _BIDS and named != wanted else None


def named_contrast(source: Path) -> str | None:
    """The contrast that the name of a file says it holds.

    Example:
        >>> named_contrast(Path("sub-01_T2w.nii.gz"))
        'T2w'
        >>> named_contrast(Path("sub-01_ce-gadolinium_T1w.nii.gz"))
        't1ce'
        >>> named_contrast(Path("colin27.nii.gz"))
    """
    stem = strip_suffix(source)
    named = contrast_ending(stem)
    enhanced = named is not None and contrast_name(named) == "t1" and _ENHANCED.search(stem)
    return "t1ce" if enhanced else named
