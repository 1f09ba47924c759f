"""What a format is, and the files of its cases."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzzing.mutation import Rng
from medrev.errors import MedrevError

#: Contents by path in the folder of a case.
Files = dict[str, bytes]


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        seeds: Makes valid cases, in a folder that it may write to.
        mutate: Changes a file of a case; its name says what it is.
        read: Reads a case, whose files lie in a folder; raises MedrevError where it is bad.
    """

    seeds: Callable[[Path], list[Files]]
    mutate: Callable[[Rng, str, bytes], bytes]
    read: Callable[[Path], Any]


def files_in(folder: Path) -> Files:
    """The contents of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def first_file(folder: Path, *endings: str) -> Path:
    """The file that is read, by how its name ends."""
    return next(path for path in sorted(folder.iterdir()) if path.name.endswith(endings))


def each_of(*calls: Callable[[], Any]) -> None:
    """All of several calls; the first refusal is raised when all have been made."""
    refused: MedrevError | None = None
    for call in calls:
        try:
            call()
        except MedrevError as error:
            refused = refused or error
    if refused is not None:
        raise refused
