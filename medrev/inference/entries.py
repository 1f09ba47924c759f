"""From what the user names to the subjects to be done: files, HCP folders, cohorts."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from medrev.data.cohort import list_subjects
from medrev.data.subject import Subject
from medrev.errors import InputError
from medrev.inference.names import base_name, bids_folder, bids_label
from medrev.inference.source import recognise
from medrev.inference.task import Task
from medrev.volumes import is_dicom_folder

__all__ = ["Entry", "find_entries", "is_cohort"]

_HCP_DATA = [
    Path(folder) / name
    for folder in ("", "T1w/Diffusion", "Diffusion")
    for name in ("data.nii.gz", "data.nii")
]


@dataclass(frozen=True)
class Entry:
    """A subject to be done, not yet looked into.

    Attributes:
        name: What the user knows it by.
        path: The input.
        root: Folder of all results.
        folder: Where its results go, in ``root``.
        base: What their names begin with.
        mask: Brain mask.
        bval: b-values.
        bvec: b-vectors.
        problem: Why it cannot be done, where that is known already.
    """

    name: str
    path: Path
    root: Path
    folder: Path
    base: str
    mask: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    problem: str | None = None

    def task(self) -> Task:
        """Look into it.

        Raises:
            InputError: It cannot be done.
        """
        if self.problem is not None:
            raise InputError(self.problem)
        source = recognise(self.path, mask=self.mask, bval=self.bval, bvec=self.bvec)
        return Task(source, self.folder, self.base)


def is_cohort(path: Path) -> bool:
    """Whether an input names a folder (or table) of subjects, not one scan."""
    if path.is_dir():
        return _hcp_data(path) is None and not is_dicom_folder(path)
    return path.suffix in (".csv", ".tsv")


def find_entries(
    inputs: list[Path], output: Path | None = None, participants: list[str] | None = None
) -> list[Entry]:
    """The subjects that inputs name.

    Results of files go side by side into ``output`` (default: the current folder), those of a
    cohort into a BIDS dataset there (default: ``derivatives/medrev`` in the cohort's folder).

    Args:
        inputs: Files, folders of a DICOM series, BIDS or HCP folders of a subject, or folders
            (tables) of a cohort: BIDS, HCP, ready tensors (:mod:`medrev.data.layouts`).
        output: Folder of the results.
        participants: Only these subjects of a cohort, with or without ``sub-``.

    Raises:
        InputError: There is no such cohort, or a participant is in none.
    """
    entries: list[Entry] = []
    people: dict[str, str] = {}
    for path in inputs:
        if _is_bids_subject(path):
            entries += _cohort(path.absolute().parent, output, [path.absolute().name], people)
        elif is_cohort(path):
            entries += _cohort(path, output, participants, people)
        else:
            data, folder = _hcp_data(path) or path, output or Path()
            entries.append(Entry(str(path), data, folder, folder, base_name(data)))
    if participants is not None:
        _check_participants(participants, people)
    return _without_clashes(entries)


def _hcp_data(path: Path) -> Path | None:
    """HCP's diffusion series where a path is the folder of a subject."""
    candidates = (path / place for place in _HCP_DATA) if path.is_dir() else ()
    return next((place for place in candidates if place.is_file()), None)


def _is_bids_subject(path: Path) -> bool:
    folder = path.absolute()
    if not folder.name.startswith("sub-"):
        return False
    return (folder / "dwi").is_dir() or any(folder.glob("ses-*/dwi"))


def _cohort(
    root: Path, output: Path | None, participants: list[str] | None, people: dict[str, str]
) -> list[Entry]:
    _, listing = list_subjects(root)
    where = root if root.is_dir() else root.parent
    target = where / "derivatives" / "medrev" if output is None else output
    entries = []
    for subject in listing.subjects:
        people.update({_short(subject.person): subject.person, _short(subject.id): subject.id})
        if _wanted(subject.id, subject.person, participants):
            entries.append(_entry(subject, target))
    for line in listing.problems:
        name = line.partition(":")[0]
        people.setdefault(_short(name), name)
        if participants is None or _short(name) in map(_short, participants):
            entries.append(Entry(name, root, target, target, "", problem=line))
    return entries


def _entry(subject: Subject, target: Path) -> Entry:
    path = subject.dwi or subject.tensor or Path(subject.id)
    base = base_name(path)
    if not base.startswith("sub-"):
        base = f"sub-{bids_label(subject.id.removeprefix('sub-'))}"
    return Entry(
        name=subject.id,
        path=path,
        root=target,
        folder=target / bids_folder(base),
        base=base,
        mask=subject.mask,
        bval=subject.bval,
        bvec=subject.bvec,
        problem="; ".join(subject.problems()) or None,
    )


def _short(name: str) -> str:
    return name.removeprefix("sub-")


def _wanted(name: str, person: str, participants: list[str] | None) -> bool:
    if participants is None:
        return True
    return {_short(name), _short(person)} & {_short(each) for each in participants} != set()


def _check_participants(participants: list[str], people: dict[str, str]) -> None:
    missing = [name for name in participants if _short(name) not in people]
    if not missing:
        return
    near = [m for name in missing for m in get_close_matches(_short(name), list(people), n=2)]
    known = sorted(set(people.values()))
    rest = " …" if len(known) > 8 else ""
    hint = f"there are {', '.join(known[:8])}{rest}"
    if near:
        hint = f"did you mean {' or '.join(people[name] for name in near)}?"
    raise InputError(f"no such participant: {', '.join(missing)}; {hint}")


def _without_clashes(entries: list[Entry]) -> list[Entry]:
    """Entries whose results would replace those of an earlier one become problems."""
    first: dict[tuple[Path, str], str] = {}
    checked: list[Entry] = []
    for number, entry in enumerate(entries):
        name = entry.name
        while name in {other.name for other in checked}:
            name = f"{entry.name} ({number + 1})"
        problem = entry.problem
        if problem is None:
            place = entry.folder.absolute(), entry.base
            other = first.setdefault(place, name)
            if other != name:
                problem = (
                    f"its results would have the names of those of {other} "
                    f"({entry.folder / entry.base}_…): do it alone, with another --output"
                )
        checked.append(replace(entry, name=name, problem=problem))
    return checked
