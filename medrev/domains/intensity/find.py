"""Finding the heads of a cohort that has two contrasts of each."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from medrev.config.schema import ANY_CONTRAST, ContrastData, ScalarData
from medrev.data.cohort import Cohort, Layouts, together
from medrev.data.layouts.bids import is_subject
from medrev.data.subject import Subject
from medrev.domains.intensity.layouts import bids, brats, files
from medrev.domains.intensity.layouts.table import table
from medrev.domains.intensity.names import NOT_CONTRASTS, UNNAMED, contrast_name, contrasts, lacks
from medrev.errors import ConfigError, InputError

_WHERE = (
    "BraTS can be downloaded, after registration, from synapse.org (2021 and later) and "
    "www.med.upenn.edu/cbica/brats2020 (2018 to 2020); simulated heads are made by "
    "scripts/make_contrast_data.py"
)


def problems(subject: Subject) -> list[str]:
    """What is wrong apart from the contrasts, of which not all may be needed."""
    masks = {role: file for role, file in subject.files.items() if role == "mask"}
    return replace(subject, files=masks).missing()


LAYOUTS = Layouts({"table": table, "brats": brats, "bids": bids}, problems, _WHERE)
#: Where one contrast is enough, any folder of volumes will do.
SCALAR_LAYOUTS = Layouts(
    {"table": table, "brats": brats, "bids": bids, "files": files}, problems, _WHERE
)


def is_head(folder: Path) -> bool:
    """Whether a folder is that of one subject in a BIDS dataset or of one scan of BraTS."""
    return folder.is_dir() and (brats.is_scan(folder) or is_subject(folder, "anat"))


def find_contrasts(data: ContrastData) -> Cohort:
    """Find the scans under ``data.root`` that have ``data.source`` and ``data.target``.

    With ``layout: auto`` the layouts are tried in the order table (with volumes), BraTS, BIDS;
    :attr:`Cohort.layout` says which one it was.

    Returns:
        The cohort; of its subjects' contrasts only those two are left.

    Raises:
        ConfigError: Source and target are one contrast.
        InputError: The data is missing (the message says where BraTS is to be had and how it lies
            on disk), a subject lacks a contrast, files are missing, identifiers are double, or the
            chosen subjects are not there. Several problems come together, one a line.
    """
    names = contrast_name(data.source), contrast_name(data.target)
    if names[0] == names[1]:
        raise ConfigError(
            f"data.source and data.target must be two contrasts, got {data.source} and "
            f"{data.target}, which are both {names[0]}"
        )
    cohort = LAYOUTS.gather(data.root, data.layout, wanted=data.subjects, split=data.split)
    had = {name for subject in cohort.subjects for name in (*subject.files, *subject.several)}
    had -= set(NOT_CONTRASTS)
    for key, name in zip(("source", "target"), names, strict=True):
        if name not in had:
            raise InputError(
                f"no subject in {data.root} has the contrast {name}; they have "
                f"{', '.join(sorted(had))}; change data.{key}"
            )
    advice = "add them, or leave these subjects out with data.subjects"
    _refuse(cohort, (lacks(s, name) for s in cohort.subjects for name in names), advice)
    return _only(cohort, cohort.subjects, names)


def _refuse(cohort: Cohort, lacking: Iterable[str | None], advice: str) -> None:
    """Raise InputError if anything is lacking."""
    problems = [line for line in lacking if line is not None]
    if problems:
        where = f"the {cohort.layout} cohort {cohort.root}"
        raise InputError(f"{together(problems, where)}; {advice}")


def _only(cohort: Cohort, subjects: Iterable[Subject], roles: Sequence[str]) -> Cohort:
    """Some subjects, of whose contrasts only some are left."""
    kept = (*roles, *NOT_CONTRASTS)
    left = (
        replace(s, files={n: p for n, p in s.files.items() if n in kept}, several={})
        for s in subjects
    )
    return replace(cohort, subjects=tuple(left))


def scalar_file(subject: Subject, data: ScalarData) -> Path:
    """The file of a subject's volume; one of which nobody says what it is will do.

    Raises:
        InputError: It has none, or several.
    """
    name = contrast_name(data.contrast)
    if name == ANY_CONTRAST:
        had = contrasts(subject)
        if len(had) == 1:
            return subject.files[had[0]]
        raise InputError(
            f"{subject.id}: one volume is needed, got {', '.join(had) or 'none'}; name the file"
        )
    reason = lacks(subject, name)
    if reason is None:
        return subject.files[name]
    if UNNAMED in subject.files and name not in subject.files:
        return subject.files[UNNAMED]
    raise InputError(reason)


def find_scalars(data: ScalarData) -> Cohort:
    """Find the scans under ``data.root`` that have ``data.contrast``; the others are left out.

    With ``layout: auto`` the layouts are tried in the order table (with volumes), BraTS, BIDS,
    files; :attr:`Cohort.layout` says which one it was.

    Raises:
        InputError: The data is missing, no subject has the contrast, files are missing, identifiers
            are double, or the chosen subjects are not there. Several problems come together, one a
            line.
    """
    cohort = SCALAR_LAYOUTS.gather(data.root, data.layout, wanted=data.subjects, split=data.split)
    name = contrast_name(data.contrast)
    if name == ANY_CONTRAST:  # of a model that is tried on scans which it was not trained on
        alone = tuple(s for s in cohort.subjects if len(contrasts(s)) == 1)
        if not alone:
            scalar_file(cohort.subjects[0], data)
        return replace(cohort, subjects=alone)
    usable = [s for s in cohort.subjects if name in s.files or UNNAMED in s.files]
    if data.subjects is not None or not usable:
        lacking = (lacks(s, name) for s in cohort.subjects if s not in usable)
        _refuse(cohort, lacking, "change data.contrast")
    return _only(cohort, usable, (name, UNNAMED))
