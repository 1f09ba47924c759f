"""Finding the heads of a cohort that has two contrasts of each."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from medrev.config.schema import ContrastData
from medrev.data.cohort import Cohort, gather, list_members, recognise_layout, together
from medrev.data.layouts import Listing
from medrev.data.layouts.bids import is_subject
from medrev.domains.intensity.layouts import bids, brats, table
from medrev.domains.intensity.subject import ContrastSubject, contrast_name
from medrev.errors import ConfigError, InputError

__all__ = ["find_contrasts", "is_head", "list_contrasts"]

#: In the order in which they are tried.
_LAYOUTS: dict[str, ModuleType] = {"table": table, "brats": brats, "bids": bids}

_WHERE = (
    "BraTS is to be had at synapse.org (2021 and later) and www.med.upenn.edu/cbica/brats2020 "
    "(2018 to 2020), after registration; simulated heads are made by scripts/make_contrast_data.py"
)


def list_contrasts(root: Path) -> Listing[ContrastSubject]:
    """Everything in a cohort folder or table, the broken subjects with the good ones.

    Returns:
        The subjects and what is wrong in the folder, one line each. Which contrasts a subject has,
        :meth:`ContrastSubject.lacks` says.

    Raises:
        InputError: The folder is missing or of no known layout.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    return list_members(root, recognise_layout(root, _LAYOUTS), _LAYOUTS)


def is_head(folder: Path) -> bool:
    """Whether a folder is that of one subject in a BIDS dataset or of one scan of BraTS."""
    return folder.is_dir() and (brats.is_scan(folder) or is_subject(folder, "anat"))


def find_contrasts(data: ContrastData) -> Cohort[ContrastSubject]:
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
    if not data.root.exists():
        raise InputError(
            f"data.root not found: {data.root}; {_WHERE}; expected layout: {brats.EXPECTED}; "
            f"{bids.EXPECTED}; or {table.EXPECTED}"
        )
    names = contrast_name(data.source), contrast_name(data.target)
    if names[0] == names[1]:
        raise ConfigError(
            f"data.source and data.target must be two contrasts, got {data.source} and "
            f"{data.target}, which are both {names[0]}"
        )
    cohort = gather(
        data.root, data.layout, _LAYOUTS, wanted=data.subjects, split=data.split, hint=_WHERE
    )
    had = {name for subject in cohort.subjects for name in (*subject.contrasts, *subject.several)}
    for key, name in zip(("source", "target"), names, strict=True):
        if name not in had:
            raise InputError(
                f"no subject in {data.root} has the contrast {name}; they have "
                f"{', '.join(sorted(had))}; change data.{key}"
            )
    lacking = [s.lacks(name) for s in cohort.subjects for name in names]
    problems = [line for line in lacking if line is not None]
    if problems:
        raise InputError(
            together(problems, f"the {cohort.layout} cohort {data.root}")
            + "; add them, or leave these subjects out with data.subjects"
        )
    pairs = (
        replace(s, contrasts={name: s.contrasts[name] for name in names}, several={})
        for s in cohort.subjects
    )
    return replace(cohort, subjects=tuple(pairs))
