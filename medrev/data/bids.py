"""BIDS: folders of subjects and sessions, and the masks beside files or under ``derivatives/``."""

import logging
import re
from collections.abc import Collection
from pathlib import Path

from medrev.data.layouts import folders, is_there, nifti_files
from medrev.data.subject import strip_nifti
from medrev.texts import read_json

logger = logging.getLogger(__name__)

#: Parts of complex series: words in the names of dcm2niix and others, and BIDS' words for them.
_PARTS = {"ph": "phase", "phase": "phase", "real": "real", "imag": "imag", "imaginary": "imag"}
#: What DICOM's image type calls them.
_TYPES = {"P": "phase", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imag"}
#: Words without a value in the names of brain masks.
_MASK_WORDS = {"mask", "brain", "dwi", "T1w", "T2w", "bet"}
#: Entities of masks of a part.
_PART = {"hemi", "seg", "atlas", "roi", "tissue"}
#: Words that name a tissue, a part of the brain, or what is no brain.
_OTHER = re.compile(
    "(wm|gm|csf)+|[lr]h?|left|right|hemi(sphere)?s?|half|part(ial)?|inner|outer|deep|no|non|not|"
    "mid|fore|hind|stem|less|(white|gr[ae]y)?matter|white|gr[ae]y|(sub)?(cortex|cortical)|wmhs?|"
    "(hyper|hypo)intensit(y|ies)|lesions?|tumou?rs?|o?edema|infarcts?|stroke|bleeds?|vessels?|"
    "ventric(le|ular|les)|cerebell(um|ar)|cerebrum|thalamus|hippocamp(us|i)|basalganglia|nuclei|"
    "tissues?|skull|scalp|air|back(ground)?|out(side)?|ex|edges?|rois?"
)
_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Entities of a mask that its series has, too.
_OWN = ("space", "ses", "task")
#: Entities in which a series and its mask may differ.
_FREE = ("desc", "label", "part", "res")


def session_folders(root: Path, name: str) -> list[Path]:
    """The folders of a name (dwi, anat) of all subjects and sessions."""
    found = []
    for subject in folders(root):
        if subject.name.startswith("sub-"):
            found += [subject / name]
            found += [s / name for s in folders(subject) if s.name.startswith("ses-")]
    return [folder for folder in found if folder.is_dir()]


def is_subject(folder: Path, name: str) -> bool:
    """Tell whether a folder is that of one subject which has folders of a name (dwi, anat)."""
    folder = folder.absolute()
    if not folder.name.startswith("sub-"):
        return False
    return (folder / name).is_dir() or any(folder.glob(f"ses-*/{name}"))


def entities(path: Path) -> dict[str, str]:
    """The entities of a name, and its other words with nothing behind them.

    >>> entities(Path("sub-1_space-T1w_desc-brain_mask.nii.gz"))
    {'sub': '1', 'space': 'T1w', 'desc': 'brain', 'mask': ''}
    """
    words = (word.partition("-") for word in strip_nifti(path).split("_"))
    return {key: value for key, _, value in words}


def complex_part(path: Path) -> str | None:
    """What a file holds of a complex series other than magnitudes: phase, real or imag.

    By the entity ``part``, by the endings that dcm2niix gives, or by ``ImageType`` in the JSON file
    beside it; None where it is an ordinary image.
    """
    found = entities(path)
    part = found.get("part", "")
    if part in {"phase", "real", "imag"}:
        return part
    words = [key for key, value in list(found.items())[1:] if key in _PARTS and not value]
    if words:
        return _PARTS[words[0]]
    about = read_json(path.with_name(f"{strip_nifti(path)}.json"), lenient=True)
    kinds = about.get("ImageType")
    if isinstance(kinds, list):
        return next((_TYPES[str(kind)] for kind in kinds if str(kind) in _TYPES), None)
    return None


def magnitudes(paths: list[Path]) -> list[Path]:
    """Files but for other parts of complex series; which are left out is said."""
    kept = []
    for path in paths:
        part = complex_part(path)
        if part is None:
            kept.append(path)
        else:
            logger.warning("note: %s is left out: the %s part of a complex series", path, part)
    return kept


def gradient_file(dwi: Path, root: Path, ending: str) -> Path | None:
    """Find b-values or b-vectors: beside a series, or inherited from a folder above it.

    By BIDS' inheritance principle, a file applies if the series has all entities of its name; the
    nearest folder goes first, and in it the name with the most entities.
    """
    entities = set(strip_nifti(dwi).split("_"))
    for folder in dwi.parents:
        found = [
            path
            for path in sorted(folder.glob(f"*dwi.{ending}"))
            if is_there(path) and entities.issuperset(path.stem.split("_"))
        ]
        if found:
            return max(found, key=lambda path: path.name.count("_"))
        if folder == root:
            break
    return None


def dataset_root(path: Path) -> Path | None:
    """The dataset of a file below the folder of a subject (``sub-*``); None where it is in none."""
    parents = path.absolute().parents
    return next((folder.parent for folder in parents if folder.name.startswith("sub-")), None)


def find_mask(series: Path, root: Path, *, alone: bool) -> Path | None:
    """Find the brain mask of a series, beside it or under ``derivatives/``.

    Masks of something else (a lesion, tissue, a label) and masks in another space are none.

    Args:
        series: The file.
        root: Of the dataset.
        alone: The series is the only one in its folder: any brain mask there is its.
    """
    folder = series.parent
    relative = folder.relative_to(root)
    places = [folder, root / "derivatives" / relative]
    if (root / "derivatives").is_dir():
        places += [pipeline / relative for pipeline in folders(root / "derivatives")]
    masks = [
        path
        for place in places
        if place.is_dir()
        for path in nifti_files(place)
        if _is_brain_mask(path, series) and _belongs(path, series, alone=alone)
    ]
    stem = strip_nifti(series).removesuffix("_dwi")
    ranked = sorted(masks, key=lambda p: ("desc-brain" not in p.name, not p.name.startswith(stem)))
    return ranked[0] if ranked else None


def is_of_another(mask: Path, whose: Collection[str] = ()) -> bool:
    """Whether the name of a mask says that it is of a tissue, of a part, or of no brain.

    Words that are of its subject do not count.

    Example:
        >>> names = ("sub-1_label-wmBrain_mask", "sub-1_lesion_mask", "sub-1_desc-hdbetbrain_mask")
        >>> [is_of_another(Path(f"{name}.nii.gz")) for name in names]
        [True, True, False]
    """
    found = entities(mask)
    label = found.get("label", "brain")
    said = [label, found.get("desc", ""), *(_words(found) - {*whose})]
    words = _WORDS.findall(re.sub("brain", " ", " ".join(said), flags=re.IGNORECASE))
    return (
        not _PART.isdisjoint(found)
        or "brain" not in label.lower()
        or any(_OTHER.fullmatch(word.lower()) for word in words)
    )


def _words(found: dict[str, str]) -> set[str]:
    """Words of a name that have no value."""
    return {key for key, value in found.items() if not value}


def _is_brain_mask(path: Path, series: Path) -> bool:
    found, whose = entities(path), _words(entities(series))
    return (
        list(found)[-1] == "mask"
        and ("label" in found or "brain" in found.get("desc", "brain").lower())
        and _words(found) - whose <= _MASK_WORDS
        and not is_of_another(path, whose)
    )


def _belongs(mask: Path, series: Path, *, alone: bool) -> bool:
    """Whether a mask is that of a series, by the entities that say whose and on which grid."""
    one, other = (
        {key: value for key, value in entities(path).items() if value and key not in _FREE}
        for path in (mask, series)
    )
    if alone:
        said = "brain" in mask.name.lower()  # else an entity of its own may say what it is of
        alike = all(other.get(key, value if said else "") == value for key, value in one.items())
        return alike and all(one.get(key) in (None, other.get(key)) for key in _OWN)
    whose = _words(entities(series)) - {"dwi"}
    return one == other and whose <= _words(entities(mask))
