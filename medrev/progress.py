"""One way to show progress: a bar with the time left on a terminal, sparse lines elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TextIO

Listener = Callable[[str, float], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


class Bar(Protocol):
    """What `progress` yields."""

    def advance(self, steps: int = 1, text: str = "") -> None:
        """Count ``steps`` as done and show ``text``, such as the current loss, beside the bar.

        An empty ``text`` leaves the last one in place.
        """

    def note(self, line: str) -> None:
        """Print a line above the bar without disturbing it."""


@contextmanager
def progress(
    title: str,
    total: int,
    *,
    done: int = 0,
    enabled: bool = True,
    stream: TextIO | None = None,
    every: float = 30.0,
) -> Iterator[Bar]:
    """Show how far ``title`` has come, on standard error.

    On a terminal this is a bar with the time left. Elsewhere (a log file, a batch job) it is a
    plain line at each 10 % and, in between, at most one every ``every`` seconds; a task that ends
    within ``every`` seconds prints nothing.

    Args:
        title: What is being done.
        total: Number of steps.
        done: Steps done before, such as by the run that is resumed.
        enabled: False shows nothing at all (other processes than the first).
        stream: Where to print (default: standard error).
        every: Seconds between plain lines.

    Example:
        >>> with progress("Preparing", total=2) as bar:
        ...     for subject in ("sub-01", "sub-02"):
        ...         bar.advance(1, text=subject)
    """
    stream = sys.stderr if stream is None else stream
    listener = _listener.get()
    with _shown(title, total, done, stream if enabled else None, every) as bar:
        yield bar if listener is None else _Heard(bar, title, total, done, listener)


@contextmanager
def progress_listener(listener: Listener) -> Iterator[None]:
    """Tell another program, too, how far each task in the block has come.

    Args:
        listener: Called with a task's title and the share that is done, 0 to 1, at each step, also
            where no bar is shown.

    Example:
        >>> with progress_listener(lambda title, share: print(f"{title} {share:.0%}")):
        ...     with progress("Tiles", total=2, enabled=False) as bar:
        ...         bar.advance()
        Tiles 50%
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def _shown(title: str, total: int, done: int, stream: TextIO | None, every: float) -> Iterator[Bar]:
    if stream is None:
        yield _Silent()
    elif stream.isatty():
        with _rich_bar(title, total, done, stream) as bar:
            yield bar
    else:
        yield _Lines(title, total, done, stream, every)


def format_seconds(seconds: float) -> str:
    """A duration in words, as in ``"2 h 05 min"``.

    Example:
        >>> format_seconds(3.2), format_seconds(75), format_seconds(7500)
        ('3 s', '1 min 15 s', '2 h 05 min')
    """
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def format_bytes(count: float) -> str:
    """An amount of memory in words.

    Example:
        >>> format_bytes(3e9), format_bytes(5e7), format_bytes(700)
        ('2.79 GiB', '48 MiB', '1 KiB')
    """
    if count >= 0.1 * 2**30:
        return f"{count / 2**30:,.2f} GiB"
    small = count < 2**19
    return f"{-(-count // 2**10):.0f} KiB" if small else f"{count / 2**20:.0f} MiB"


def gib_above(count: float) -> str:
    """An amount of memory in GiB, to two digits and never less than it is.

    Example:
        >>> gib_above(3e9), gib_above(5e7)
        ('2.8', '0.047')
    """
    digits = max(0, 1 - math.floor(math.log10(count / 2**30)))
    return f"{math.ceil(count / 2**30 * 10**digits) / 10**digits:.{digits}f}"


class _Silent:
    def advance(self, steps: int = 1, text: str = "") -> None:
        pass

    def note(self, line: str) -> None:
        pass


class _Heard:
    """A bar whose steps are also told to a listener."""

    def __init__(self, bar: Bar, title: str, total: int, done: int, listener: Listener) -> None:
        self.bar, self.title, self.total, self.done = bar, title, total, done
        self.listener = listener

    def advance(self, steps: int = 1, text: str = "") -> None:
        self.bar.advance(steps, text)
        self.done += steps
        self.listener(self.title, min(1.0, self.done / max(1, self.total)))

    def note(self, line: str) -> None:
        self.bar.note(line)


class _Lines:
    """Sparse plain lines for logs."""

    def __init__(self, title: str, total: int, done: int, stream: TextIO, every: float) -> None:
        self.title, self.total, self.done, self.stream = title, total, done, stream
        self.first, self.every = done, every
        self.start = self.printed = time.monotonic()
        self.tenth = self._tenth()

    def _tenth(self) -> int:
        return 10 * self.done // max(1, self.total)

    def advance(self, steps: int = 1, text: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        slow = now - self.start >= self.every
        if slow and (self._tenth() > self.tenth or now - self.printed >= self.every):
            self.tenth, self.printed = self._tenth(), now
            self._print(now, text)

    def _print(self, now: float, text: str) -> None:
        line = f"{self.title}: {self.done}/{self.total} ({100 * self.done // max(1, self.total)} %)"
        new = self.done - self.first
        if new > 0 and self.done < self.total:
            left = (now - self.start) / new * (self.total - self.done)
            line += f", {format_seconds(left)} left"
        self.note(f"{line}, {text}" if text else line)

    def note(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


class _RichBar:
    def __init__(self, display: Any, task: Any) -> None:
        self.display, self.task = display, task

    def advance(self, steps: int = 1, text: str = "") -> None:
        shown = {"text": text} if text else {}
        self.display.update(self.task, advance=steps, **shown)

    def note(self, line: str) -> None:
        self.display.console.print(line, markup=False, highlight=False)


@contextmanager
def _rich_bar(title: str, total: int, done: int, stream: TextIO) -> Iterator[_RichBar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(file=stream), refresh_per_second=4) as display:
        task = display.add_task(title, total=total, completed=done, text="")
        yield _RichBar(display, task)
