"""Where scenarios run: one folder for inputs and results, one process for each command.

A command is called in a fork of this process, which has imported everything once: it finds the
state that a new process finds, and costs no import.
"""

import contextlib
import gc
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import medrev

from .reading import Reader

__all__ = ["Bench", "scenario", "scenarios"]

ROOT = Path(__file__).parents[2]
#: Seconds after which a command counts as hanging.
LIMIT = 300
#: Folders of no interest; prepared subjects are the program's own affair.
IGNORED = ("cache", "logs")

#: All scenarios by name, in the order in which they are written down.
scenarios: dict[str, Callable[["Bench"], None]] = {}


def scenario(name: str) -> Callable[[Callable[["Bench"], None]], Callable[["Bench"], None]]:
    """Register a function that calls commands on a bench."""

    def register(function: Callable[["Bench"], None]) -> Callable[["Bench"], None]:
        scenarios[name] = function
        return function

    return register


class Bench:
    """Runs scenarios and notes what they do.

    Args:
        root: An empty folder, in which everything is done.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.reader = Reader({
            str(self.root): "<W>", str(root): "<W>", str(ROOT): "<REPOSITORY>",
            medrev.__version__: "<VERSION>",
        })  # fmt: skip
        self.record: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}
        self._current = ""
        self._done: set[str] = set()
        _import_everything()
        for name in IGNORED:
            (self.root / name).mkdir(parents=True)

    def play(self, name: str) -> None:
        """Run a scenario, unless it was run already."""
        if name in self._done:
            return
        self._done.add(name)
        outer, self._current = self._current, name
        began = time.monotonic()
        try:
            scenarios[name](self)
        finally:
            self._current = outer
        self.seconds[name] = time.monotonic() - began

    def make(self, name: str, maker: Callable[[Path], Any]) -> Path:
        """An input below ``data``, made once."""
        path = self.root / "data" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            maker(path)
        return path

    def run(
        self,
        label: str,
        command: str,
        *words: Any,
        cwd: Path | None = None,
        unordered: bool = False,
    ) -> int:
        """Call a command, and note its exit code, what it prints, and its files.

        Args:
            label: What is special about this call, within its scenario.
            command: ``train``, ``infer``, …
            words: Its arguments.
            cwd: Where it is called (default: in the bench's folder).
            unordered: Several workers print, and their lines come in any order.

        Returns:
            The exit code.
        """
        title = f"{self._current}: {label}" if label else self._current
        if title in self.record:
            raise ValueError(f"two commands are called {title!r}")
        before = self._files()
        code = self._fork(command, [str(word) for word in words], cwd or self.root)
        after = self._files()
        changed = sorted(name for name in after if after[name] != before.get(name))
        read = self.reader
        printed = [
            read.lines((self.root / "logs" / name).read_text(errors="replace"))
            for name in ("stdout", "stderr")
        ]
        if unordered:
            printed = [sorted(lines) for lines in printed]
        self.record[title] = {
            "command": [command, *(read.clean(str(word)) for word in words)],
            "exit": code,
            "stdout": printed[0],
            "stderr": printed[1],
            "files": {
                read.clean(n): read.entry(self.root / n, f"{title}|{read.clean(n)}")
                for n in changed
            },
            "removed": sorted(name for name in before if name not in after),
        }
        return code

    def note(self, label: str, name: str, value: np.ndarray | str) -> None:
        """Add something that was found by other means to what the command of a label did."""
        title = f"{self._current}: {label}"
        known = isinstance(value, np.ndarray)
        self.record[title][name] = self.reader.array(f"{title}|{name}", value) if known else value

    def _files(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file but the prepared subjects and the logs."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            if folder == str(self.root):
                folders[:] = [name for name in folders if name not in IGNORED]
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                found[os.path.relpath(path, self.root)] = status.st_size, status.st_mtime_ns
        return found

    def _fork(self, command: str, words: list[str], cwd: Path) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = self._call(command, words, cwd)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _call(self, command: str, words: list[str], cwd: Path) -> int:
        """In the fork: call the command and return its exit code."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(LIMIT)
        writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(self.root / "logs/stdout", writing), 1)
        os.dup2(os.open(self.root / "logs/stderr", writing), 2)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1)
        os.chdir(cwd)
        os.environ.update(COLUMNS="100", TERM="dumb", XDG_CACHE_HOME=str(self.root / "cache"))
        try:
            code = importlib.import_module(f"medrev.cli.{command}").main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        sys.stderr.flush()
        return code or 0


def _import_everything() -> None:
    """Import every module of the program, whatever it is called, so that forks need not."""
    for module in pkgutil.walk_packages(medrev.__path__, "medrev."):
        with contextlib.suppress(ImportError):  # the commands that need a library say so
            importlib.import_module(module.name)
    gc.freeze()  # a fork does not copy what its collector would only look at
