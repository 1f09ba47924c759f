"""From what the user names to the subjects to be done: files, folders of one, cohorts."""

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from medrev.domains.domain import Domain
from medrev.domains.entry import Entry
from medrev.errors import InputError

__all__ = ["find_entries"]


def find_entries(
    source: Domain,
    inputs: list[Path],
    output: Path | None = None,
    participants: list[str] | None = None,
) -> list[Entry]:
    """The subjects that inputs name.

    Results of files go side by side into ``output`` (default: the current folder), those of a
    cohort into a BIDS dataset there (default: ``derivatives/medrev`` in the cohort's folder).

    Args:
        source: What the model starts from.
        inputs: Files, folders of a DICOM series, folders of one subject, or folders (tables) of a
            cohort, as the domain knows them.
        output: Folder of the results.
        participants: Only these subjects of a cohort, with or without ``sub-``.

    Raises:
        InputError: There is no such cohort, or a participant is in none.
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
            folder = output or Path()
            base = source.base(data)
            entries.append(Entry(str(path), data, root=folder, folder=folder, base=base))
    if participants is not None:
        _check_participants(participants, people)
    return _without_clashes(entries)


def _cohort(
    source: Domain,
    root: Path,
    output: Path | None,
    participants: list[str] | None,
    people: dict[str, str],
) -> list[Entry]:
    members, problems = source.members(root)
    where = root if root.is_dir() else root.parent
    target = where / "derivatives" / "medrev" if output is None else output
    entries = []
    for member in members:
        people.update({_short(member.person): member.person, _short(member.name): member.name})
        if _wanted(member.name, member.person, participants):
            folder, base = source.place(member)
            entries.append(replace(member, root=target, folder=target / folder, base=base))
    for line in problems:
        name = line.partition(":")[0]
        people.setdefault(_short(name), name)
        if participants is None or _short(name) in map(_short, participants):
            entries.append(Entry(name, root, root=target, folder=target, problem=line))
    return entries


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
