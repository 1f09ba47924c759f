"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interruption", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user and saved; the message says how to resume."""


class Interruption:
    """Notes SIGINT and SIGTERM; a second SIGINT raises ``KeyboardInterrupt`` at once.

    A SIGTERM after a SIGINT changes nothing: ``torchrun`` sends it to its processes when the user
    presses Ctrl-C. Works in the main thread only; elsewhere it never reports anything.

    Args:
        announce: Tell the user what happens.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.requested
        False
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, *, announce: bool = True) -> None:
        self.requested = False
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
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._announce and not self.requested:
            print("\nstopping after this step (again to stop at once)", file=sys.stderr, flush=True)
        self.requested = True
