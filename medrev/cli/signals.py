"""Ctrl-C and SIGTERM as exceptions that do not get lost."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what was begun is cleaned up, as after Ctrl-C."""


class Signals:
    """Raises ``KeyboardInterrupt`` on SIGINT and `Terminated` on SIGTERM during the block.

    Signals may come where Python cannot hand an exception on, such as in a callback of the garbage
    collector (dask has one) or a destructor: Python reports it, and the command would go on. Such a
    signal is repeated a moment later. Works in the main thread only; a SIGINT that is ignored, as
    in background jobs, stays ignored.
    """

    #: Seconds after which a lost signal is repeated.
    again = 0.05

    def __init__(self) -> None:
        self._process = os.getpid()
        self._over = self._waiting = False
        self._before: dict[int, Any] = {}
        self._report = sys.unraisablehook

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.getsignal(number)
                if number == signal.SIGTERM or self._before[number] is signal.default_int_handler:
                    signal.signal(number, self._raise)
            self._report, sys.unraisablehook = sys.unraisablehook, self._lost
        return self

    def __exit__(self, *error: object) -> None:
        self._over = True
        if self._before:
            sys.unraisablehook = self._report
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._raise:
                signal.signal(number, handler)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # in a fork, as if nobody had asked
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        while frame is not None:
            if frame.f_code is Signals._lost.__code__:
                self._repeat(number)
                return
            frame = frame.f_back
        raise Terminated("terminated") if number == signal.SIGTERM else KeyboardInterrupt

    def _lost(self, lost: Any) -> None:
        if isinstance(lost.exc_value, Terminated):
            self._repeat(signal.SIGTERM)
        elif isinstance(lost.exc_value, KeyboardInterrupt):
            self._repeat(signal.SIGINT)
        else:
            self._report(lost)

    def _repeat(self, number: int) -> None:
        if self._waiting:
            return
        self._waiting = True

        def send() -> None:
            self._waiting = False
            if self._over:
                return
            if os.name == "nt":  # os.kill would end the process at once
                signal.raise_signal(number)
            else:
                os.kill(self._process, number)

        timer = threading.Timer(self.again, send)
        timer.daemon = True
        timer.start()
