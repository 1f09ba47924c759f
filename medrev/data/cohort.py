"""Cohorts of any kind of scans: found on disk, checked, divided into parts, and told of."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from medrev.config.schema import Split
from medrev.data.layouts import Layout, Listing
from medrev.data.subject import PARTS, Subject, check_chosen, is_chosen
from medrev.errors import InputError, counted
from medrev.files import as_bytes, not_there
from medrev.volumes import read_header

logger = logging.getLogger(__name__)

_ALIASES = {"val": "validation", "valid": "validation", "dev": "validation", "training": "train"}


@dataclass(frozen=True)
class Cohort:
    """The subjects of a study.

    Attributes:
        subjects: All subjects, sorted by name.
        layout: Name of the layout they were found in.
        root: The folder (or table) they were found in.
        split: How they are divided where no subject says which part it belongs to.
    """

    subjects: tuple[Subject, ...]
    layout: str
    root: Path
    split: Split = field(default_factory=Split)

    def part(self, name: str) -> tuple[Subject, ...]:
        """Return the subjects of a part, with :attr:`Subject.split` set to it.

        The cohort's own ``split`` column decides where there is one. Else people (not scans: the
        sessions of one person stay together) are ordered by a hash of seed and name, so that the
        order does not depend on who else is in the cohort, and counted off: test, validation,
        train.

        Raises:
            InputError: No subject is left for training or testing. An empty validation part is
                allowed, and so is an empty test part if ``split.test`` is 0. Or there is a split
                column, and ``split.test_folder`` too.
        """
        if name not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {name!r}")
        if self.is_divided:
            if self.split.test_folder is not None:
                raise InputError(
                    f"{self.root} is divided by its own column split, got "
                    f"data.split.test_folder {self.split.test_folder!r} as well; set it to null, "
                    "or take the column out of the table"
                )
            chosen = tuple(s for s in self.subjects if s.split == name)
            if not chosen and name != "validation":
                counts = Counter(s.split for s in self.subjects)
                found = ", ".join(f"{n} {part}" for part, n in sorted(counts.items(), key=str))
                raise InputError(
                    f"the split column of {self.root} has no {name} subject (it has {found}); "
                    f"set split to {name} for at least one"
                )
            return chosen
        people = self.division[name]
        return tuple(replace(s, split=name) for s in self.subjects if s.person in people)

    @property
    def is_divided(self) -> bool:
        """Whether the cohort says itself which part a subject belongs to."""
        return any(subject.split is not None for subject in self.subjects)

    @cached_property
    def division(self) -> dict[str, set[str]]:
        """The people of each part, by the shares of :attr:`split`."""

        def rank(person: str) -> bytes:
            return hashlib.sha256(as_bytes(f"{self.split.seed}:{person}")).digest()

        people = sorted({subject.person for subject in self.subjects}, key=rank)
        total = len(people)
        test = _count(self.split.test, total, "test")
        if self.split.test_folder is not None:
            aside = self._in_folder(self.split.test_folder)
            people.sort(key=lambda person: person not in aside)
            test = len(aside)
        validation = _count(self.split.validation, total, "validation")
        if self.split.validation < 1:  # a share gives way to training, a number does not
            validation = max(0, min(validation, total - test - 1))
        if test + validation >= total:
            raise InputError(
                f"{self.root}: {counted(total, 'subject is', 'subjects are')} to be divided, too "
                f"few for {test} test, {validation} validation and at least 1 training subject; "
                "add subjects or lower data.split"
            )
        return {
            "test": set(people[:test]),
            "validation": set(people[test : test + validation]),
            "train": set(people[test + validation :]),
        }

    def _in_folder(self, name: str) -> set[str]:
        """The people whose files lie in a folder of this name."""
        folder = self.root if self.root.is_dir() else self.root.parent
        inside = {
            subject.person
            for subject in self.subjects
            for path in subject.files.values()
            if path.is_relative_to(folder)
            and any(name.lower() in part.lower() for part in path.relative_to(folder).parts[:-2])
        }
        if not inside:
            raise InputError(
                f"data.split.test_folder: no subject of {folder} lies in a folder whose name "
                f"contains {name!r}; leave it out to divide by shares, or add the folder"
            )
        return inside


def without_effect(
    split: Split, usual: Split, keys: Sequence[str] = ("validation", "test", "seed")
) -> str:
    """What is said of a cohort that divides itself, where the pipeline divides it otherwise.

    Args:
        split: Of the pipeline.
        usual: What it is where a pipeline says nothing.
        keys: Those that have no effect.

    Example:
        >>> without_effect(Split(test=8), Split())
        'data.split.test 8 has no effect'
    """
    changed = [key for key in keys if getattr(split, key) != getattr(usual, key)]
    told = " and ".join(f"data.split.{key} {getattr(split, key):g}" for key in changed)
    return f"{told} ha{'ve' if len(changed) > 1 else 's'} no effect" if told else ""


def _count(wanted: float, total: int, name: str) -> int:
    """Turn a share (at least one person) or a number of people into a number."""
    if wanted == 0:
        return 0
    if wanted < 1:
        return max(1, round(wanted * total))
    if wanted != int(wanted):
        raise InputError(
            f"data.split.{name} must be a share below 1 or a whole number, got {wanted}"
        )
    return int(wanted)


@dataclass(frozen=True)
class Layouts:
    """The layouts of a kind of data, and what its subjects need.

    Attributes:
        layouts: By name, in the order in which they are tried.
        problems: What keeps a subject from being read, one line each.
        hint: Where data is to be had, for the message where there is none.
    """

    layouts: Mapping[str, Layout]
    problems: Callable[[Subject], list[str]]
    hint: str = ""

    def list(self, root: Path) -> Listing:
        """Everything in a cohort folder or table, the broken with the good, sorted by name.

        Raises:
            InputError: The folder is missing or of no known layout.
        """
        if not root.exists():
            raise InputError(f"{root}: no such folder{not_there(root)}")
        plain = replace(self, hint="")
        listing = plain._read(root, plain._recognise(root))
        if listing.unread:
            logger.warning("warning: %s; nothing is taken from it", listing.unread)
        return listing

    def gather(
        self,
        root: Path,
        layout: str,
        *,
        wanted: tuple[str, ...] | None,
        split: Split,
        key: str = "data.root",
    ) -> Cohort:
        """Find the subjects of a cohort and check that all can be used.

        Args:
            root: Folder or table.
            layout: Name of its layout, or auto: the first that it has.
            wanted: Only these subjects (None: all).
            split: How they are divided where the cohort does not say it.
            key: What names the root.

        Raises:
            InputError: It is missing or of no known layout, files are missing, identifiers are
                double, or the chosen subjects are not there. Several problems come together, one a
                line.
        """
        check_root(root, self._expected(self.layouts), key)
        if layout == "auto":
            layout = self._recognise(root)
        elif layout != "table" and not root.is_dir():
            raise InputError(
                f"data.root must be a folder for the layout {layout}, got a file: {root}"
            )
        listing = self._read(root, layout)
        if listing.unread:
            raise InputError(listing.unread)
        subjects = _chosen(listing.subjects, wanted, root)
        names = {subject.id for subject in subjects}
        problems = [line for line in listing.problems if wanted is None or _about(line, names)]
        for name, count in Counter(subject.id for subject in subjects).items():
            if count > 1:
                problems.append(f"{name}: listed {count} times; identifiers must be unique")
        subjects, split_problems = _checked_splits(subjects)
        problems += split_problems
        problems += [line for subject in subjects for line in self.problems(subject)]
        if problems:
            raise InputError(together(problems, f"the {layout} cohort {root}"))
        return Cohort(subjects=tuple(subjects), layout=layout, root=root, split=split)

    def _recognise(self, root: Path) -> str:
        """The name of the first layout that a folder (or table) has."""
        if root.is_file():
            if root.suffix not in (".csv", ".tsv"):
                raise InputError(f"data.root must be a folder, or a .csv or .tsv table, got {root}")
            return "table"
        for name, layout in self.layouts.items():
            if layout.matches(root):
                return name
        raise self._nothing_found(root, self.layouts)

    def _read(self, root: Path, layout: str) -> Listing:
        listing = self.layouts[layout].read(root)
        if not listing.subjects and not listing.problems:
            raise self._nothing_found(root, {layout: self.layouts[layout]})
        listing.subjects.sort(key=lambda subject: subject.id)
        listing.layout = layout
        return listing

    def _nothing_found(self, root: Path, layouts: Mapping[str, Layout]) -> InputError:
        entries = sorted(p.name for p in root.iterdir()) if root.is_dir() else []
        if root.is_dir() and not entries:
            return InputError(f"no subjects in {root}: the folder is empty")
        more = f" … ({len(entries)} entries)" if len(entries) > 6 else ""
        shown = ", ".join(entries[:6]) + more
        return InputError(f"no subjects in {root}{self._expected(layouts, shown)}")

    def _expected(self, layouts: Mapping[str, Layout], found: str = "") -> str:
        """How a message goes on: what there should be, what there is, where data is to be had."""
        expected = "; ".join(f"{name}: {layout.expected}" for name, layout in layouts.items())
        there = f"; found: {found}" if found else ""
        return f"; expected {expected}{there}" + (f"; {self.hint}" if self.hint else "")


def _chosen(subjects: list[Subject], wanted: tuple[str, ...] | None, root: Path) -> list[Subject]:
    names = {subject.id: subject.id for subject in subjects}
    check_chosen(wanted, names, f"data.subjects not found in {root}")
    return [subject for subject in subjects if is_chosen(wanted, subject.id)]


def _about(problem: str, names: set[str]) -> bool:
    return problem.split(":", maxsplit=1)[0] in names


def _checked_splits(subjects: list[Subject]) -> tuple[list[Subject], list[str]]:
    """Bring the split column to the names of the parts; all subjects have one or none has."""
    problems = []
    checked = []
    some = any(subject.split is not None for subject in subjects)
    parts: dict[str, set[str]] = {}
    for subject in subjects:
        given = subject.split
        split = None if given is None else _ALIASES.get(given.lower(), given.lower())
        if some and split not in PARTS:
            got = "nothing" if given is None else repr(given)
            problems.append(f"{subject.id}: split must be {', '.join(PARTS)}, got {got}")
        elif split is not None:
            parts.setdefault(subject.person, set()).add(split)
        checked.append(replace(subject, split=split))
    for person, several in sorted(parts.items()):
        if len(several) > 1:
            found = ", ".join(sorted(several))
            problems.append(f"{person}: scans of one person are in different parts: {found}")
    return checked, problems


def check_root(root: Path, more: str = "", key: str = "data.root") -> None:
    """Refuse a cohort that is not there; ``more`` is how the message goes on.

    Raises:
        InputError: It does not exist; the message names what is like it.
    """
    if not root.exists():
        raise InputError(f"{key} not found: {root}{not_there(root)}{more}")


def together(problems: list[str], where: str, limit: int = 10) -> str:
    """One message of several problems, a line each: so many at most, and how many others."""
    if len(problems) == 1:
        return f"{where}: {problems[0]}"
    rest = [f"… and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n  ".join([f"{where} has {len(problems)} problems:", *problems[:limit], *rest])


_MOST_NAMES, _MOST_SIZES = 8, 3


def cohort_lines(cohort: Cohort, words: Callable[[Subject], str]) -> Iterator[str]:
    """What was found of a cohort: layout, and the subjects and sizes of each part."""
    counts = Counter(words(subject) for subject in cohort.subjects).most_common()
    kinds = ", ".join(k if len(counts) == 1 else f"{n} {k}" for k, n in counts)
    drawn = cohort.layout == "simulated"
    where = "drawn" if drawn else f"{cohort.layout} layout, in {cohort.root}"
    yield f"{counted(len(cohort.subjects), 'scan')} ({kinds}), {where}"
    for part in PARTS:
        names = [subject.id for subject in cohort.part(part)]
        yield f"{part + ':':<12}{len(names)} ({some_names(names)})"
    idle = without_effect(cohort.split, Split()) if cohort.is_divided else ""
    if idle:
        yield f"note: the column split of {cohort.root} divides them: {idle}"
    sizes: Counter[str] = Counter()
    firsts = [path for subject in cohort.subjects for path in [*subject.files.values()][:1]]
    for path in firsts:  # scans that are drawn have none
        volumes, *grid = read_header(path).shape
        size = "x".join(map(str, grid)) + " voxels"
        sizes[size if volumes == 1 else f"{size} of {volumes} volumes"] += 1
    if sizes:
        yield f"sizes:      {common(sizes)}"


def some_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = [f"… {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*names[:_MOST_NAMES], *more]) or "none"


def common(counts: Counter[str]) -> str:
    """The most common sizes, and how many have others."""
    most = counts.most_common()
    lines = [f"{count} of {size}" for size, count in most[:_MOST_SIZES]]
    others = sum(count for _, count in most[_MOST_SIZES:])
    return ", ".join([*lines, f"{others} of other sizes"] if others else lines)
