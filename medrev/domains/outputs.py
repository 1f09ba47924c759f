"""Files of a result: volumes or images, sidecars and picture, all or none."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medrev.errors import OutputError
from medrev.files import atomic_path, ensure_writable_folder
from medrev.volumes import strip_suffix

__all__ = [
    "PICTURE",
    "Output",
    "Result",
    "all_files",
    "check_outputs",
    "is_own",
    "sidecar_of",
    "writable_folder",
    "write_outputs",
]

#: Key of the picture among the paths. It has no sidecar.
PICTURE = "picture"


class Output(Protocol):
    """What is written into one file."""

    @property
    def about(self) -> dict[str, Any]:
        """The first keys of its sidecar."""

    def write(self, path: Path) -> None:
        """Write it."""


@dataclass(frozen=True, eq=False)
class Result:
    """A computed result, ready to be written.

    Attributes:
        paths: File by name, and of the picture under ``picture``.
        outputs: What is written into them.
        sidecar: What the JSON files of all have in common.
        others: Files that an earlier result of the same name may have had, and this one has not.
    """

    paths: dict[str, Path]
    outputs: dict[str, Output]
    sidecar: dict[str, Any]
    others: tuple[Path, ...] = ()


def sidecar_of(path: Path) -> Path:
    """The JSON file of a volume or image."""
    return path.with_name(f"{strip_suffix(path)}.json")


def all_files(paths: dict[str, Path]) -> list[Path]:
    """Volumes or images, each followed by its sidecar, and the picture."""
    files = []
    for name, path in paths.items():
        files += [path] if name == PICTURE else [path, sidecar_of(path)]
    return files


def check_outputs(paths: dict[str, Path], inputs: list[Path], overwrite: bool) -> None:
    """Refuse results that exist (unless they may be replaced) or that would replace the input.

    Raises:
        OutputError: Naming the first such file.
    """
    sources = {path.resolve() for path in inputs}
    for file in all_files(paths):
        if file.resolve() in sources:
            raise OutputError(f"{file} is the input itself; choose another output folder")
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists already; give --overwrite to replace it")


@contextmanager
def writable_folder(folder: Path) -> Iterator[None]:
    """Make sure that a folder can be written; folders made for it go again if they stay empty.

    Raises:
        OutputError: It cannot be made or written.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    ensure_writable_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            for place in new:
                place.rmdir()


def write_outputs(result: Result, *, overwrite: bool) -> list[Path]:
    """Write all files, their sidecars and the picture under temporary names, then their own.

    Args:
        result: What was computed.
        overwrite: Replace existing files, and remove :attr:`Result.others` written by medrev.

    Returns:
        The files written: each one followed by its sidecar, then the picture.

    Raises:
        OutputError: A file exists or cannot be written; then none is.
    """
    with ExitStack() as stack:
        for name, path in result.paths.items():
            output = result.outputs[name]
            output.write(stack.enter_context(atomic_path(path, overwrite)))
            if name == PICTURE:
                continue
            document = {**output.about, **result.sidecar}
            text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            temporary = stack.enter_context(atomic_path(sidecar_of(path), overwrite))
            temporary.write_text(text, encoding="utf-8")
    if overwrite:
        _remove_others(result)
    return all_files(result.paths)


def is_own(path: Path) -> bool:
    """Whether medrev says, in the sidecar, that it wrote a file."""
    try:
        document = json.loads(sidecar_of(path).read_text(encoding="utf-8"))
        return any(author["Name"] == "medrev" for author in document["GeneratedBy"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _remove_others(result: Result) -> None:
    """Remove an earlier result's uncertainty, which would be taken for that of this one."""
    for path in result.others:
        if is_own(path):
            with suppress(OSError):
                path.unlink()
                sidecar_of(path).unlink()
