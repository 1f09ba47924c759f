"""Many subjects: reading and writing beside computing, one failure does not stop the others."""

import contextlib
import functools
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medrev.domains.outputs import (
    Result,
    all_files,
    check_outputs,
    missing_files,
    writable_folder,
    write_outputs,
)
from medrev.domains.source import Entry, Source
from medrev.domains.values import Scan
from medrev.errors import InputError, MedrevError, naming
from medrev.locks import sweep
from medrev.options import Request
from medrev.parallel import Outcome, Pool
from medrev.prediction.loading import load_model
from medrev.prediction.model import Model
from medrev.prediction.run import Inference
from medrev.prediction.threads import Job, OneThread
from medrev.progress import Bar, progress

logger = logging.getLogger(__name__)

#: Called with a subject, its files, and whether they are new.
OnDone = Callable[[Entry, list[Path], bool], None]


@dataclass
class Report:
    """What became of the subjects, by name.

    Attributes:
        done: Files written.
        kept: Files that an earlier run had written.
        failed: Why not, one line.
    """

    done: dict[str, list[Path]] = field(default_factory=dict)
    kept: dict[str, list[Path]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Take up another one, of other subjects."""
        self.done |= other.done
        self.kept |= other.kept
        self.failed |= other.failed


def infer_many(
    entries: list[Entry],
    models: tuple[Model, ...],
    request: Request,
    *,
    on_done: OnDone = lambda entry, files, new: None,
    show_progress: bool = True,
) -> Report:
    """Translate many subjects with one model.

    While one subject is translated, the next one is read and fitted, and the one before is
    written: three are in memory at most. A subject whose results are there, complete, and made of
    the same files by the same model and settings, is kept as it is.

    Args:
        entries: The subjects (:func:`medrev.prediction.entries.find_entries`).
        models: The model, and those that join it in an ensemble.
        request: Settings.
        on_done: Called when the files of a subject lie in their place (in another thread); what it
            raises counts as a failure of the subject.
        show_progress: Show a progress bar on standard error.

    Returns:
        What became of every subject. An interruption ends the whole; what is being written then is
        completed first.

    Raises:
        InputError: What is asked cannot be done with these models, whatever the subject.
    """
    for folder in {place for entry in entries for place in (entry.folder, entry.root)}:
        sweep(folder)
    with progress("Subjects", len(entries), enabled=show_progress) as bar, _notes_above(bar):
        line = _Line(Inference(models, request), on_done, bar)
        try:
            line.run(entries)
        finally:
            line.close()
    return line.report


def infer_distributed(
    entries: list[Entry],
    models: tuple[Model, ...],
    request: Request,
    *,
    pool: Pool,
    device: str = "auto",
    retries: int = 1,
    on_done: OnDone = lambda entry, files, new: None,
    show_progress: bool = True,
) -> Report:
    """As :func:`medrev.prediction.infer_many`, in workers of a pool, by models of files.

    Every subject is read, translated and written in one worker with one thread, which needs the
    same paths to the inputs, the results and the weights. What is there already is kept.

    Raises:
        ClusterError: The scheduler does not answer, or its workers are not usable.
        InputError: A model was not loaded from a file, or what is asked cannot be done with these
            models, whatever the subject.
    """
    weights = tuple(model.path.absolute() for model in models if model.path is not None)
    if len(weights) < len(models):
        raise InputError("several workers need models that were loaded from files")
    Inference(models, request)
    by_name = {entry.name: entry for entry in entries}
    possible = {name: e.absolute() for name, e in by_name.items() if e.problem is None}
    report = Report(failed={e.name: e.problem for e in entries if e.problem is not None})

    def collect(outcome: Outcome[tuple[list[Path], bool]]) -> None:
        name = outcome.name
        if outcome.value is None:
            report.failed[name] = outcome.error or "failed"
            return
        files, new = outcome.value
        try:
            on_done(by_name[name], files, new)
        except MedrevError as error:
            report.failed[name] = " ".join(str(error).split())
            return
        (report.done if new else report.kept)[name] = files

    pool.run(
        functools.partial(_infer, weights=weights, device=device, request=request),
        possible,
        retries=retries,
        on_done=collect,
        title="Subjects",
        show_progress=show_progress,
    )
    return report


def _infer(
    entry: Entry, *, weights: tuple[Path, ...], device: str, request: Request
) -> tuple[list[Path], bool]:
    """One subject, in a worker."""
    models = tuple(_model(path, device) for path in weights)
    report = infer_many([entry], models, request, show_progress=False)
    for reason in report.failed.values():
        raise InputError(reason)
    new = entry.name in report.done
    return (report.done if new else report.kept)[entry.name], new


@functools.lru_cache(maxsize=8)
def _model(path: Path, device: str) -> Model:
    """A model is loaded once in a worker."""
    return load_model(path, device)


@dataclass(frozen=True)
class _Ready:
    """A subject that was read; without ``scan``, its results are there already."""

    found: Source
    paths: dict[str, Path]
    wanted: Mapping[str, Any]
    scan: Scan | None = None


class _Line:
    """Reader thread, the caller's thread that computes, writer thread."""

    def __init__(self, inference: Inference, on_done: OnDone, bar: Bar) -> None:
        self.inference, self.on_done, self.bar = inference, on_done, bar
        self.overwrite = inference.request.overwrite
        self.report = Report()
        self._stopped = threading.Event()
        self._reader, self._writer = OneThread(), OneThread()

    def run(self, entries: list[Entry]) -> None:
        """All subjects, in their order."""
        ahead: Job[_Ready] | None = None
        behind: tuple[Entry, Job[None]] | None = None
        for entry, following in itertools.zip_longest(entries, entries[1:]):
            current = ahead or self._reader.submit(self._read, entry)
            ready = self._outcome(entry, current.result)
            ahead = None if following is None else self._reader.submit(self._read, following)
            finish = None
            if ready is not None:
                finish = self._outcome(entry, functools.partial(self._translated, entry, ready))
            self._settle(behind)
            behind = None
            if finish is None:
                self.bar.advance(text=entry.name)
            else:
                behind = entry, self._writer.submit(finish)
        self._settle(behind)

    def close(self) -> None:
        """End the threads; what is being written is completed."""
        self._stopped.set()
        self._reader.close()
        self._writer.close()

    def _read(self, entry: Entry) -> _Ready:
        with _named(entry.name):
            found = self.inference.recognise(entry)
            paths = self.inference.paths(entry, found)
            check_outputs(paths, found.files, overwrite=True)
            hashes = found.hashes()
            wanted = self.inference.wanted(hashes)
            if not self.overwrite:
                missing = missing_files(paths, wanted)
                if missing == []:
                    return _Ready(found, paths, wanted)
                if missing:
                    logger.warning("done again: %s is missing", missing[0])
            scan = self.inference.read(found, hashes=hashes, check=self._check)
            return _Ready(found, paths, wanted, scan)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def _translated(self, entry: Entry, ready: _Ready) -> Callable[[], None]:
        """Translate a subject; what is left to do then is the writer's."""
        if ready.scan is None:
            return functools.partial(self._keep, entry, ready)
        with _named(entry.name):
            with naming(str(ready.found.path)):
                prediction = self.inference.predictor(ready.scan)
            result = self.inference.result(entry, ready.found, ready.scan, prediction)
        return functools.partial(self._write, entry, result, ready)

    def _write(self, entry: Entry, result: Result, ready: _Ready) -> None:
        with _named(entry.name), writable_folder(entry.folder):
            files = write_outputs(result, overwrite=self.overwrite, wanted=ready.wanted)
            self.inference.describe(entry.root, ready.found.files)
            self.on_done(entry, files, True)
        self.report.done[entry.name] = files

    def _keep(self, entry: Entry, ready: _Ready) -> None:
        files = [file for file in all_files(ready.paths) if file.exists()]
        self.inference.describe(entry.root, ready.found.files)  # a kill may have come before it
        self.on_done(entry, files, False)
        self.report.kept[entry.name] = files

    def _settle(self, behind: tuple[Entry, Job[None]] | None) -> None:
        """Wait until a subject is written."""
        if behind is not None:
            entry, future = behind
            self._outcome(entry, future.result)
            self.bar.advance(text=entry.name)

    def _outcome(self, entry: Entry, step: Callable[[], Any]) -> Any:
        """The result of a step, or None where it failed."""
        try:
            return step()
        except MedrevError as error:
            reason = " ".join(str(error).split())
        except Exception as error:
            logger.debug("%s", entry.name, exc_info=True)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self.report.failed[entry.name] = reason
        self.bar.note(f"{entry.name}: failed: {reason}")
        return None


_current = threading.local()


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Whose messages this thread's are."""
    before, _current.name = getattr(_current, "name", None), name
    try:
        yield
    finally:
        _current.name = before


class _Above(logging.Handler):
    """Prints warnings above a progress bar, with the subject's name before them."""

    def __init__(self, bar: Bar) -> None:
        super().__init__(logging.WARNING)
        self.bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        name = getattr(_current, "name", None)
        self.bar.note(f"{name}: {record.getMessage()}" if name else record.getMessage())


@contextlib.contextmanager
def _notes_above(bar: Bar) -> Iterator[None]:
    """While many subjects are done, only warnings are shown, and above the bar."""
    root = logging.getLogger("medrev")
    before = root.handlers[:]
    if before and root.level > logging.DEBUG:  # --debug shows everything as it comes
        root.handlers[:] = [_Above(bar)]
    try:
        yield
    finally:
        root.handlers[:] = before
