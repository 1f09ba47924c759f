"""What ``medrev-train --dry-run`` prints: a pipeline file whose comments say what would happen."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medrev.config import Pipeline
    from medrev.config.schema import Data
    from medrev.data import Cohort, Subject
    from medrev.domains.image import ImageSet

__all__ = ["cohort_lines", "data_lines", "image_lines", "print_dry_run"]

_MOST_NAMES, _MOST_SIZES = 8, 3


def print_dry_run(pipeline: "Pipeline", device: str) -> None:
    """Print the resolved pipeline, the data found, and the estimates; nothing is written.

    The output is itself a pipeline file: everything beside the resolved keys is a comment.
    """
    from medrev.config import dump_pipeline
    from medrev.training import dry_run

    print(dump_pipeline(pipeline), flush=True)
    _print_comments("data found", data_lines(pipeline.data))
    _print_comments("estimates", dry_run(pipeline, device).lines())


def data_lines(data: "Data") -> Iterator[str]:
    """The data found, whatever its kind."""
    if data.kind == "images":
        from medrev.domains.image import find_images

        return image_lines(find_images(data))
    if data.kind == "contrast":
        from medrev.domains.intensity import contrasts, find_contrasts

        return cohort_lines(find_contrasts(data), lambda subject: " + ".join(contrasts(subject)))
    from medrev.domains.tensor import find_cohort

    return cohort_lines(
        find_cohort(data), lambda s: "raw DWI" if "dwi" in s.files else "ready tensors"
    )


def cohort_lines(cohort: "Cohort", words: "Callable[[Subject], str]") -> Iterator[str]:
    """The data found: layout, and the subjects and sizes of each part."""
    counts = Counter(words(subject) for subject in cohort.subjects).most_common()
    kinds = ", ".join(k if len(counts) == 1 else f"{n} {k}" for k, n in counts)
    yield f"{len(cohort.subjects)} scans ({kinds}), {cohort.layout} layout, in {cohort.root}"
    for part in ("train", "validation", "test"):
        subjects = cohort.part(part)
        yield f"{part + ':':<12}{len(subjects)} ({_named([subject.id for subject in subjects])})"
    yield "sizes:      " + ", ".join(_sizes(cohort.subjects))


def image_lines(images: "ImageSet") -> Iterator[str]:
    """The images found: layout, pairs or counts of each part, sizes, and what was decided."""
    yield images.describe()
    for name in ("train", "validation", "test"):
        part = images.part(name)
        yield f"{name + ':':<12}{part} ({_named([picture.name for picture in part.x or part.y])})"
    parts = (images.train, images.validation, images.test)
    pictures = [picture for part in parts for picture in part.x + part.y]
    sizes = Counter(f"{picture.size[1]}x{picture.size[0]} pixels" for picture in pictures)
    yield "sizes:      " + ", ".join(_common(sizes))
    for note in images.notes:
        yield f"note:       {note}"


def _named(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = [f"… {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join(names[:_MOST_NAMES] + more) or "none"


def _sizes(subjects: "tuple[Subject, ...]") -> list[str]:
    """The different sizes, by the headers of the files, and how many subjects have each."""
    from medrev.volumes import read_header

    counts: Counter[str] = Counter()
    for subject in subjects:
        path = next(iter(subject.files.values()), None)
        if path is not None:
            volumes, *grid = read_header(path).shape
            size = "x".join(map(str, grid)) + " voxels"
            counts[size if volumes == 1 else f"{size} of {volumes} volumes"] += 1
    return _common(counts)


def _common(counts: Counter[str]) -> list[str]:
    """The most common sizes, and how many have others."""
    common = counts.most_common()
    lines = [f"{count} of {size}" for size, count in common[:_MOST_SIZES]]
    others = sum(count for _, count in common[_MOST_SIZES:])
    return [*lines, f"{others} of other sizes"] if others else lines


def _print_comments(title: str, lines: Iterator[str] | list[str]) -> None:
    print(f"# {title}")
    for line in lines:
        print(f"#   {line}")
    print("#")
