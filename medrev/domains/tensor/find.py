"""Finding the subjects of a diffusion study on disk, in any of five layouts."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from medrev.config.schema import DTIData
from medrev.data.bids import find_mask, gradient_file, is_of_another, magnitudes, session_folders
from medrev.data.cohort import Cohort, Layouts
from medrev.data.layouts import (
    Layout,
    Listing,
    first_file,
    folders,
    is_there,
    known,
    nifti_files,
    table_layout,
    take_participants,
)
from medrev.data.subject import Subject, strip_nifti
from medrev.domains.tensor.simulated import simulated_cohort
from medrev.errors import InputError
from medrev.files import named_in
from medrev.volumes import NIFTI, nifti_shape

# A table: one subject a row; paths are relative to its folder.

_PATHS = ("dwi", "bval", "bvec", "tensor", "mask", "truth")


def _is_named(row: dict[str, str]) -> bool:
    return any(
        row.get(name, "").endswith((*NIFTI, ".img", ".img.gz")) for name in ("dwi", "tensor")
    )


def _files(row: dict[str, str], folder: Path) -> dict[str, Path]:
    paths = {name: named_in(folder, row[name]) for name in _PATHS if name in row}
    if "dwi" in paths:
        for name in ("bval", "bvec"):
            beside = _beside(paths["dwi"], name)
            if name not in paths and beside.is_file():
                paths[name] = beside
    return paths


_TABLE = table_layout(
    "participants.tsv (or a .csv) with the columns id and dwi, bval, bvec or tensor",
    _is_named,
    _files,
    column="dwi or tensor with NIfTI files (.nii.gz, .nii, .hdr)",
)

# Human Connectome Project: no table divides its subjects.

_FOLDERS = ("T1w/Diffusion", "Diffusion")
#: What the series of a subject is called.
HCP_SERIES = tuple(f"data{ending}" for ending in NIFTI)


def _diffusion_folder(subject: Path) -> Path | None:
    return next((p for name in _FOLDERS if (p := subject / name).is_dir()), None)


def _is_hcp(root: Path) -> bool:
    return any(_diffusion_folder(folder) is not None for folder in folders(root))


def _read_hcp(root: Path) -> Listing:
    """List the subjects; folders without a diffusion folder are passed over."""
    listing = Listing()
    for folder in folders(root):
        place = _diffusion_folder(folder)
        if place is None:
            continue
        dwi = first_file(place / name for name in HCP_SERIES)
        if dwi is None:
            listing.problems.append(f"{folder.name}: no data.nii.gz in {place}")
            continue
        files = known(
            dwi=dwi,
            bval=first_file([place / "bvals", place / "bval"]),
            bvec=first_file([place / "bvecs", place / "bvec"]),
            mask=first_file(place / f"nodif_brain_mask{ending}" for ending in NIFTI),
        )
        listing.subjects.append(Subject(folder.name, files))
    return listing


_HCP = Layout(
    "SUBJECT/T1w/Diffusion/{data.nii.gz,bvals,bvecs,nodif_brain_mask.nii.gz}", _is_hcp, _read_hcp
)

# BIDS, masks beside or under ``derivatives/``. ``participants.tsv`` may add the columns ``split``
# and ``truth`` (a path relative to the table).


def _bids_series(folder: Path) -> list[Path]:
    return [path for path in nifti_files(folder) if strip_nifti(path).endswith("_dwi")]


def _is_bids(root: Path) -> bool:
    return any(_bids_series(folder) for folder in session_folders(root, "dwi"))


def _read_bids(root: Path) -> Listing:
    """List the subjects; every session, and every run of several in a folder, is one."""
    listing = Listing()
    for folder in session_folders(root, "dwi"):
        series = magnitudes(_bids_series(folder))
        parts = folder.relative_to(root).parts[:-1]
        if not series:
            listing.problems.append(f"{'_'.join(parts)}: no *_dwi.nii.gz in {folder}")
        for dwi in series:
            alone, stem = len(series) == 1, strip_nifti(dwi).removesuffix("_dwi")
            files = known(
                dwi=dwi,
                bval=gradient_file(dwi, root, "bval"),
                bvec=gradient_file(dwi, root, "bvec"),
                mask=find_mask(dwi, root, alone=alone),
            )
            listing.subjects.append(Subject("_".join(parts) if alone else stem, files))
    take_participants(listing, root, ["truth"])
    return listing


_BIDS = Layout("sub-*/[ses-*/]dwi/*_dwi.{nii.gz,bval,bvec}", _is_bids, _read_bids)

# Raw DWI in one folder, masks beside the series in BIDS naming. ``participants.tsv`` may add
# columns.


def _beside(series: Path, ending: str) -> Path:
    return series.with_name(f"{strip_nifti(series)}.{ending}")


def _series(root: Path) -> list[Path]:
    """Files with b-values or b-vectors beside; which of them is missing is said later."""
    pairs = ((path, _beside(path, end)) for path in nifti_files(root) for end in ("bval", "bvec"))
    return list(dict.fromkeys(path for path, file in pairs if is_there(file)))


def _is_folder_of_dwi(root: Path) -> bool:
    return bool(_series(root))


def _read_dwi(root: Path) -> Listing:
    listing = Listing()
    series = magnitudes(_series(root))
    for dwi in series:
        gradients = {end: _beside(dwi, end) for end in ("bval", "bvec")}
        files = known(
            dwi=dwi,
            mask=find_mask(dwi, root, alone=len(series) == 1),
            **{end: file for end, file in gradients.items() if is_there(file)},
        )
        listing.subjects.append(Subject(strip_nifti(dwi).removesuffix("_dwi"), files))
    take_participants(listing, root)
    return listing


_DWI = Layout("NAME.{nii.gz,bval,bvec} for each subject", _is_folder_of_dwi, _read_dwi)

# Ready tensors, one folder per subject or all in one folder. A file is taken for a tensor by its
# header (4D with six volumes, or 5D with six components), for a mask by ``mask`` in its name. In
# one folder, a mask belongs to the tensor with which it shares its name up to the suffix:
# ``A_tensor.nii.gz`` and ``A_mask.nii.gz``.

_SUFFIXES = ("_dwimap", "_desc-sr", "_param-diffusivity", "_model-tensor", "_tensor", "_dti", "_dt")


def _is_tensor(path: Path) -> bool:
    if "mask" in path.name:
        return False
    try:
        return nifti_shape(path)[0] == 6
    except InputError:  # damaged files are reported when they are read, not when searched for
        return False


def _is_mask(path: Path, subject: str) -> bool:
    """Whether a file is a subject's mask by its name, and not one of a part of the brain."""
    rest = path.with_name(path.name.removeprefix(subject))
    return "mask" in path.name and not is_of_another(rest)


