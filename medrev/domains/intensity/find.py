"""Finding the heads of a cohort that has one or two contrasts of each, in any of four layouts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from medrev.config.schema import ANY_CONTRAST, ContrastData, ScalarData
from medrev.data.bids import find_mask, is_subject, magnitudes, session_folders
from medrev.data.cohort import Cohort, Layouts, together
from medrev.data.layouts import (
    Layout,
    Listing,
    first_file,
    folders,
    known,
    nifti_files,
    table_layout,
    take_participants,
)
from medrev.data.subject import Subject, strip_nifti
from medrev.domains.intensity.names import (
    NOT_CONTRASTS,
    UNNAMED,
    contrast_ending,
    contrast_name,
    contrasts,
    lacks,
)
from medrev.errors import ConfigError, InputError
from medrev.files import named_in
from medrev.volumes import NIFTI, VOLUMES

# A table: one scan a row, a column for each contrast; paths are relative to its folder.

_OTHERS = {"id", "mask", "seg", "dwi", "tensor", "truth"}


def _paths(row: dict[str, str]) -> dict[str, str]:
    """The cells of a row that name volumes of contrasts, by column."""
    endings = (*VOLUMES, ".img", ".img.gz")
    return {k: v for k, v in row.items() if k not in _OTHERS and v.lower().endswith(endings)}


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    others = {
        role: row[name] for role, name in (("mask", "mask"), ("labels", "seg")) if name in row
    }
    named = {contrast_name(column): path for column, path in _paths(row).items()}
    return {role: named_in(folder, path) for role, path in {**named, **others}.items()}


_TABLE = table_layout(
    "participants.tsv (or a .csv) with the column id, one for each contrast, mask, split",
    lambda row: bool(_paths(row)),
    _files,
    column="of volumes",
)

# BraTS: a folder for each scan, whose files bear its name and that of the contrast. The folders may
# lie a few folders deeper, as HGG and LGG of 2018 and the folders in which the archives are packed.
# ``participants.tsv`` may add the column ``split``, here and in the layouts below.

_CONTRASTS = {"t1", "t1ce", "t2", "flair"}
#: Folders between the root and the scans.
_DEPTH = 3


def _roles(folder: Path) -> dict[str, Path]:
    """The files of a scan's folder by what their names end in."""
    found = {}
    for path in nifti_files(folder):
        rest = strip_nifti(path).removeprefix(folder.name)
        if rest != strip_nifti(path) and rest[:1] in ("_", "-"):
            found[contrast_name(rest[1:])] = path
    return found


