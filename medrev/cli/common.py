"""What the commands share: options, exit codes, and errors as one line on standard error.

Exit codes: 0 done; 1 failed; 2 wrong usage, pipeline or input; 3 some subjects failed;
130 interrupted; 143 terminated.
"""

import argparse
import errno
import gc
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import Any, NoReturn

from medrev import __version__
from medrev.cli.options import add_options
from medrev.cli.signals import Signals, Terminated
from medrev.cli.streams import lasting_streams
from medrev.errors import ConfigError, MedrevError, OutputError

FAILED, USAGE, PARTIAL, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
#: What libraries that compute read when they are imported.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class CommandParser(argparse.ArgumentParser):
    """A parser that answers wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the options are told, and exit with 2."""
        if unknown := re.match(r"unrecognized arguments: (--[^ =]+)", message):
            from difflib import get_close_matches

            near = get_close_matches(unknown[1], self._option_string_actions, n=1)
            message += f" (did you mean {near[0]}?)" if near else ""
        self.exit(USAGE, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def command_parser(
    prog: str,
    *options: type[Any],
    groups: Sequence[str] = (),
    device: bool = False,
    threads: bool | None = None,
    **settings: Any,
) -> argparse.ArgumentParser:
    """The parser of a command: the options that classes declare, and those of all commands.

    Args:
        prog: Name of the command.
        options: Dataclasses (:mod:`medrev.cli.options`).
        groups: Headings of the help, in their order.
        device: Whether the command has ``--device``.
        threads: Whether it has ``--threads`` (default: as ``--device``).
        settings: ``description``, ``epilog`` and ``usage`` of :class:`argparse.ArgumentParser`,
            shown as they are.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = CommandParser(prog, allow_abbrev=False, formatter_class=raw, **settings)
    add_options(parser, *options, groups=groups)
    add_common_options(parser, device=device, threads=device if threads is None else threads)
    return parser


def add_common_options(
    parser: argparse.ArgumentParser, *, device: bool = True, threads: bool = True
) -> None:
    """Add what all commands have, and ``--device`` and ``--threads`` where the command has them."""
    if device:
        parser.add_argument(
            "--device",
            default="auto",
            type=check_device_name,
            metavar="DEVICE",
            help="auto (default), cpu, cuda, cuda:N or mps",
        )
    if threads:
        parser.add_argument(
            "--threads",
            type=_thread_count,
            metavar="N",
            help="threads of the processor to compute with (default: all)",
        )
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument(
        "--quiet", action="store_true", help="print errors and the paths of the results only"
    )
    how_much.add_argument(
        "--verbose", action="store_true", help="say what is decided on the way, and why"
    )
    parser.add_argument(
        "--debug", action="store_true", help="show tracebacks and the warnings of libraries"
    )
    parser.add_argument("--version", action="version", version=f"medrev {__version__}")


def check_device_name(text: str) -> str:
    """The name of a device; whether the machine has it is seen when it is used.

    Raises:
        argparse.ArgumentTypeError: It is not a name of a device.
    """
    kind, colon, index = text.partition(":")
    if text in {"auto", "cpu", "cuda", "mps"} or (kind == "cuda" and colon and index.isdecimal()):
        return text
    raise argparse.ArgumentTypeError(f"must be auto, cpu, cuda, cuda:N or mps, got '{text}'")


def _thread_count(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 1024:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from 1 to 1024, got '{text}'")


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, which takes a tenth of the time; modules stay."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.enable()


def first_process() -> bool:
    """Whether this is the only process or, under ``torchrun``, the one that prints."""
    return _rank() == "0"


def _rank() -> str:
    return os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"


def run_command(
    build_parser: Callable[[], argparse.ArgumentParser],
    body: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
    *,
    memory_advice: str = "",
) -> int:
    """Parse the command line, run a command, and turn what goes wrong into a line and a code.

    Args:
        build_parser: Makes the parser; its ``prog`` begins each message.
        body: Does the work; may return an exit code (None is 0).
        argv: The arguments (default: those of the process).
        memory_advice: What to do when memory runs out.

    Returns:
        The exit code.
    """
    parser = build_parser()
    arguments = parser.parse_intermixed_args(argv)
    code, message = FAILED, ""
    with lasting_streams(), Signals():
        try:
            with _logging(arguments), _threads(getattr(arguments, "threads", None)):
                return body(arguments) or 0
        except MedrevError as error:
            code = USAGE
            shared = isinstance(error, ConfigError | OutputError)
            message = str(error) if first_process() or not shared else ""
            _show_traceback(arguments.debug)
        except KeyboardInterrupt as error:
            code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            message = (str(error) or "interrupted") if first_process() else ""
        except Exception as error:
            code = USAGE if getattr(error, "errno", None) == errno.ENAMETOOLONG else FAILED
            message = _unexpected(error, arguments.debug, memory_advice)
            _show_traceback(arguments.debug)
        _print_errors(parser.prog, message)
    return code


def _print_errors(prog: str, message: str) -> None:
    """Print each line of a message with the command's name before it."""
    where = "" if first_process() else f" (process {_rank()})"
    for line in message.splitlines():
        print(f"{prog}: error{where}: {line}", file=sys.stderr, flush=True)


def _unexpected(error: Exception, debug: bool, memory_advice: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return "not enough memory" + (f"; {memory_advice}" if memory_advice else "")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({text})"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{error.filename}: no file system takes a name as long as this"
    advice = "" if debug else " (run with --debug for the traceback)"
    return f"{type(error).__name__}: {text}{advice}"


def _show_traceback(debug: bool) -> None:
    if debug:
        traceback.print_exc()


class _Lines(logging.Formatter):
    """A message and no traceback."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return ""


@contextmanager
def _logging(arguments: argparse.Namespace) -> Iterator[None]:
    """Log to standard error, of ``--quiet`` errors alone; silence libraries unless ``--debug``.

    Whatever else is printed there (bars, tables) is no error.
    """
    debug, quiet = arguments.debug, getattr(arguments, "quiet", False)
    level = logging.DEBUG if debug or getattr(arguments, "verbose", False) else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((logging.Formatter if debug else _Lines)("%(message)s"))
    logger, root = logging.getLogger("medrev"), logging.getLogger()
    before = logger.handlers[:], logger.level, logger.propagate, root.level
    logger.handlers[:] = [handler]
    logger.setLevel(level if first_process() and not quiet else logging.ERROR)
    logger.propagate = False
    with ExitStack() as stack:
        if not debug:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            os.environ.setdefault("PYTHONWARNINGS", "ignore")  # worker processes too
            root.setLevel(logging.CRITICAL)
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stderr(nowhere))
        try:
            yield
        finally:  # for what else runs in this process
            logger.handlers[:], logger.propagate = before[0], before[2]
            logger.setLevel(before[1])
            root.setLevel(before[3])


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let the libraries of this process and of those it starts compute with so many threads."""
    if count is None:
        yield
        return
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(count)))
    torch = sys.modules.get("torch")
    own = None if torch is None else torch.get_num_threads()
    if torch is not None:  # imported before the command began
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(own)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