def _damage(files: Iterable[Path]) -> list[str]:
    """What is wrong with files whose header cannot be read."""
    found = []
    for path in files:
        if "mask" not in path.name:
            try:
                nifti_shape(path)
            except InputError as error:
                found.append(str(error))
    return found


def _name(path: Path) -> str:
    name = strip_nifti(path)
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _owner(mask: Path, names: Iterable[str]) -> str | None:
    """The longest of the names that a mask's begins with: ``A_2_mask`` is of A_2, not of A."""
    return max((n for n in names if mask.name.startswith(f"{n}_")), key=len, default=None)


def _only(paths: list[Path], wanted: str, listing: Listing) -> Path | None:
    """The first of some files; that there are several is a problem."""
    if len(paths) > 1:
        found = ", ".join(path.name for path in paths)
        listing.problems.append(f"{wanted} expected, found {found}")
    return next(iter(paths), None)


def _subjects(root: Path) -> list[Path]:
    """Folders of subjects; ``derivatives`` holds datasets of their own, such as results."""
    return [folder for folder in folders(root) if folder.name != "derivatives"]


def _places(folder: Path) -> list[Path]:
    """The folder, and the ``dwi`` folders in it where it follows BIDS derivatives."""
    return [folder, *(p for p in sorted(folder.glob("**/dwi")) if p.is_dir())]


