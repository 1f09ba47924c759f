"""Standard output and error that never stop a command: closed pipes, full disks, strange names."""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

#: Name of the error handler of the streams' encodings.
_ERRORS = "medrev"
#: What writing into a closed pipe gives; Windows calls it an invalid argument.
_CLOSED = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}
#: Bytes of file names that are no text stand for themselves in this range of characters.
_BYTES = range(0xDC80, 0xDD00)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Let the work go on whatever becomes of standard output and error.

    Letters that their encoding does not have are escaped, bytes of file names that are no text are
    written as they are, and who has closed the other end of a pipe sees no more. Where standard
    output cannot be written for another reason, standard error says so once.
    """
    codecs.register_error(_ERRORS, _escape)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_lasting, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


class _Lasting:
    """A stream that goes nowhere once it cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._end(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._end(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _end(self, error: OSError) -> None:
        """Lead the stream to nowhere; Python flushes it once more at exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            with suppress(OSError, ValueError):
                os.dup2(nowhere, self._stream.fileno())
        finally:
            os.close(nowhere)
        if error.errno not in _CLOSED and sys.stdout is self and sys.stderr is not None:
            why = str(error.strerror or error)
            print(f"warning: standard output cannot be written ({why})", file=sys.stderr)


def _lasting(stream: Any) -> Any:
    if stream is None:  # a program without a console
        return None
    with suppress(AttributeError, ValueError, OSError):
        stream.reconfigure(errors=_ERRORS)
    return _Lasting(stream)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if ord(letter) in _BYTES:
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), error.start + 1
