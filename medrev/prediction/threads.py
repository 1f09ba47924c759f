"""A thread beside the main one, that an interruption finds at work and waits for."""

import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Job(Generic[Value]):
    """Something that a thread has been asked to do."""

    def __init__(self, call: Callable[[], Value]) -> None:
        self._call = call
        self._done: SimpleQueue[tuple[Value | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        """Do it."""
        try:
            self._done.put((self._call(), None))
        except BaseException as error:
            self._done.put((None, error))

    def result(self) -> Value:
        """Wait for what comes of it, or raise what it raised."""
        answer = self._done.get()
        self._done.put(answer)  # for the next time
        value, error = answer
        if error is not None:
            raise error
        return value  # type: ignore[return-value]


class OneThread:
    """Does one thing after the other in a thread of its own, which runs already.

    Only queues in C lie between it and its caller. The exception of a signal may come between any
    two instructions of Python, also where ``concurrent.futures`` has just taken a lock: nobody
    would release it, and the thread would wait for it without end.

    Example:
        >>> with OneThread() as thread:
        ...     thread.submit(max, 1, 2).result()
        2
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def __enter__(self) -> "OneThread":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, function: Callable[..., Value], *arguments: Any, **named: Any) -> Job[Value]:
        """Ask for a call."""
        job = Job(partial(function, *arguments, **named))
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """End the thread: what it is doing is completed, what it has not begun is dropped."""
        try:
            while True:
                self._jobs.get_nowait()
        except Empty:
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=1)
            except Empty:
                if threading.main_thread().is_alive():
                    continue
                return  # closing was interrupted
            if job is None:
                return
            job.run()
