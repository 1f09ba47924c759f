"""Ready tensors: six-component NIfTI files, one folder per subject or all in one folder.

A file is taken for a tensor by its header (4D with six volumes, or 5D with six components), for a
mask by ``mask`` in its name. In one folder, a mask belongs to the tensor with which it shares its
name up to the suffix: ``A_tensor.nii.gz`` and ``A_mask.nii.gz``.
"""

from collections.abc import Iterable
from pathlib import Path

from medrev.data.layouts.bids import is_of_another
from medrev.data.layouts.listing import Listing, folders, known, nifti_files
from medrev.data.subject import Subject, strip_nifti
from medrev.errors import InputError
from medrev.volumes import nifti_shape

EXPECTED = "SUBJECT/tensor.nii.gz or SUBJECT_tensor.nii.gz with six components (+ *mask.nii.gz)"

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


def matches(root: Path) -> bool:
    """Tell whether ``root`` or the folders in it hold a six-component file."""
    places = [root, *(place for folder in _subjects(root) for place in _places(folder))]
    return any(_is_tensor(path) for place in places for path in nifti_files(place))


def read(root: Path) -> Listing:
    """List the subjects, from the files in ``root`` and from the folders in it."""
    listing: Listing = Listing()
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
