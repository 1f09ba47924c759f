"""Folders that a command writes for long: one writer at a time, and the old until there is new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medrev.errors import OutputError
from medrev.files import check_folder_name, ensure_writable_folder
from medrev.locks import ASIDE, LOCK, hold, is_own_name, remove, sweep, temporary_name

#: In what is set aside: all of it is there.
_COMPLETE = "complete"


@dataclass(frozen=True)
class Kind:
    """What a folder holds.

    Attributes:
        what: In words.
        mark: A file that each has.
        worth: Pattern of files; a new one that has some goes before the old one.
        names: All that belongs to it; empty: whatever is in the folder.
    """

    what: str
    mark: str
    worth: str
    names: tuple[str, ...] = ()


RUN = Kind("run folder", "pipeline.yaml", "checkpoints/*/state.pt")
EVALUATION = Kind(
    "evaluation",
    "evaluation.json",
    "subjects/*.json",
    (
        "evaluation.json",
        "report.html",
        "results.csv",
        "results.json",
        "subjects",
        "tables",
        "totals.json",
    ),
)


class OutputFolder:
    """A folder that a command owns while it writes there.

    What is replaced lies hidden in the folder until the new one is worth something
    (:attr:`Kind.worth`) or has ended well. Where the command is killed before, the next one that
    owns the folder brings the old one back.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind = path, kind
        self._aside = path / ASIDE

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it but what is hidden: set aside, or left by the killed."""
        return not self.path.is_dir() or all(is_own_name(p.name) for p in self.path.iterdir())

    def check(self, *, resume: bool = False, overwrite: bool = False) -> bool:
        """See that the command may write here, without writing.

        Returns:
            Whether there is something to go on with, or to replace.

        Raises:
            OutputError: There is something that may not be replaced, or it cannot be written.
        """
        check_folder_name(self.path)
        existing = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not existing.is_dir():
            raise OutputError(f"{existing} is a file, not a folder; choose another --output")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(f"the folder {existing} cannot be written; choose another --output")
        if self._aside.exists():  # put right by who owns the folder
            return True
        if self.is_empty:
            return False
        what, mark = self.kind.what, self.kind.mark
        if not (self.path / mark).is_file():
            raise OutputError(
                f"{self.path} is no {what} (it has no {mark}) and is not empty; "
                "choose another --output"
            )
        if not (resume or overwrite):
            raise OutputError(
                f"{self.path} exists and is not empty; --resume goes on with it, --overwrite "
                "replaces it, or choose another --output"
            )
        return True

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Be the only one who writes here during the block.

        What killed commands left is put right first. A folder made for it goes again if it stays
        empty.

        Raises:
            OutputError: Another process is writing here; or the folder cannot be written.
        """
        new = [place for place in (self.path, *self.path.parents) if not place.exists()]
        ensure_writable_folder(self.path)
        try:
            with hold(self.path / LOCK):
                sweep(self.path, deep=True)
                self.settle()
                yield
        finally:
            with suppress(OSError):
                for place in new:
                    place.rmdir()

    @contextmanager
    def filled(self, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
        """Own the folder and write into it during the block; what fails early leaves nothing.

        Raises:
            OutputError: As :meth:`check` and :meth:`owned`.
        """
        self.check(resume=resume, overwrite=overwrite)
        with self.owned():
            if self.check(resume=resume, overwrite=overwrite) and not resume:
                self.set_aside()
            fresh, done = self.is_empty, False
            try:
                yield
                done = True
            finally:
                if fresh and not done and not any(self.path.glob(self.kind.worth)):
                    self.clear()
                self.settle(done=done)

    def restore(self) -> None:
        """Put right what a killed command left, if anything."""
        if self._aside.is_dir():
            with self.owned():
                pass

    def set_aside(self) -> None:
        """Hide what is here, so that the new one can begin."""
        content = self._content()
        if not content:
            return
        self._aside.mkdir()
        for path in content:
            path.rename(self._aside / path.name)
        (self._aside / _COMPLETE).touch()

    def clear(self) -> None:
        """Remove what is here, but not what was set aside."""
        for path in self._content():
            remove(path)

    def settle(self, *, done: bool = False) -> bool:
        """Remove what was set aside, or bring it back if the new one is worth nothing.

        Args:
            done: The new one has ended well.

        Returns:
            Whether the old one is back.
        """
        if not self._aside.is_dir():
            return False
        complete = self._aside / _COMPLETE
        if complete.exists():
            if done or any(not is_own_name(p.name) for p in self.path.glob(self.kind.worth)):
                left = self.path / temporary_name()
                self._aside.rename(left)
                remove(left)
                return False
            self.clear()
            complete.unlink()
        for path in self._aside.iterdir():
            path.rename(self.path / path.name)
        self._aside.rmdir()
        return True

    def _content(self) -> list[Path]:
        names = self.kind.names
        return [
            path
            for path in sorted(self.path.iterdir())
            if not is_own_name(path.name) and (not names or path.name in names)
        ]
