"""What ``medrev-train --dry-run`` prints: a pipeline file whose comments say what would happen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medrev.config import Pipeline
    from medrev.data import Cohort
    from medrev.data.subject import Member

__all__ = ["cohort_lines", "print_dry_run"]

_MOST_NAMES, _MOST_SIZES = 8, 3


def print_dry_run(pipeline: "Pipeline", device: str) -> None:
    """Print the resolved pipeline, the data found, and the estimates; nothing is written.

    The output is itself a pipeline file: everything beside the resolved keys is a comment.
    """
    from medrev.config import dump_pipeline
    from medrev.data import find_cohort
    from medrev.training import dry_run

    print(dump_pipeline(pipeline), flush=True)
    cohort = find_cohort(pipeline.dti)
    _print_comments("data found", cohort_lines(cohort))
    _print_comments("estimates", dry_run(pipeline, device).lines())


def cohort_lines(cohort: "Cohort[Any]") -> Iterator[str]:
    """The data found: layout, and the subjects and sizes of each part."""
    yield cohort.describe()
    for part in ("train", "validation", "test"):
        subjects = cohort.part(part)
        names = [subject.id for subject in subjects[:_MOST_NAMES]]
        more = [f"… {len(subjects) - _MOST_NAMES} more"] if len(subjects) > _MOST_NAMES else []
        yield f"{part + ':':<12}{len(subjects)} ({', '.join(names + more) or 'none'})"
    yield "sizes:      " + ", ".join(_sizes(cohort.subjects))


def _sizes(subjects: "tuple[Member, ...]") -> list[str]:
    """The different sizes, by the headers of the files, and how many subjects have each."""
    from medrev.volumes import nifti_shape

    counts: dict[str, int] = {}
    for subject in subjects:
        path = subject.image
        if path is not None:
            volumes, *grid = nifti_shape(path)
            size = "x".join(map(str, grid)) + f" voxels of {volumes} volumes"
            counts[size] = counts.get(size, 0) + 1
    common = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"{count} of {size}" for size, count in common[:_MOST_SIZES]]
    others = sum(count for _, count in common[_MOST_SIZES:])
    return [*lines, f"{others} of other sizes"] if others else lines


def _print_comments(title: str, lines: Iterator[str] | list[str]) -> None:
    print(f"# {title}")
    for line in lines:
        print(f"#   {line}")
    print("#")
