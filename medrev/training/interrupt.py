"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user and saved; the message says how to resume."""


class Interruption:
    """Notes SIGINT and SIGTERM; a second SIGINT raises ``KeyboardInterrupt`` at once.

    Only a SIGINT of at least a second later is a second one: on Ctrl-C both the terminal and
    ``torchrun`` send a signal to every process. Works in the main thread only; elsewhere it never
    reports anything.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.requested
        False
    """

    signals = (signal.SIGINT, signal.SIGTERM)
    #: Seconds within which several signals are one.
    same = 1.0

    def __init__(self, *, announce: bool = True) -> None:
        self.requested = False
        self._first = 0.0
        self._announce = announce
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in self.signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.requested:
            if number == signal.SIGINT and now - self._first >= self.same:
                raise KeyboardInterrupt
            return
        self.requested, self._first = True, now
        if self._announce:
            print("\nstopping after this step (again to stop at once)", file=sys.stderr, flush=True)
