"""Whether the tests find deliberate faults.

``mutants.txt`` lists one-line faults, each with the tests that should find it. Every fault is put
into a copy of the tree, in which these tests are run: a fault is found if one of them fails. Before
the first fault of a group of tests they are run without any, for what fails anyway finds nothing.

    python scripts/mutants.py                      # all; hours on one core
    python scripts/mutants.py --only evaluation    # modules, tests or texts with this in them
    python scripts/mutants.py --record done.jsonl  # goes on where it was stopped

Results are kept in the file of ``--record``. Faults that were found are not tried again while their
line, the text of the module and the tests are the same.
"""

import argparse
import contextlib
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".txt")
#: What tests need.
COPIED = ("medrev", "tests", "scripts", "pipelines", "sample_data", "pyproject.toml", "README.md")
#: Where the modules of this tree would be found, instead of those of the copy.
FOREIGN = {"", str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")}
#: What most tests import, once for all of them.
IMPORTED = (
    "torch.utils.checkpoint",
    "monai.data.meta_tensor",
    "monai.transforms",
    "dipy.reconst.dti",
    "dipy.segment.mask",
    "nibabel",
    "nrrd",
    "pandas",
    "pydicom",
    "pydantic",
    "scipy.ndimage",
    "scipy.stats",
    "SimpleITK",
    "torchio",
    "matplotlib.pyplot",
    "jinja2",
    "hypothesis.strategies",
    "distributed",
    "rich.progress",
    "safetensors.torch",
    "PIL.Image",
)
#: Of pytest; others have no part in whether a test passes.
PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin")
#: Exit codes of pytest: all passed; some failed; interrupted (a module cannot be imported).
PASSED, FAILED, INTERRUPTED = 0, 1, 2


class ListError(Exception):
    """The list of faults does not fit the tree."""


@dataclass(frozen=True)
class Fault:
    """One line that is made wrong.

    Attributes:
        module: Path in the repository.
        tests: Files or folders of tests that should find it.
        old: Text of the module, of a part of one line, which occurs once.
        new: What stands there instead.
        line: Number of the line in the list.
    """

    module: str
    tests: tuple[str, ...]
    old: str
    new: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}: {self.old} -> {self.new}"

    def applied(self, text: str) -> str:
        """The module's text with the fault.

        Raises:
            ListError: The old text does not occur once.
        """
        count = text.count(self.old)
        if count != 1:
            raise ListError(
                f"line {self.line} of the faults: the text '{self.old}' must occur once in "
                f"{self.module}, it occurs {count} times: change the list"
            )
        return text.replace(self.old, self.new)

    def key(self, root: Path) -> str:
        """What the result depends on, as far as it can be told from names."""
        texts = [str(self), *(path.read_text() for path in self.files(root))]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]

    def files(self, root: Path) -> list[Path]:
        """The module and the files of tests.

        Raises:
            ListError: One is not there.
        """
        found = [root / self.module]
        for name in self.tests:
            path = root / name
            found += sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        missing = [path for path in found if not path.is_file()]
        if missing or len(found) < 2:
            names = ", ".join(str(path.relative_to(root)) for path in missing) or self.tests[0]
            raise ListError(f"line {self.line} of the faults: there is no {names}: change the list")
        return found


def read_faults(path: Path = LIST) -> list[Fault]:
    """The faults of a list.

    Raises:
        ListError: The list is not written as its first lines say.
    """
    faults: list[Fault] = []
    module, tests, old = "", (), None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        mark, text = line[:2], line[2:]
        if mark == "- " and module and old is None:
            old = text
        elif mark == "+ " and old is not None:
            faults.append(Fault(module, tests, old, text, number))
            old = None
        elif ": " in line and old is None and mark not in ("- ", "+ "):
            module, _, names = line.partition(": ")
            tests = tuple(names.split())
        else:
            raise ListError(f"line {number} of {path}: a heading, '- old' or '+ new' is needed")
    return faults