def _scans(root: Path, depth: int = _DEPTH) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Folders of scans with their files."""
    for folder in folders(root):
        roles = _roles(folder)
        if roles.keys() & (_CONTRASTS | {"seg"}):
            yield folder, roles
        elif depth > 1:
            yield from _scans(folder, depth - 1)


def _is_brats(root: Path) -> bool:
    return any(roles.keys() & _CONTRASTS for _, roles in _scans(root))


def _read_brats(root: Path) -> Listing:
    listing = Listing()
    for folder, roles in _scans(root):
        masks = [roles.pop(name) for name in ("mask", "brain_mask") if name in roles]
        labels = roles.pop("seg", None)
        found = roles | known(mask=next(iter(masks), None), labels=labels)
        listing.subjects.append(Subject(folder.name, found))
    take_participants(listing, root)
    return listing


_BRATS = Layout(
    "[…/]NAME/NAME_{t1,t1ce,t2,flair,seg}.nii.gz (BraTS to 2021) or "
    "[…/]NAME/NAME-{t1n,t1c,t2w,t2f,seg}.nii.gz (from 2023)",
    _is_brats,
    _read_brats,
)

# BIDS: the contrast is the suffix (T1w, T2w, FLAIR, …). A T1w image with the entity ``ce``
# (contrast agent) is t1ce.

_NO_CONTRASTS = ("mask", "defacemask", "roi", "dseg", "probseg")


def _anatomies(folder: Path) -> list[Path]:
    """Files with a suffix that may be a contrast."""
    found = [path for path in nifti_files(folder) if "_" in path.name]
    return [path for path in found if not strip_nifti(path).endswith(_NO_CONTRASTS)]


def _images(folder: Path) -> dict[str, list[Path]]:
    """Files by contrast."""
    found = defaultdict(list)
    for path in magnitudes(_anatomies(folder)):
        *entities, suffix = strip_nifti(path).split("_")
        name = contrast_name(suffix)
        enhanced = name == "t1" and any(entity.startswith("ce-") for entity in entities)
        found["t1ce" if enhanced else name].append(path)
    return found


def _is_bids(root: Path) -> bool:
    return any(_anatomies(folder) for folder in session_folders(root, "anat"))


def _read_bids(root: Path) -> Listing:
    """List the subjects; every session is one."""
    listing = Listing()
    for folder in session_folders(root, "anat"):
        name = "_".join(folder.relative_to(root).parts[:-1])
        images = _images(folder)
        first = next((paths[0] for paths in images.values()), folder / f"{name}_T1w.nii.gz")
        mask = find_mask(first, root, alone=True)
        listing.subjects.append(
            Subject(
                name,
                {c: paths[0] for c, paths in images.items() if len(paths) == 1}
                | known(mask=mask if mask is not None and "brain" in mask.name else None),
                several={c: tuple(paths) for c, paths in images.items() if len(paths) > 1},
            )
        )
    take_participants(listing, root)
    return listing


_BIDS = Layout("sub-*/[ses-*/]anat/*_{T1w,T2w,FLAIR,…}.nii.gz", _is_bids, _read_bids)

# Any folder of NIfTI volumes. A contrast at the end of a file's name (``_T1w``, ``-t1n``) is taken
# for what it holds; the others hold what the pipeline asks for.

_NO_VOLUMES = ("_mask", "_seg", "_dseg", "_labels")


def _volumes(root: Path) -> list[Path]:
    return [path for path in nifti_files(root) if not strip_nifti(path).endswith(_NO_VOLUMES)]


def _is_folder_of_volumes(root: Path) -> bool:
    return bool(_volumes(root))


def _read_volumes(root: Path) -> Listing:
    listing = Listing()
    for path in _volumes(root):
        stem = strip_nifti(path)
        ending = contrast_ending(stem)
        masks = (f"{stem}{word}_mask" for word in ("", "_brain", "_desc-brain"))
        mask = first_file(root / f"{name}{end}" for name in masks for end in NIFTI)
        role = UNNAMED if ending is None else contrast_name(ending)
        listing.subjects.append(Subject(stem, {role: path} | known(mask=mask)))
    take_participants(listing, root)
    return listing


_VOLUMES = Layout(
    "NAME.nii.gz, one volume for each subject, with NAME_mask.nii.gz where there is a mask",
    _is_folder_of_volumes,
    _read_volumes,
)

_WHERE = (
    "BraTS can be downloaded, after registration, from synapse.org (2021 and later) and "
    "www.med.upenn.edu/cbica/brats2020 (2018 to 2020); simulated heads are made by "
    "scripts/make_contrast_data.py"
)


def problems(subject: Subject) -> list[str]:
    """What is wrong apart from the contrasts, of which not all may be needed."""
    masks = {role: file for role, file in subject.files.items() if role == "mask"}
    return replace(subject, files=masks).missing()


_NAMED = {"table": _TABLE, "brats": _BRATS, "bids": _BIDS}
LAYOUTS = Layouts(_NAMED, problems, _WHERE)
#: Where one contrast is enough, any folder of volumes will do.
SCALAR_LAYOUTS = Layouts({**_NAMED, "files": _VOLUMES}, problems, _WHERE)


def is_head(folder: Path) -> bool:
    """Whether a folder is that of one subject in a BIDS dataset or of one scan of BraTS."""
    if not folder.is_dir():
        return False
    return bool(_roles(folder).keys() & _CONTRASTS) or is_subject(folder, "anat")


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
