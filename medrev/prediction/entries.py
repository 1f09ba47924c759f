"""From what the user names to the subjects to be done: files, folders of one, cohorts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medrev.data.chosen import check_chosen, is_chosen
from medrev.domains.domain import Domain
from medrev.domains.entry import Entry
from medrev.errors import InputError
from medrev.volumes import strip_suffix

__all__ = ["find_entries", "single_entry"]


def find_entries(
    source: Domain,
    inputs: list[Path],
    output: Path | None = None,
    participants: Sequence[str] | None = None,
) -> list[Entry]:
    """The subjects that inputs name.

    Results of files go side by side into ``output`` (default: the current folder), those of a
    cohort into a BIDS dataset there (default: ``derivatives/medrev`` in the cohort's folder).

    Args:
        source: What the model starts from.
        inputs: Files, folders of a DICOM series, folders of one subject, or folders (tables) of a
            cohort, as the domain knows them.
        output: Folder of the results; of a single input also the file of its result.
        participants: Only these subjects of a cohort, with or without ``sub-``.

    Raises:
        InputError: There is no such cohort, a participant is in none, or a file is to hold the
            results of several inputs.
    """
    entries: list[Entry] = []
    people: dict[str, str] = {}
    for path in inputs:
        if source.is_member(path):
            person = path.absolute()
            entries += _cohort(source, person.parent, output, [person.name], people)
            continue
        data = source.single(path)
        if data is None:
            entries += _cohort(source, path, output, participants, people)
        else:
            entries.append(single_entry(source, path, data, output))
            continue
        _refuse_file(output, f"{path} is a cohort")
    if len(inputs) > 1:
        _refuse_file(output, f"got {len(inputs)} inputs")
    check_chosen(participants, people, "no such participant")
    return _without_clashes(entries)


def single_entry(source: Domain, path: Path, data: Path, output: Path | None) -> Entry:
    """A single input whose results go into a folder, or one that names the file of its result.

    Args:
        source: What the model starts from.
        path: The input as the user names it.
        data: Its file, or folder of a DICOM series.
        output: Folder, or file of the result: the others' names begin like its own.
    """
    if output is None or not _is_file(output):
        folder = output or Path()
        return Entry(str(path), data, root=folder, folder=folder, base=source.base(data))
    folder = output.parent
    return Entry(
        str(path), data, root=folder, folder=folder, base=strip_suffix(output), file=output
    )


def _is_file(output: Path) -> bool:
    return strip_suffix(output) != output.name and not output.is_dir()


def _refuse_file(output: Path | None, why: str) -> None:
    if output is not None and _is_file(output):
        raise InputError(f"--output {output} is the file of one result, {why}: give a folder")


def _cohort(
    source: Domain,
    root: Path,
    output: Path | None,
    participants: Sequence[str] | None,
    people: dict[str, str],
) -> list[Entry]:
    members, problems = source.members(root)
    where = root if root.is_dir() else root.parent
    target = where / "derivatives" / "medrev" if output is None else output
    entries = []
    for member in members:
        people.update({member.person: member.person, member.name: member.name})
        if is_chosen(participants, member.name, member.person):
            folder, base = source.place(member)
            entries.append(replace(member, root=target, folder=target / folder, base=base))
    for line in problems:
        name = line.partition(":")[0]
        people.setdefault(name, name)
        if is_chosen(participants, name):
            entries.append(Entry(name, root, root=target, folder=target, problem=line))
    return entries


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