def _holds_tensors(root: Path) -> bool:
    places = [root, *(place for folder in _subjects(root) for place in _places(folder))]
    return any(_is_tensor(path) for place in places for path in nifti_files(place))


def _read_tensors(root: Path) -> Listing:
    """List the subjects, from the files in ``root`` and from the folders in it."""
    listing = Listing()
    files = nifti_files(root)
    flat = {tensor: _name(tensor) for tensor in filter(_is_tensor, files)}
    owners = {p: _owner(p, flat.values()) for p in files if "mask" in p.name}
    for tensor, name in flat.items():
        masks = [mask for mask, owner in owners.items() if owner == name and _is_mask(mask, name)]
        mask = _only(masks, f"{name}: one mask", listing)
        listing.subjects.append(Subject(name, known(tensor=tensor, mask=mask)))
    for folder in _subjects(root):
        files = [path for place in _places(folder) for path in nifti_files(place)]
        tensors = [path for path in files if _is_tensor(path)]
        masks = [path for path in files if _is_mask(path, folder.name)]
        truths = [path for path in tensors if "truth" in path.name]
        tensors = [path for path in tensors if path not in truths] or tensors
        own = _only(tensors, f"{folder.name}: one tensor file", listing)
        mask = _only(masks, f"{folder.name}: one mask", listing)
        if own is not None:
            listing.subjects.append(Subject(folder.name, known(tensor=own, mask=mask)))
        else:
            listing.problems += [f"{folder.name}: {line}" for line in _damage(files)]
    return listing


_TENSORS = Layout(
    "SUBJECT/tensor.nii.gz or SUBJECT_tensor.nii.gz with six components (+ *mask.nii.gz)",
    _holds_tensors,
    _read_tensors,
)


def scanned(subject: Subject) -> Path | None:
    """The file of a subject that is read: raw DWI, else the tensors."""
    return subject.files.get("dwi") or subject.files.get("tensor")


def read_of(subject: Subject) -> Subject:
    """The same with those files alone that a translation reads: no truth, no tensors beside DWI."""
    roles = ("dwi", "bval", "bvec", "mask") if "dwi" in subject.files else ("tensor", "mask")
    files = {role: file for role, file in subject.files.items() if role in roles}
    return replace(subject, files=files)


def problems(subject: Subject) -> list[str]:
    """What keeps a subject from being read: missing files or partners, one line each."""
    found, dwi = [], subject.files.get("dwi")
    if scanned(subject) is None:
        found.append(f"{subject.id}: has neither raw DWI nor tensors")
    if dwi is not None:
        absent = [name for name in ("bval", "bvec") if name not in subject.files]
        found += [f"{subject.id}: no {name} file for {dwi.name}" for name in absent]
    return found + subject.missing()


#: A table with paths says most, ready tensors least.
LAYOUTS = Layouts(
    {"table": _TABLE, "hcp": _HCP, "bids": _BIDS, "files": _DWI, "tensors": _TENSORS}, problems
)


def find_cohort(data: DTIData) -> Cohort:
    """Find the subjects under ``data.root`` (or in ``data.table``).

    With ``layout: auto`` the layouts are tried in the order table (with path columns), HCP, BIDS,
    DWI in one folder, ready tensors; :attr:`Cohort.layout` says which one it was. With ``layout:
    simulated`` they have no files.

    Raises:
        InputError: The folder is missing or of no known layout, files are missing, identifiers
            are double, or the chosen subjects are not there. Several problems come together, one
            a line.
    """
    if data.layout == "simulated":
        return simulated_cohort(data)
    root, layout, key = data.root, data.layout, "data.root"
    if data.table is not None:
        root, layout, key = data.table, "table", "data.table"
    return LAYOUTS.gather(root, layout, wanted=data.subjects, split=data.split, key=key)
