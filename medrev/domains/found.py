"""What was found of a data set, in words, before anything is prepared."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from medrev.config.schema import Split
from medrev.data import Cohort, Subject
from medrev.data.cohort import without_effect
from medrev.data.subject import PARTS
from medrev.errors import counted
from medrev.volumes import read_header

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