class Tree:
    """A copy of the repository in which tests are run.

    Args:
        folder: Where to make it.
        timeout: Seconds that tests may take; what takes longer hangs and is found.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self.folder, self.timeout = folder, timeout
        self._clock = time.time()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder / name)

    def run(self, tests: Sequence[str]) -> int:
        """Run tests up to the first that fails; return pytest's exit code.

        In a fork of this process, which has imported all that is not ours: that takes longer than
        most tests do.
        """
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            self._run_here(tests)
        limit = time.monotonic() + self.timeout
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > limit:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return FAILED
            time.sleep(0.05)

    def _run_here(self, tests: Sequence[str]) -> NoReturn:
        """Run tests in this process, and end it."""
        code = FAILED
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            os.chdir(self.folder)
            os.environ["PYTHONPATH"] = str(self.folder)
            sys.path[:] = [str(self.folder), *(p for p in sys.path if p not in FOREIGN)]
            options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--assert=plain"]
            options += ["-o", "addopts=--import-mode=importlib"]
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            sys.dont_write_bytecode = False  # what is compiled is kept in the copy
            options += [word for plugin in PLUGINS for word in ("-p", plugin)]
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)

    def finds(self, fault: Fault) -> bool:
        """Whether the tests of a fault fail with it."""
        path = self.folder / fault.module
        text = path.read_text()
        self._write(path, fault.applied(text))
        try:
            code = self.run(fault.tests)
        finally:
            self._write(path, text)
        if code not in (PASSED, FAILED, INTERRUPTED):
            raise ListError(f"line {fault.line} of the faults: pytest ended with {code}")
        return code != PASSED

    def _write(self, path: Path, text: str) -> None:
        """Write a module with a time of its own, by which Python knows that it is another."""
        path.write_text(text)
        self._clock += 2
        os.utime(path, (self._clock, self._clock))


class Record:
    """Which faults were found, in a file of JSON lines."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.found: dict[str, bool] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                self.found[entry["key"]] = entry["found"]

    def add(self, key: str, found: bool, name: str) -> None:
        """Note a result."""
        self.found[key] = found
        if self.path is not None:
            with self.path.open("a") as stream:
                stream.write(json.dumps({"key": key, "found": found, "fault": name}) + "\n")


def try_all(faults: Sequence[Fault], record: Record, timeout: float) -> Iterator[tuple[Fault, str]]:
    """Try faults one by one; yield each with ``found``, ``not found`` or ``tests fail anyway``."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree: Tree | None = None
        for name in (*IMPORTED, *PLUGINS):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        gc.freeze()  # or each fork would look through all of it, and copy it
        sound: dict[tuple[str, ...], bool] = {}
        for fault in faults:
            key = fault.key(ROOT)
            if record.found.get(key):
                yield fault, "found before"
                continue
            tree = tree or Tree(Path(folder), timeout)
            if fault.tests not in sound:
                sound[fault.tests] = tree.run(fault.tests) == PASSED
            if not sound[fault.tests]:
                yield fault, "tests fail anyway"
                continue
            found = tree.finds(fault)
            record.add(key, found, str(fault))
            yield fault, "found" if found else "not found"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="a piece of a module's, tests' or fault's text")
    parser.add_argument("--record", type=Path, help="file of results, to go on with")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a fault's tests")
    parser.add_argument("--faults", type=Path, default=LIST, help="list of faults")
    options = parser.parse_args(arguments)
    try:
        faults = [
            f for f in read_faults(options.faults) if options.only in f"{f} {' '.join(f.tests)}"
        ]
        for fault in faults:
            fault.applied((ROOT / fault.module).read_text())
            fault.files(ROOT)
        missed, unsound = [], []
        for number, (fault, result) in enumerate(
            try_all(faults, Record(options.record), options.timeout), 1
        ):
            print(f"{number}/{len(faults)} {result}: {fault}", flush=True)
            missed += [fault] if result == "not found" else []
            unsound += [fault] if result == "tests fail anyway" else []
    except (ListError, OSError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    found = len(faults) - len(missed) - len(unsound)
    share = f" ({found / len(faults):.1%})" if faults else ""
    print(f"found {found} of {len(faults)}{share}")
    for title, several in (("not found", missed), ("tests fail anyway", unsound)):
        for fault in several:
            print(f"  {title}: {fault} ({' '.join(fault.tests)})")
    return 1 if missed or unsound else 0


if __name__ == "__main__":
    sys.exit(main())
