"""From what the user names to the subjects to be done: files, folders of one, cohorts."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medrev.data.subject import check_chosen, is_chosen
from medrev.domains.domain import Domain
from medrev.domains.source import Entry, recognise
from medrev.errors import InputError
from medrev.files import is_named_like_file

logger = logging.getLogger(__name__)


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
    found = find_among([source], inputs, output, participants)
    return [entry for _, entry in found]


def find_among(
    sources: Sequence[Domain],
    inputs: Sequence[Path],
    output: Path | None = None,
    participants: Sequence[str] | None = None,
) -> list[tuple[Domain, Entry]]:
    """The subjects that inputs name, where there are models of several kinds of data.

    A subject of a cohort who has data of several kinds is done with those of the first of the
    sources; what is left out is said. The rest is as of :func:`find_entries`.

    Returns:
        Each with its source; files that none of them takes are problems.

    Raises:
        InputError: There is no cohort of any kind, or a participant is in none.
    """
    found: list[tuple[Domain, Entry]] = []
    people: dict[str, str] = {}
    done: set[str] = set()
    for path in inputs:
        place = os.path.abspath(path)
        if place in done:
            logger.info("note: %s is named twice: it is done once", path)
            continue
        done.add(place)
        members = [source for source in sources if source.is_member(path)]
        named = [(s, data) for s in sources if (data := s.single(path)) is not None]
        if members:
            person = path.absolute()
            found += _cohort(members, person.parent, output, [person.name], people)
        elif named:
            found.append(_single(path, named, output))
        else:
            _refuse_file(output, f"{path} is a cohort")
            found += _cohort(sources, path, output, participants, people)
    if len(inputs) > 1:
        _refuse_file(output, f"got {len(inputs)} inputs")
    check_chosen(participants, people, "no such participant")
    return _without_clashes(found)


def _single(
    path: Path, named: Sequence[tuple[Domain, Path]], output: Path | None
) -> tuple[Domain, Entry]:
    """A scan, and which of several sources it is for."""
    (source, data), problem = named[0], None
    if len(named) > 1:
        try:
            about = recognise(data)
            fitting = [each for each in named if each[0].accepts == about.accepted]
            if fitting:
                source, data = fitting[0]
            else:
                problem = (
                    f"{path}: no shipped model takes {about.words}: give --model RUN or FILE, or "
                    "train with medrev-train"
                )
        except InputError as error:
            problem = str(error)
    return source, replace(single_entry(source, path, data, output), problem=problem)


def single_entry(source: Domain, path: Path, data: Path, output: Path | None) -> Entry:
    """A single input whose results go into a folder, or that names the file of its result.

    The others' names begin like its own.
    """
    folder, base, file = output or Path(), source.base(data), None
    if output is not None and is_named_like_file(output):
        folder, base, file = output.parent, source.named(output, data), output
    return Entry(str(path), data, root=folder, folder=folder, base=base, file=file)


def _refuse_file(output: Path | None, why: str) -> None:
    if output is not None and is_named_like_file(output):
        raise InputError(f"--output {output} is the file of one result, {why}: give a folder")


def _cohort(
    sources: Sequence[Domain],
    root: Path,
    output: Path | None,
    participants: Sequence[str] | None,
    people: dict[str, str],
) -> list[tuple[Domain, Entry]]:
    where = root if root.is_dir() else root.parent
    target = where / "derivatives" / "medrev" if output is None else output
    found: list[tuple[Domain, Entry]] = []
    reasons: list[str] = []
    for source in sources:
        try:
            members, problems = source.members(root)
        except InputError as error:
            reasons.append(str(error))
            continue
        taken: set[object] = set()
        for _, entry in found:  # files in one folder belong together: maps beside their tensors
            taken |= {entry.name, entry.person, entry.path.parent, entry.path}
        left = []
        for member in members:
            people.update({member.person: member.person, member.name: member.name})
            if not is_chosen(participants, member.name, member.person):
                continue
            if {member.person, member.path.parent} & taken:
                left += [member.name] if member.path not in taken else []
                continue
            folder, base = source.place(member)
            entry = replace(member, root=target, folder=target / folder, base=base)
            found.append((source, entry))
        if left:
            some = ", ".join(left[:3]) + " …" * (len(left) > 3)
            text = "note: other scans of %s are left out: give --model for %s"
            logger.info(text, some, source.words)
        for line in problems:
            name = line.partition(":")[0]
            people.setdefault(name, name)
            if is_chosen(participants, name):
                broken = Entry(name, root, root=target, folder=target, problem=line)
                found.append((source, broken))
    if len(reasons) == len(sources):
        raise InputError(_either(reasons))
    return found


def _either(reasons: Sequence[str]) -> str:
    """Why there is no cohort of any kind, in one line: what differs is told for each."""
    begin, middle = reasons[0].partition("; expected ")[::2]
    layouts = [reason.partition("; expected ")[2].rpartition("; found: ")[0] for reason in reasons]
    if not all(layouts):
        return reasons[0]
    expected = "; ".join(dict.fromkeys("; ".join(layouts).split("; ")))
    return f"{begin}; expected {expected}; found: {middle.rpartition('; found: ')[2]}"


def _without_clashes(found: list[tuple[Domain, Entry]]) -> list[tuple[Domain, Entry]]:
    """Entries whose results would replace those of an earlier one become problems."""
    first: dict[tuple[str, str, str], str] = {}
    names: set[str] = set()
    checked: list[tuple[Domain, Entry]] = []
    for number, (source, entry) in enumerate(found):
        name = entry.name
        while name in names:
            name = f"{name} ({number + 1})"
        names.add(name)
        problem = entry.problem
        if problem is None:
            place = source.accepts, os.path.realpath(entry.folder), entry.base
            other = first.setdefault(place, name)
            if other != name:
                problem = (
                    f"its results would have the names of those of {other} "
                    f"({entry.folder / entry.base}_…): do it alone, with another --output"
                )
        checked.append((source, replace(entry, name=name, problem=problem)))
    return checked
