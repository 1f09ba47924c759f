"""Which subject a file belongs to, read from its name and its folders."""

import re
from pathlib import Path

from medrev.domains.intensity.names import contrast_base, contrast_ending
from medrev.domains.intensity.subject import contrast_name
from medrev.domains.names import bids_label
from medrev.volumes import strip_suffix

__all__ = ["contrast_of", "is_image", "is_mask", "is_uncertainty", "subject_label", "subject_of"]

#: BIDS entities that say whose scan it is; the others say what was made of it.
_IDENTITY = ("sub", "ses", "acq", "run", "echo", "dir", "task")
_ENTITY = re.compile(r"^([a-z]+)-([A-Za-z0-9]+)$")
#: Endings of names outside of BIDS that say what a file is, not whose.
_ROLES = re.compile(
    r"[._-](prediction|pred|output|out|sr|reference|ref|target|truth|gt|input|lr|low|hr|high|"
    r"tensor|dti|dt|dwimap|fa|md|brain|mask|labels?|dseg|seg|std|uncertainty|(fake|real)_[AB])$",
    re.IGNORECASE,
)
_MASK = re.compile(r"(^|[._-])mask$", re.IGNORECASE)
_STD = re.compile(r"(std|uncertainty)([._-]|$)", re.IGNORECASE)
#: Neither images nor masks nor standard deviations.
_OTHER = re.compile(r"(^|[._-])(dseg|seg|labels?)$|(cycle|residual)([._-]|$)", re.IGNORECASE)


def subject_of(path: Path, root: Path) -> str:
    """Name of the subject whose volume a file is.

    BIDS entities of the file's name go first (sub, ses, acq, run, echo, dir, task; those that
    describe a result, such as res, desc or param, do not count), then those of its folders. Outside
    of BIDS, it is the first folder under ``root``, or else the file's name without endings such as
    ``_pred`` or ``_mask``.

    Args:
        path: The file.
        root: The folder that was searched.

    Example:
        >>> root = Path("out")
        >>> subject_of(root / "sub-01_ses-2_res-hi_desc-sr_T1w.nii.gz", root)
        'sub-01_ses-2'
        >>> subject_of(root / "100307/T1w/data.nii.gz", root)
        '100307'
        >>> subject_of(root / "case7_brain_mask.nii.gz", root)
        'case7'
        >>> subject_of(root / "photo3_fake_B.png", root)
        'photo3'
    """
    parts = path.relative_to(root).parts
    found = _entities(strip_suffix(path).split("_"))
    if "sub" not in found:
        found = _entities(parts[:-1])
    if "sub" in found:
        return "_".join(f"{name}-{found[name]}" for name in _IDENTITY if name in found)
    return parts[0] if len(parts) > 1 else _without_roles(strip_suffix(path))


def subject_label(name: str) -> str:
    """What is left of a subject's name in the names of its results, whatever its layout.

    Results are called after BIDS, their inputs perhaps not.

    Example:
        >>> [subject_label(name) for name in ("sub-SIM00003", "SIM_00003_desc-synth_T2w")]
        ['SIM00003', 'SIM00003']
        >>> subject_label("BraTS-GLI-00003-000-t2f"), subject_label("sub-100307")
        ('BraTSGLI00003000', '100307')
    """
    return bids_label(contrast_base(Path(name), "").removeprefix("sub-"))


def contrast_of(path: Path) -> str | None:
    """The contrast that a file's name ends in, as medrev calls it; None where it says none.

    Example:
        >>> contrast_of(Path("sub-01_desc-synth_T2w.nii.gz")), contrast_of(Path("a/s_t2.nii"))
        ('t2', 't2')
    """
    ending = contrast_ending(strip_suffix(path))
    if ending is None:
        return None
    name = contrast_name(ending)
    return "t1ce" if name == "t1" and re.search("(^|_)ce-", path.name) else name


def is_mask(path: Path) -> bool:
    """Whether a file is a mask by its name: ``mask`` is its last word."""
    return bool(_MASK.search(strip_suffix(path)))


def is_uncertainty(path: Path) -> bool:
    """Whether a file holds standard deviations by its name."""
    return bool(_STD.search(strip_suffix(path)))


def is_image(path: Path) -> bool:
    """Whether a file is neither a mask nor labels nor uncertainty by its name."""
    return not (is_mask(path) or is_uncertainty(path) or _OTHER.search(strip_suffix(path)))


def _entities(words: "list[str] | tuple[str, ...]") -> dict[str, str]:
    matches = (_ENTITY.match(word) for word in words)
    return {match[1]: match[2] for match in matches if match}


def _without_roles(stem: str) -> str:
    shorter = _ROLES.sub("", stem)
    return stem if not shorter else shorter if shorter == stem else _without_roles(shorter)
